package ipwardentest

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/limit"
)

// Attempts is a [limit.Attempts] in memory that is slow and obvious, for tests of
// who uses one. Its zero value is empty. It holds everything, and lets nothing end
// but by Now.
type Attempts struct {
	// Now is the clock; the default stands still.
	Now func() time.Time
	// Err, when there is one, is what everything ends with.
	Err error

	mu      sync.Mutex // guards all below
	under   map[limit.Key]map[[16]byte]time.Time
	notes   map[[16]byte][]byte
	events  map[[16]byte][]uint64
	charged map[[16]byte]uint16
}

var _ limit.Attempts = (*Attempts)(nil)

func (a *Attempts) now() time.Time {
	if a.Now == nil {
		return time.Time{}
	}
	return a.Now()
}

// Enter is limit.Attempts'.
func (a *Attempts) Enter(_ context.Context, attempt [16]byte, places []limit.Place) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.Err != nil {
		return a.Err
	}
	if a.under == nil {
		a.under = map[limit.Key]map[[16]byte]time.Time{}
	}
	for i := range places {
		p := &places[i]
		held := a.under[p.Key]
		if held == nil {
			held = map[[16]byte]time.Time{}
			a.under[p.Key] = held
		}
		for other, ends := range held {
			if !a.now().Before(ends) {
				delete(held, other)
			}
		}
		if len(held) >= int(p.Most) {
			p.Count = p.Most + 1
			continue
		}
		held[attempt] = a.now().Add(p.For)
		p.Count = uint32(len(held))
	}
	return nil
}

// Leave is limit.Attempts'.
func (a *Attempts) Leave(_ context.Context, attempt [16]byte, places []limit.Place) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.Err != nil {
		return a.Err
	}
	for i := range places {
		delete(a.under[places[i].Key], attempt)
	}
	return nil
}

// Keep is limit.Attempts'.
func (a *Attempts) Keep(_ context.Context, attempt [16]byte, note []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.notes == nil {
		a.notes, a.events, a.charged = map[[16]byte][]byte{}, map[[16]byte][]uint64{}, map[[16]byte]uint16{}
	}
	if a.Err == nil {
		a.notes[attempt] = slices.Clone(note)
	}
	return a.Err
}

// Recall is limit.Attempts'.
func (a *Attempts) Recall(_ context.Context, attempt [16]byte) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.notes[attempt]), a.Err
}

// Settle is limit.Attempts'.
func (a *Attempts) Settle(_ context.Context, attempt [16]byte, event uint64, charges uint16) (s limit.Settled, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.Err != nil || a.notes[attempt] == nil {
		return s, a.Err
	}
	s.Known = true
	if events := a.events[attempt]; len(events) < limit.MaxEvents && !slices.Contains(events, event) {
		a.events[attempt] = append(events, event)
		s.First = true
	}
	s.Due = charges &^ a.charged[attempt]
	a.charged[attempt] |= s.Due
	return s, nil
}

// TestAttempts tests a limit.Attempts, which may have other things in it. nodes are
// two that share them, or one twice.
func TestAttempts(t *testing.T, nodes [2]limit.Attempts) {
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	newID := func() (id [16]byte) {
		_, _ = rand.Read(id[:]) // never fails
		return id
	}
	newKey := func() limit.Key { return limit.NewHasher(newID()).Sum(nil) }
	enter := func(i int, id [16]byte, want uint32, places ...limit.Place) {
		t.Helper()
		must(nodes[i%2].Enter(ctx, id, places))
		for _, p := range places {
			if p.Count != want {
				t.Fatalf("%d are on their way, want %d", p.Count, want)
			}
		}
	}
	t.Run("places", func(t *testing.T) {
		a, b := limit.Place{Key: newKey(), For: time.Minute, Most: 3}, limit.Place{Key: newKey(), For: time.Minute, Most: 3}
		var ids [][16]byte
		for i := range 3 {
			ids = append(ids, newID())
			enter(i, ids[i], uint32(i+1), a, b)
		}
		for i := range 3 {
			enter(i, newID(), 4, a, b) // and takes none
		}
		must(nodes[1].Leave(ctx, ids[0], []limit.Place{a}))
		must(nodes[0].Leave(ctx, ids[0], []limit.Place{a})) // once
		must(nodes[0].Leave(ctx, newID(), []limit.Place{a}))
		enter(0, newID(), 3, a)
		enter(1, newID(), 4, a, b)
	})
	t.Run("at once", func(t *testing.T) {
		p := limit.Place{Key: newKey(), For: time.Minute, Most: 50}
		seen := make(chan uint32, 200)
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				places := []limit.Place{p}
				if err := nodes[i%2].Enter(ctx, newID(), places); err != nil {
					t.Error(err)
				}
				seen <- places[0].Count
			})
		}
		all.Wait()
		close(seen)
		n := map[uint32]int{}
		for c := range seen {
			n[c]++
		}
		for i := uint32(1); i <= 50; i++ {
			if n[i] != 1 {
				t.Errorf("%d saw %d on their way, want one", n[i], i)
			}
		}
		if n[51] != 150 {
			t.Errorf("%d found no room, want 150", n[51])
		}
	})
	t.Run("outcomes", func(t *testing.T) {
		id := newID()
		settle := func(i int, event uint64, charges uint16, want limit.Settled) {
			t.Helper()
			if s, err := nodes[i].Settle(ctx, id, event, charges); err != nil || s != want {
				t.Errorf("event %d: %+v, %v; want %+v", event, s, err, want)
			}
		}
		settle(0, 1, 1, limit.Settled{}) // nobody knows it
		if note, err := nodes[1].Recall(ctx, id); err != nil || note != nil {
			t.Errorf("a note of nothing: %q, %v", note, err)
		}
		want := make([]byte, limit.MaxNote)
		_, _ = rand.Read(want) // never fails
		must(nodes[0].Keep(ctx, id, want))
		if note, err := nodes[1].Recall(ctx, id); err != nil || !slices.Equal(note, want) {
			t.Errorf("the note is %q, %v", note, err)
		}
		settle(1, 1, 0b101, limit.Settled{Known: true, First: true, Due: 0b101})
		settle(0, 1, 0b101, limit.Settled{Known: true})
		settle(0, 2, 1<<15|0b110, limit.Settled{Known: true, First: true, Due: 1<<15 | 0b010})
		for e := range uint64(limit.MaxEvents - 2) {
			settle(1, ^e, 0, limit.Settled{Known: true, First: true})
		}
		settle(1, 9, 0, limit.Settled{Known: true}) // too many
		settle(1, 9, 0xffff, limit.Settled{Known: true, Due: 0xffff &^ (1<<15 | 0b111)})
	})
	t.Run("one outcome at once", func(t *testing.T) {
		id := newID()
		must(nodes[0].Keep(ctx, id, []byte{1}))
		var all sync.WaitGroup
		var mu sync.Mutex
		first, due := 0, 0
		for i := range 50 {
			all.Go(func() {
				s, err := nodes[i%2].Settle(ctx, id, 7, 1)
				mu.Lock()
				defer mu.Unlock()
				if err != nil || !s.Known {
					t.Errorf("%+v, %v", s, err)
				}
				if s.First {
					first++
				}
				due += int(s.Due)
			})
		}
		all.Wait()
		if first != 1 || due != 1 {
			t.Errorf("told first %d times, and charged %d", first, due)
		}
	})
}
