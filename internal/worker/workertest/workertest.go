// Package workertest has the suites of a worker's contracts, which every kind of input
// and output passes.
package workertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/worker"
)

// patience is longer than anything takes on a slow machine.
const patience = 90 * time.Second

// A Source is an empty source of events, and what reads it.
type Source struct {
	// Put puts events into the source, in their order.
	Put func(t *testing.T, values []string)
	// Open opens it for reading, as the same reader each time.
	Open func(t *testing.T) worker.Input
	// Unordered says that what comes again comes later.
	Unordered bool
	// Slow says that what is not committed comes again only after a time that a test
	// does not wait for.
	Slow bool
	// Lags says that it knows how much waits.
	Lags bool
}

// TestInput tries an input.
func TestInput(t *testing.T, make func(t *testing.T) Source) {
	most := worker.Bound{Messages: 7, Bytes: 1 << 20}
	t.Run("order", func(t *testing.T) {
		s := make(t)
		want := values(0, 50)
		s.Put(t, want)
		in := s.Open(t)
		defer in.Close()
		got, ids := take(t, in, most, len(want), true)
		if s.Unordered {
			slices.Sort(got)
		}
		if !slices.Equal(got, want) {
			t.Errorf("read %q, want %q", got, want)
		}
		unique(t, ids)
	})
	t.Run("again", func(t *testing.T) {
		s := make(t)
		if s.Slow {
			t.Skip("what is not committed comes again after a while only")
		}
		want := values(0, 20)
		s.Put(t, want)
		in := s.Open(t)
		got, first := take(t, in, most, 10, false)
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		in = s.Open(t)
		defer in.Close()
		all, ids := take(t, in, most, len(want), true)
		if s.Unordered {
			slices.Sort(all)
		}
		if !slices.Equal(all, want) {
			t.Errorf("read %q, want all that was not committed, which is %q", all, want)
		}
		for i, id := range first {
			if j := slices.Index(all, got[i]); !s.Unordered && j >= 0 && ids[j] != id {
				t.Errorf("%s has the id %s, and had %s", got[i], ids[j], id)
			}
			if !slices.Contains(ids, id) {
				t.Errorf("nothing that comes again has the id %s", id)
			}
		}
		unique(t, ids)
	})
	t.Run("committed", func(t *testing.T) {
		s := make(t)
		s.Put(t, values(0, 20))
		in := s.Open(t)
		take(t, in, most, 20, true)
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		s.Put(t, values(20, 25))
		in = s.Open(t)
		defer in.Close()
		got, _ := take(t, in, most, 5, true)
		if slices.Sort(got); !slices.Equal(got, values(20, 25)) {
			t.Errorf("read %q after all before was committed", got)
		}
	})
	t.Run("waits", func(t *testing.T) {
		s := make(t)
		in := s.Open(t)
		defer in.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		for ctx.Err() == nil {
			b, err := in.Read(ctx, most)
			if b != nil && len(b.Messages) > 0 {
				t.Fatalf("read %d events of an empty source", len(b.Messages))
			}
			if err != nil && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
		}
		s.Put(t, values(0, 3))
		if got, _ := take(t, in, most, 3, true); len(got) != 3 {
			t.Errorf("read %q", got)
		}
	})
	t.Run("lag", func(t *testing.T) {
		s := make(t)
		if !s.Lags {
			t.Skip("it does not know how much waits")
		}
		s.Put(t, values(0, 20))
		in := s.Open(t)
		defer in.Close()
		take(t, in, most, 20, true)
		s.Put(t, values(20, 31))
		deadline := time.Now().Add(patience)
		for {
			n, err := in.(worker.Lagging).Lag(t.Context())
			if err == nil && n == 11 {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d wait, %v; there are 11", n, err)
			}
		}
	})
}

func values(from, to int) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf(`{"n":"%06d","ip":"8.8.8.8"}`, i))
	}
	return all
}

// take reads so many events.
func take(t *testing.T, in worker.Input, most worker.Bound, n int, commit bool) (values, ids []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(values) < n {
		b, err := in.Read(ctx, most)
		if ctx.Err() != nil {
			t.Fatalf("read %d of %d events; %v", len(values), n, err)
		}
		if err != nil {
			t.Logf("reading: %v", err)
			continue
		}
		if b == nil {
			continue
		}
		if len(b.Messages) == 0 || len(b.Messages) > most.Messages {
			t.Fatalf("a batch of %d events, of %d at most", len(b.Messages), most.Messages)
		}
		for i := range b.Messages {
			m := &b.Messages[i]
			if m.ID == "" || m.Position == "" {
				t.Errorf("an event without id or position: %+v", m)
			}
			values, ids = append(values, string(m.Value)), append(ids, m.ID)
		}
		if commit {
			if err := b.Commit(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	return values, ids
}

func unique(t *testing.T, ids []string) {
	t.Helper()
	sorted := slices.Sorted(slices.Values(ids))
	if n := len(slices.Compact(sorted)); n != len(ids) {
		t.Errorf("%d ids of %d events", n, len(ids))
	}
}

// A Sink is an empty destination, and what is in it.
type Sink struct {
	Output worker.Output
	// Written returns what is there, in its order.
	Written func(t *testing.T) []string
	// Once says that an event that is written again is there once.
	Once bool
	// TooLarge is the size of an event that it refuses; 0: none.
	TooLarge int
}

// TestOutput tries an output.
func TestOutput(t *testing.T, make func(t *testing.T) Sink) {
	events := func(from, to int) (all []worker.Event) {
		for i, v := range values(from, to) {
			all = append(all, worker.Event{ID: fmt.Sprintf("test/%d", from+i), Key: fmt.Sprintf("k%d", (from+i)%3), Value: []byte(v)})
		}
		return all
	}
	write := func(t *testing.T, o worker.Output, events []worker.Event) []worker.Refusal {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for {
			refused, err := o.Write(ctx, events)
			if err == nil {
				return refused
			}
			if ctx.Err() != nil {
				t.Fatal(err)
			}
			t.Logf("writing: %v", err)
		}
	}
	t.Run("order", func(t *testing.T) {
		s := make(t)
		defer s.Output.Close()
		for i := 0; i < 60; i += 20 {
			if refused := write(t, s.Output, events(i, i+20)); len(refused) > 0 {
				t.Fatalf("refused: %+v", refused)
			}
		}
		if got := s.Written(t); !slices.Equal(got, values(0, 60)) {
			t.Errorf("there is %q", got)
		}
	})
	t.Run("again", func(t *testing.T) {
		s := make(t)
		defer s.Output.Close()
		for range 3 {
			write(t, s.Output, events(0, 20))
		}
		got := s.Written(t)
		want := values(0, 20)
		if !s.Once {
			slices.Sort(got)
			got = slices.Compact(got)
		}
		if !slices.Equal(got, want) {
			t.Errorf("there is %q, want %q", got, want)
		}
	})
	t.Run("refused", func(t *testing.T) {
		s := make(t)
		if s.TooLarge == 0 {
			t.Skip("nothing is too large for it")
		}
		defer s.Output.Close()
		all := events(0, 5)
		all[2].Value = []byte(`"` + string(slices.Repeat([]byte("x"), s.TooLarge)) + `"`)
		refused := write(t, s.Output, all)
		if len(refused) != 1 || refused[0].Index != 2 || refused[0].Reason == "" {
			t.Errorf("refused: %+v", refused)
		}
		if got, want := s.Written(t), slices.Delete(values(0, 5), 2, 3); !slices.Equal(got, want) {
			t.Errorf("there is %q, want %q", got, want)
		}
	})
	t.Run("ends", func(t *testing.T) {
		s := make(t)
		defer s.Output.Close()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Output.Write(ctx, events(0, 5)); err != nil && !errors.Is(err, context.Canceled) {
			t.Logf("an error beside the end of its context: %v", err) // which it may have
		}
	})
}
