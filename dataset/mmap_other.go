//go:build !unix

package dataset

import (
	"fmt"
	"os"
)

// mapFile reads the file: there is no portable mapping.
func mapFile(path string) (data []byte, unmap func(), err error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !st.Mode().IsRegular() || st.Size() < headerSize || st.Size() > maxFileLength {
		return nil, nil, fmt.Errorf("%s: %w", path, corrupt("it has %d bytes", st.Size()))
	}
	data, err = os.ReadFile(path)
	return data, func() {}, err
}
