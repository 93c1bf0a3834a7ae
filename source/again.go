package source

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden"
)

// Again asks a Source more than once for one answer, within the time that there
// is: again after an error, and a second time beside a first that is slow.
type Again struct {
	// Source is asked. Required.
	Source ipwarden.Source
	// Retries is how often it is asked again after an error. Default: 0.
	Retries int
	// Hedge is how long the first may take before it is asked a second time beside
	// it; the first answer counts. Default: 0, never.
	Hedge time.Duration
	// Worth reports whether asking again after an error may help. Default: always,
	// but where nobody was asked.
	Worth func(error) bool

	retried, hedged atomic.Uint64
}

var _ ipwarden.Source = (*Again)(nil)

// firstPause is how long the first repetition waits, half more or less; each next
// waits twice as long.
const firstPause = 20 * time.Millisecond

// Lookup asks the Source.
func (s *Again) Lookup(ctx context.Context, addr netip.Addr) (ipwarden.Record, error) {
	pause := firstPause
	for n := 0; ; n++ {
		rec, err := s.once(ctx, addr)
		if err == nil || n >= s.Retries || nobodyWasAsked(err) || s.Worth != nil && !s.Worth(err) {
			return rec, err
		}
		wait := pause/2 + rand.N(pause)
		if end, ok := ctx.Deadline(); ok && time.Until(end) < wait {
			return rec, err // the error says more than that the time is over
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return rec, err
		case <-t.C:
		}
		pause *= 2
		s.retried.Add(1)
	}
}

// once asks, and asks beside it when that takes long.
func (s *Again) once(ctx context.Context, addr netip.Addr) (ipwarden.Record, error) {
	if s.Hedge <= 0 {
		return s.Source.Lookup(ctx, addr)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // the slower one is not waited for
	got := make(chan reply, 2)
	ask := func() {
		rec, err := s.Source.Lookup(ctx, addr)
		got <- reply{rec, err}
	}
	go ask()
	t := time.NewTimer(s.Hedge)
	defer t.Stop()
	waiting := 1
	for {
		select {
		case r := <-got:
			if waiting--; r.err == nil || waiting == 0 {
				return r.rec, r.err
			}
		case <-t.C:
			s.hedged.Add(1)
			waiting++
			go ask()
		case <-ctx.Done():
			return ipwarden.Record{}, ctx.Err()
		}
	}
}

// Retried is how often it was asked again after an error.
func (s *Again) Retried() uint64 { return s.retried.Load() }

// Hedged is how often it was asked beside a slow first time.
func (s *Again) Hedged() uint64 { return s.hedged.Load() }
