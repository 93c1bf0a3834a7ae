//go:build amd64 || arm64

package prefetch

import "unsafe"

// Line begins to fetch the cache line that p points into. Any p will do.
//
//go:noescape
func Line(p unsafe.Pointer)
