//go:build unix

package dataset

import (
	"fmt"
	"os"
	"syscall"
)

// mapFile maps a file for reading. The file may be renamed or removed while it
// is mapped, but must not be shortened.
func mapFile(path string) (data []byte, unmap func(), err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s: %w", path, corrupt("it is no regular file"))
	}
	if st.Size() < headerSize || st.Size() > maxFileLength {
		return nil, nil, fmt.Errorf("%s: %w", path, corrupt("it has %d bytes", st.Size()))
	}
	data, err = syscall.Mmap(int(f.Fd()), 0, int(st.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: cannot be mapped: %w", path, err)
	}
	return data, func() { _ = syscall.Munmap(data) }, nil
}
