package gate

import (
	"fmt"
	"sync"
	"testing"
	"unsafe"
)

// Names are remembered once, whoever comes with them, and only so many.
func TestLexicon(t *testing.T) {
	w := newLexicon()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 50 {
				word := fmt.Sprint("word ", i)
				if got := w.of(w.number(word, 0)); got != word {
					t.Errorf("%q comes back as %q", word, got)
				}
			}
		})
	}
	all.Wait()
	if n := len(*w.all.Load()); n != 51 {
		t.Errorf("%d words for 50", n-1)
	}
	for i := range 2 * maxWords {
		w.number(fmt.Sprint("another ", i), 3)
	}
	if n := len(*w.all.Load()); n != maxWords || w.number("one too many", 3) != 0 || w.of(0) != "" {
		t.Errorf("%d words", n)
	}
	if size := unsafe.Sizeof(detail{}); size > 168 {
		t.Errorf("why a decision was made takes %d bytes; Config.Remember says 1.2 KiB in all", size)
	}
}
