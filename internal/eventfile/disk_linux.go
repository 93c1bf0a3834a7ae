package eventfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// toDisk writes what is in the file to the disk, and leaves its times for later.
func toDisk(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
