package source

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden"
)

// ErrSpent says that a day's look-ups are made.
var ErrSpent = errors.New("source: the day's look-ups are spent")

// SpendConfig says how much may be asked in a day.
type SpendConfig struct {
	// Source is asked until the day's look-ups are spent. Required.
	Source ipwarden.Source
	// Name is the provider's; nodes that share a Counter count under it. Required.
	Name string
	// PerDay is how many look-ups there are from midnight to midnight, UTC. Required.
	PerDay int64
	// Counter counts for all nodes. Default: this process alone.
	Counter Counter
	// Seed is that of [CachedConfig].
	Seed []byte
	// Timeout is how long counting may take. Default: 250ms.
	Timeout time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Spend bounds what a day costs. Each node takes look-ups from the common count
// in portions of a hundredth of what is left, so that counting is no part of
// most look-ups; those of a portion that a node does not use are lost to the
// others for the day. A node that cannot reach the Counter uses what it has, and
// then looks up a twentieth of PerDay at most: nodes that all have lost it exceed
// the bound by no more than that each.
type Spend struct {
	cfg  SpendConfig
	keys *keyer

	mu      sync.Mutex // guards the rest
	day     int64
	granted int64 // taken from the common count and not used yet
	used    int64 // of this day, by this node
	floor   int64 // of used: those without the Counter
	spent   bool  // the common count is at its end
	retry   time.Time

	refused atomic.Uint64
}

var _ ipwarden.Source = (*Spend)(nil)

// NewSpend makes a Spend, or says everything that is wrong with cfg.
func NewSpend(cfg SpendConfig) (*Spend, error) {
	var errs []error
	if cfg.Source == nil {
		errs = append(errs, errors.New("the Source is missing: say who is asked"))
	}
	if cfg.Name == "" {
		errs = append(errs, errors.New("the Name is missing: say which provider it is, such as ipinfo"))
	}
	if cfg.PerDay <= 0 {
		errs = append(errs, fmt.Errorf("the number PerDay is %d; it is 1 at least", cfg.PerDay))
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("spend: %w", errors.Join(errs...))
	}
	def(&cfg.Timeout, defaultStoreTimeout)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Spend{cfg: cfg, keys: newKeyer(cfg.Seed)}, nil
}

// Lookup asks the Source, or returns ErrSpent.
func (s *Spend) Lookup(ctx context.Context, addr netip.Addr) (ipwarden.Record, error) {
	if !s.take(ctx) {
		s.refused.Add(1)
		return ipwarden.Record{}, ErrSpent
	}
	return s.cfg.Source.Lookup(ctx, addr)
}

const secondsOfDay = 24 * 60 * 60

// Parts of a day's look-ups: a portion, and what a node may do without the others.
const (
	portionPart = 100
	floorPart   = 20
)

func (s *Spend) take(ctx context.Context) bool {
	now := s.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if day := now.Unix() / secondsOfDay; day != s.day {
		s.day, s.granted, s.used, s.floor, s.spent, s.retry = day, 0, 0, 0, false, time.Time{}
	}
	if s.cfg.Counter == nil {
		if s.used >= s.cfg.PerDay {
			return false
		}
		s.used++
		return true
	}
	if s.granted == 0 && !s.spent && !now.Before(s.retry) {
		s.fetch(ctx, now)
	}
	switch {
	case s.granted > 0:
		s.granted--
	case s.spent, s.floor >= max(s.cfg.PerDay/floorPart, 1):
		return false
	default:
		s.floor++
	}
	s.used++
	return true
}

// fetch takes a portion from the common count; s.mu is held, so that one asks for
// all who wait, and no longer than Timeout.
func (s *Spend) fetch(ctx context.Context, now time.Time) {
	day := s.day
	portion := min(max((s.cfg.PerDay-s.used)/portionPart, 1), 1000)
	key := s.keys.key(keySpent, fmt.Sprintf("%s %d", s.cfg.Name, day), netip.Prefix{}, netip.Prefix{})
	ask, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	total, err := s.cfg.Counter.Count(ask, key, portion, 2*secondsOfDay*time.Second)
	cancel()
	if err != nil {
		s.retry = now.Add(time.Second)
		return
	}
	over := max(total-s.cfg.PerDay, 0)
	s.granted = max(portion-over, 0)
	s.spent = s.granted == 0
}

// Used is how many look-ups this node made today.
func (s *Spend) Used() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.Now().Unix()/secondsOfDay != s.day {
		return 0
	}
	return s.used
}

// Refused is how many look-ups were not made.
func (s *Spend) Refused() uint64 { return s.refused.Load() }
