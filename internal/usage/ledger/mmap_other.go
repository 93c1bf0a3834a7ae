//go:build !unix

package ledger

import (
	"errors"
	"os"
)

var errNoMmap = errors.New("this system has no mapped files of the kind that the ledger needs; run with --accounts on Linux, macOS or a BSD")

func mmap(*os.File, int) ([]byte, error) { return nil, errNoMmap }
func munmap([]byte) error                { return nil }
func flush([]byte) error                 { return nil }
func lock(*os.File) error                { return errNoMmap }
