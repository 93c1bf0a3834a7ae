package limit

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a clock for a test.
type clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	c.mu.Unlock()
}

func memory(t testing.TB, c MemoryConfig) *Memory {
	t.Helper()
	m, err := NewMemory(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func take(t testing.TB, l Limiter, reqs ...Request) []Result {
	t.Helper()
	results := make([]Result, len(reqs))
	if err := l.Take(t.Context(), reqs, results); err != nil {
		t.Fatal(err)
	}
	return results
}

func key(n uint64) Key { return NewHasher([16]byte{1}).Sum(AppendPart(nil, string(rune(n)))) }

func TestEntrySize(t *testing.T) {
	m := memory(t, MemoryConfig{Entries: 1000})
	if s := m.Stats(); s.Entries != 1000 || s.Bytes != 24000 || EntrySize > 32 {
		t.Errorf("%+v", s)
	}
}

func TestMemoryConfig(t *testing.T) {
	for _, n := range []int{-1, 1<<30 + 1} {
		if _, err := NewMemory(MemoryConfig{Entries: n}); err == nil || !strings.Contains(err.Error(), "Entries") {
			t.Errorf("%d entries: %v", n, err)
		}
	}
}

// A limit is held exactly, whoever asks at once.
func TestConcurrentTakes(t *testing.T) {
	m := memory(t, MemoryConfig{Entries: 64, Now: newClock().Now})
	for name, reqs := range map[string][]Request{
		"one": {{Rate: &Rate{Name: "a", Limit: 100, Window: time.Hour}, Key: key(1), Cost: 1}},
		"two": {
			{Rate: &Rate{Name: "b", Limit: 1000, Window: time.Hour}, Key: key(2), Cost: 1},
			{Rate: &Rate{Name: "c", Limit: 100, Window: time.Hour, Algorithm: Sliding}, Key: key(3), Cost: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			passed := 0
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					for range 100 {
						if Allowed(take(t, m, reqs...)) {
							mu.Lock()
							passed++
							mu.Unlock()
						}
					}
				})
			}
			wg.Wait()
			if passed != 100 {
				t.Errorf("%d of 2,000 passed a limit of 100", passed)
			}
		})
	}
}

// Of several keys all are charged, or none.
func TestAllOrNone(t *testing.T) {
	m := memory(t, MemoryConfig{Now: newClock().Now})
	wide := &Rate{Name: "wide", Limit: 10, Window: time.Hour}
	tight := &Rate{Name: "tight", Limit: 2, Window: time.Hour, Algorithm: Sliding}
	both := []Request{{Rate: wide, Key: key(1), Cost: 1}, {Rate: tight, Key: key(2), Cost: 1}}
	for i := range 5 {
		got := take(t, m, both...)
		want := uint32(10 - min(i+1, 2))
		if Allowed(got) != (i < 2) || got[0].Remaining != want || !got[0].Allowed {
			t.Errorf("take %d: %+v, want %d remaining of the wide one", i, got, want)
		}
		if i >= 2 && (got[1].Allowed || Tightest(got) != 1) {
			t.Errorf("take %d: %+v", i, got)
		}
	}
	if got := take(t, m, Request{Rate: wide, Key: key(1)}); got[0].Remaining != 8 {
		t.Errorf("a peek: %+v", got)
	}
	// A peek that finds nothing denies the others.
	if got := take(t, m, Request{Rate: wide, Key: key(1), Cost: 1}, Request{Rate: tight, Key: key(2)}); Allowed(got) {
		t.Errorf("%+v", got)
	}
	if got := take(t, m, Request{Rate: wide, Key: key(1)}); got[0].Remaining != 8 {
		t.Errorf("a Take that a peek denied charged: %+v", got)
	}
}

// Requests for one key in one Take count together.
func TestOneKeyTwice(t *testing.T) {
	m := memory(t, MemoryConfig{Now: newClock().Now})
	r := &Rate{Name: "x", Limit: 3, Window: time.Hour}
	twice := []Request{{Rate: r, Key: key(1), Cost: 2}, {Rate: r, Key: key(1), Cost: 2}}
	if got := take(t, m, twice...); Allowed(got) || got[0].Remaining != 3 {
		t.Errorf("4 of 3: %+v", got)
	}
	twice[1].Cost = 1
	if got := take(t, m, twice...); !Allowed(got) || got[1].Remaining != 0 {
		t.Errorf("3 of 3: %+v", got)
	}
}

func TestBadTakes(t *testing.T) {
	m := memory(t, MemoryConfig{Entries: 1})
	r := &Rate{Name: "x", Limit: 1, Window: time.Second}
	for want, f := range map[string]func() error{
		"as many results": func() error { return m.Take(t.Context(), []Request{{Rate: r}}, nil) },
		"at most 32":      func() error { return m.Take(t.Context(), make([]Request, 33), make([]Result, 33)) },
		"without a Rate":  func() error { return m.Take(t.Context(), make([]Request, 1), make([]Result, 1)) },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want one with %q", err, want)
		}
	}
	if err := m.Take(t.Context(), nil, nil); err != nil {
		t.Errorf("nothing asked: %v", err)
	}
}

// A client that goes on while it is denied is let in again when its true rate
// drops: denials are not counted.
func TestDenialsAreFree(t *testing.T) {
	c := newClock()
	m := memory(t, MemoryConfig{Now: c.Now})
	r := &Rate{Name: "x", Limit: 60, Window: time.Minute}
	passed := 0
	for range 10 * 60 * 10 { // ten minutes, ten a second
		if take(t, m, Request{Rate: r, Key: key(1), Cost: 1})[0].Allowed {
			passed++
		}
		c.add(100 * time.Millisecond)
	}
	if passed < 600 || passed > 660 {
		t.Errorf("%d passed in ten minutes of 60 a minute", passed)
	}
	c.add(2 * time.Second)
	if got := take(t, m, Request{Rate: r, Key: key(1), Cost: 1}); !got[0].Allowed {
		t.Errorf("%+v", got[0])
	}
}

// Under a spray of keys the table keeps its size, keys that are over their
// limit stay over it, and keys seen more than once stay known.
func TestSpray(t *testing.T) {
	c := newClock()
	m := memory(t, MemoryConfig{Entries: 4096, Now: c.Now})
	r := &Rate{Name: "x", Limit: 5, Window: time.Hour}
	hasher := NewHasher([16]byte{2})
	sum := func(kind string, n int) Key {
		return hasher.Sum(AppendPart(AppendPart(nil, kind), string(rune(n))))
	}
	const limited, known = 300, 300
	for n := range limited {
		for range 6 {
			take(t, m, Request{Rate: r, Key: sum("limited", n), Cost: 1})
		}
	}
	for n := range known {
		take(t, m, Request{Rate: r, Key: sum("known", n), Cost: 1})
		take(t, m, Request{Rate: r, Key: sum("known", n), Cost: 1})
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 400_000 {
		take(t, m, Request{Rate: r, Key: Key{random.Uint64(), random.Uint64()}, Cost: 1})
		c.add(time.Microsecond)
	}
	for n := range limited {
		if got := take(t, m, Request{Rate: r, Key: sum("limited", n), Cost: 1}); got[0].Allowed {
			t.Fatalf("limited key %d was let in", n)
		}
	}
	for n := range known {
		if got := take(t, m, Request{Rate: r, Key: sum("known", n)}); got[0].Remaining != 3 {
			t.Fatalf("known key %d was forgotten: %+v", n, got[0])
		}
	}
	s := m.Stats()
	if s.Entries != 4096 || s.Evicted < 300_000 || s.EvictedUsed > 0 || s.EvictedOver > 0 {
		t.Errorf("%+v", s)
	}
}

// A spray of keys that all go over their limit takes the place of those that
// are free soonest, and the table says so.
func TestSprayOfLimitedKeys(t *testing.T) {
	m := memory(t, MemoryConfig{Entries: 64, Now: newClock().Now})
	r := &Rate{Name: "x", Limit: 1, Window: time.Hour}
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		take(t, m, Request{Rate: r, Key: Key{random.Uint64(), random.Uint64()}, Cost: 1})
	}
	if s := m.Stats(); s.EvictedOver == 0 {
		t.Errorf("%+v", s)
	}
}

func TestTakeDoesNotAllocate(t *testing.T) {
	m := memory(t, MemoryConfig{})
	reqs := []Request{
		{Rate: &Rate{Name: "a", Limit: 10, Window: time.Minute}, Key: key(1), Cost: 1},
		{Rate: &Rate{Name: "b", Limit: 10, Window: time.Minute, Algorithm: Sliding}, Key: key(2), Cost: 1},
		{Rate: &Rate{Name: "c", Limit: 10, Window: time.Minute, Algorithm: Fixed}, Key: key(3), Cost: 1},
	}
	results := make([]Result, 3)
	ctx := t.Context()
	for n := range 4 {
		if a := testing.AllocsPerRun(100, func() {
			if err := m.Take(ctx, reqs[:n], results[:n]); err != nil {
				t.Error(err)
			}
		}); a > 0 {
			t.Errorf("%v allocations for %d requests", a, n)
		}
	}
}
