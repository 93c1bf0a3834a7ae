package challenge

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A Spender lets several nodes share which challenges were solved.
type Spender interface {
	// Spend notes an ID until then, and reports whether it was the first to. It
	// must be atomic, and return when ctx ends.
	Spend(ctx context.Context, id [16]byte, until time.Time) (first bool, err error)
}

// spent remembers solved challenges in this process, in two halves: the one that
// is filled, and the one before. Both together are kept for at least as long as
// a ticket is good; when a flood fills a half sooner, the older is forgotten
// sooner, and that is counted: whoever replays gets another clearance for the
// same network, which is less harm than refusing everybody.
type spent struct {
	half      int // entries
	life      time.Duration
	forgotten atomic.Uint64 // halves that were dropped too soon

	mu       sync.Mutex
	now, old map[[16]byte]struct{} // guarded by mu; at most half each
	since    time.Time             // guarded by mu; when now was begun
}

func newSpent(entries int, life time.Duration) *spent {
	return &spent{half: max(entries/2, 1), life: life, now: map[[16]byte]struct{}{}, old: map[[16]byte]struct{}{}}
}

// spend reports whether id is the first of its kind.
func (s *spent) spend(id [16]byte, now time.Time) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since.IsZero() {
		s.since = now
	}
	full := len(s.now) >= s.half
	switch age := now.Sub(s.since); {
	case age >= 2*s.life: // all of it is older than a ticket can be
		s.now, s.old, s.since = map[[16]byte]struct{}{}, map[[16]byte]struct{}{}, now
	case age >= s.life || full:
		if full && age < s.life && len(s.old) > 0 {
			s.forgotten.Add(1)
		}
		s.now, s.old, s.since = map[[16]byte]struct{}{}, s.now, now
	}
	if _, ok := s.now[id]; ok {
		return false
	}
	if _, ok := s.old[id]; ok {
		return false
	}
	s.now[id] = struct{}{}
	return true
}
