package limit

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Keys counts what holds something, exactly in a small table and nearly in a large one,
// and forgets what has ended.
func TestKeys(t *testing.T) {
	for _, c := range []struct{ entries, keys, off int }{{1 << 12, 300, 0}, {1 << 20, 100_000, 5000}} {
		now := time.Unix(0, 0)
		m, err := NewMemory(MemoryConfig{Entries: c.entries, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		if n := m.Stats().Keys; n != 0 {
			t.Errorf("%d keys in an empty table", n)
		}
		random := rand.New(rand.NewPCG(1, 2))
		var res [1]Result
		rate := &Rate{Algorithm: GCRA, Limit: 10, Window: time.Minute}
		for range c.keys {
			req := Request{Rate: rate, Key: Key{random.Uint64(), random.Uint64()}, Cost: 1}
			if err := m.Take(t.Context(), []Request{req}, res[:]); err != nil {
				t.Fatal(err)
			}
		}
		if n := m.Stats().Keys; n < c.keys-c.off || n > c.keys+c.off {
			t.Errorf("%d keys, want %d", n, c.keys)
		}
		now = now.Add(time.Hour)
		if n := m.Stats().Keys; n != 0 {
			t.Errorf("%d keys when all have ended", n)
		}
	}
}
