//go:build unix

package shield

import (
	"os"
	"syscall"
)

// lock waits until no other process has the file. It goes with the process, however
// that ends, and nobody has it for longer than a file takes to write.
func lock(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}
