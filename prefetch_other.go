//go:build !amd64 && !arm64

package ipwarden

import "unsafe"

// prefetch is nothing here.
func prefetch(unsafe.Pointer) {}
