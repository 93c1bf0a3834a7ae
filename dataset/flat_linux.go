package dataset

import (
	"fmt"
	"syscall"
	"unsafe"
)

// newFlat allocates outside of the Go heap, on huge pages where the kernel gives
// them: with pages of 4 KiB every look-up would miss the TLB as well. What is
// never touched takes no memory.
func newFlat() (*flat, func(), error) {
	b, err := syscall.Mmap(-1, 0, int(unsafe.Sizeof(flat{})), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, nil, fmt.Errorf("memory for the flat index: %w", err)
	}
	_ = syscall.Madvise(b, 14) // MADV_HUGEPAGE, madvise(2); without it the table is slower, not wrong
	return (*flat)(unsafe.Pointer(unsafe.SliceData(b))), func() { _ = syscall.Munmap(b) }, nil
}
