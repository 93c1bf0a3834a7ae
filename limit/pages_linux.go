package limit

import (
	"syscall"
	"unsafe"
)

// largePages asks for pages of 2 MiB, for as much of a table as fills them: with
// pages of 4 KiB most keys would miss the TLB as well.
func largePages(b []bucket) {
	const page = 2 << 20
	p, size := unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b))*unsafe.Sizeof(bucket{})
	skip := -uintptr(p) & (page - 1)
	if size < skip+page {
		return
	}
	whole := unsafe.Slice((*byte)(unsafe.Add(p, skip)), (size-skip)&^(page-1))
	_ = syscall.Madvise(whole, 14) // MADV_HUGEPAGE, madvise(2); without it the table is slower, not wrong
}
