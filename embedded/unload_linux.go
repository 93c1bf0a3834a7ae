package embedded

import (
	"os"
	"syscall"
	"unsafe"
)

// Unload lets go of the pages of the dataset that are in memory, after it was
// read through to check it. They are pages of the program's file, unchanged, so
// the kernel reads again what is asked for again; most of it, the evidence above
// all, nobody asks for.
func Unload() {
	page := uintptr(os.Getpagesize())
	start := uintptr(unsafe.Pointer(unsafe.StringData(world)))
	from, to := (start+page-1)&^(page-1), (start+uintptr(len(world)))&^(page-1)
	if from < to {
		_ = syscall.Madvise(Dataset()[from-start:to-start], syscall.MADV_DONTNEED) // a hint
	}
}
