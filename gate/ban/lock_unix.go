//go:build unix

package ban

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock keeps other processes from writing the same file. It goes with the process,
// however that ends.
func lock(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("another process has %s; give one of them a --data-dir of its own, or share bans with --redis", name)
		}
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}
