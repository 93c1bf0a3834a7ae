package usage

import (
	"testing"
	"time"
)

// What fills one batch leaves as often as is configured, and what fills more not so often;
// of the default both are within what is promised, 100 to 250 ms.
func TestInterval(t *testing.T) {
	for batches, want := range []time.Duration{150 * time.Millisecond, 150 * time.Millisecond, 250 * time.Millisecond, 250 * time.Millisecond} {
		if got := interval(150*time.Millisecond, batches); got != want {
			t.Errorf("behind %d batches %s, want %s", batches, got, want)
		}
	}
}
