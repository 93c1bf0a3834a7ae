//go:build amd64 || arm64

package ipwarden

import "unsafe"

// prefetch lets p's cache line come from memory. A load would do so
// too, but the processor keeps all that comes after it in its reorder buffer until
// it has the value, and that is full before the memory answers.
//
//go:noescape
func prefetch(p unsafe.Pointer)
