//go:build unix

package eventfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// Lock waits until nobody else writes to the file, and keeps others from it until the
// file is closed.
func Lock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX) }

func unlock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }
