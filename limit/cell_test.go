package limit

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestCellIsALimiter: up to the burst a Cell answers as a Memory does.
func TestCellIsALimiter(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		r := &Rate{Name: "r", Limit: 1 + rnd.Uint32N(50), Window: time.Duration(1+rnd.IntN(3)) * time.Second, Burst: rnd.Uint32N(80)}
		start := time.Unix(1_700_000_000, 0)
		now := start
		m, err := NewMemory(MemoryConfig{Entries: 64, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		var c Cell
		for step := range 100 {
			now = now.Add(time.Duration(rnd.Int64N(int64(300 * time.Millisecond))))
			cost := rnd.Uint32N(max(r.Burst, 1) + 1)
			if r.Burst == 0 {
				cost = rnd.Uint32N(r.Limit + 1)
			}
			var want [1]Result
			if err := m.Take(context.Background(), []Request{{Rate: r, Key: Key{1, 2}, Cost: cost}}, want[:]); err != nil {
				t.Fatal(err)
			}
			if got := c.Take(now.Sub(start), r, cost); got != want[0] {
				t.Fatalf("step %d, %+v, cost %d: %+v, a Memory says %+v", step, *r, cost, got, want[0])
			}
		}
	}
}

func TestCellOwes(t *testing.T) {
	r := &Rate{Limit: 10, Window: time.Second, Burst: 20}
	var c Cell
	if res := c.Take(0, r, 100); !res.Allowed || res.Remaining != 0 || res.Reset != 10*time.Second {
		t.Fatalf("100 of a burst of 20, unused: %+v, want allowed, and 10 s to pay off", res)
	}
	if res := c.Take(7*time.Second, r, 1); res.Allowed || res.RetryAfter != 1100*time.Millisecond {
		t.Fatalf("before it is paid off: %+v, want a wait of 1.1 s", res)
	}
	if res := c.Take(8*time.Second+100*time.Millisecond, r, 1); !res.Allowed {
		t.Fatalf("once it is: %+v", res)
	}
	if res := c.Take(8*time.Second+100*time.Millisecond, r, 100); res.Allowed {
		t.Fatalf("another 100 before nothing is used: %+v", res)
	}
	c.Give(r, 1)
	if res := c.Take(8*time.Second+100*time.Millisecond, r, 0); !res.Allowed || res.Remaining != 1 {
		t.Fatalf("after one was given back: %+v, want 1 left", res)
	}
	if res := c.Take(0, &Rate{Window: time.Second}, 1); res.Allowed {
		t.Fatalf("a limit of 0 admits: %+v", res)
	}
}

func TestCellAtOnce(t *testing.T) {
	r := &Rate{Limit: 1000, Window: time.Hour}
	var c Cell
	var admitted atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				if c.Take(time.Minute, r, 1).Allowed {
					admitted.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := admitted.Load(); n != 1000 {
		t.Errorf("8 goroutines were admitted %d times, want 1000", n)
	}
	if n := testing.AllocsPerRun(100, func() { c.Take(time.Minute, r, 1) }); n != 0 {
		t.Errorf("Take allocates %v times", n)
	}
}
