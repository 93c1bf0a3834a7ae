package ledger

import (
	"math/bits"
	"testing"
)

// Every byte of a text, its length and the seed are in its hash, at all lengths that a
// host may have.
func TestHash(t *testing.T) {
	text := make([]byte, 80)
	for i := range text {
		text[i] = byte('a' + i%26)
	}
	seen := map[uint64]string{}
	note := func(s string, seed uint64) {
		h := hash(s, seed)
		if other, ok := seen[h]; ok {
			t.Errorf("%q and %q have one hash", other, s)
		}
		seen[h] = s
	}
	for n := range len(text) {
		s := string(text[:n])
		note(s, 1)
		note(s, 2)
		for i := range n {
			b := []byte(s)
			b[i] ^= 1
			note(string(b), 1)
		}
	}
	// A bit changes half of the others, and so those that choose a slot.
	changed, pairs := 0, 0
	for n := 1; n < len(text); n++ {
		for i := range n {
			b := append([]byte(nil), text[:n]...)
			b[i] ^= 1 << (i % 8)
			changed += bits.OnesCount64(hash(string(b), 1) ^ hash(string(text[:n]), 1))
			pairs++
		}
	}
	if mean := float64(changed) / float64(pairs); mean < 30 || mean > 34 {
		t.Errorf("a bit of a text changes %.1f bits of its hash, want 32", mean)
	}
}
