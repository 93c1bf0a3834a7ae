package main

import (
	"syscall"
	"unsafe"
)

// hugeTable returns a number for each /24, on huge pages where the kernel gives
// them. Its worker has it until it ends.
func hugeTable() ([]uint32, error) {
	b, err := syscall.Mmap(-1, 0, 4<<24, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	_ = syscall.Madvise(b, 14) // MADV_HUGEPAGE, madvise(2)
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(b))), 1<<24), nil
}
