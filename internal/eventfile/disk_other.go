//go:build !linux

package eventfile

import "os"

// toDisk writes what is in the file to the disk.
func toDisk(f *os.File) error { return f.Sync() }
