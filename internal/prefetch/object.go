package prefetch

import "unsafe"

// Object begins to fetch all lines of what begins at p and has so many bytes.
func Object(p unsafe.Pointer, size uintptr) {
	const line = 64
	for at := uintptr(0); at < size; at += line {
		Line(unsafe.Add(p, at))
	}
	if size > 0 {
		Line(unsafe.Add(p, size-1)) // where it begins within a line it ends in one more
	}
}
