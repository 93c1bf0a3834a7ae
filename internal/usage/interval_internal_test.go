package usage

import (
	"testing"
	"time"
)

// What fills one batch leaves as often as is configured, and what fills more not so often;
// of the default both are within what is promised, 100 to 250 ms, with what it takes.
func TestInterval(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		batches    int
		took, want time.Duration
	}{
		{0, 0, 150 * ms},
		{1, 0, 150 * ms},
		{1, 20 * ms, 130 * ms},
		{2, 0, 250 * ms},
		{7, 30 * ms, 220 * ms},
		{1, time.Minute, 50 * ms}, // a disk that is slow is not written to all the time
	} {
		if got := interval(150*ms, test.batches, test.took); got != test.want {
			t.Errorf("behind %d batches, which took %s: %s, want %s", test.batches, test.took, got, test.want)
		}
	}
}
