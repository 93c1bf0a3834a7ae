package prefetch_test

import (
	"testing"
	"unsafe"

	"github.com/ipwarden/ipwarden/internal/prefetch"
)

// Memory that is asked for is as it was, and what is none at all does no harm.
func TestLine(t *testing.T) {
	words := make([]uint64, 1<<10)
	for i := range words {
		words[i] = uint64(i)
		prefetch.Line(unsafe.Pointer(&words[i]))
	}
	prefetch.Line(nil)
	for size := range uintptr(300) {
		prefetch.Object(unsafe.Pointer(&words[1]), size)
	}
	for i, w := range words {
		if w != uint64(i) {
			t.Fatalf("word %d is %d", i, w)
		}
	}
}

func BenchmarkLine(b *testing.B) {
	var word uint64
	for range b.N {
		prefetch.Line(unsafe.Pointer(&word))
	}
}
