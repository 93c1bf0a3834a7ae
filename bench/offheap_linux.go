package main

import (
	"syscall"
	"unsafe"
)

// offHeap is memory for n values beside the heap of Go, until the process ends: the
// collector neither looks through it nor counts it when it settles how often it runs.
// What it points to has to be kept by others, as package netip does what its addresses
// point to.
func offHeap[T any](n int) ([]T, error) {
	var one T
	b, err := syscall.Mmap(-1, 0, max(n, 1)*int(unsafe.Sizeof(one)), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n), nil
}
