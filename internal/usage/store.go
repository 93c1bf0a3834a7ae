package usage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// A Row is what is counted by itself.
type Row struct {
	Account  customer.AccountID
	Key      customer.KeyID
	Hour     customer.Hour
	Endpoint customer.Endpoint
	Class    customer.Class
	Region   string
}

// A Sum is how often a Row was counted.
type Sum struct {
	Row
	N int64
}

// A Mark is how far something is in the sums: a node, up to its sequence, or the
// stream of a region (Node is 0), up to a position.
type Mark struct {
	Node   uint64
	Region string
}

// A Query says which rows are asked for: From and To are hours, with both. Zero of an
// Account or a Key is all.
type Query struct {
	Account  customer.AccountID
	Key      customer.KeyID
	From, To customer.Hour
	Charged  bool // only what counts toward quotas
}

// An Alert is that an account has used so many percent of its plan. All of it but
// Used and Limit is its name: it is raised once.
type Alert struct {
	Account     customer.AccountID
	Epoch       time.Time // since when the account has its plan
	Period      customer.Period
	Span        customer.Hour // first hour of the day or month
	Threshold   int           // percent
	Used, Limit int64
}

// ErrBehind is of a commit that did not begin where the store is: another aggregator
// wrote to it.
var ErrBehind = errors.New("another process has added to these sums")

// A Store keeps sums.
type Store interface {
	// Marks says how far everything is.
	Marks(context.Context) (map[Mark]uint64, error)
	// Commit adds to the sums and moves marks, all or nothing. was are the marks as the
	// caller knows them, of those it moves; where the store has others nothing is done
	// and the error is ErrBehind. Each Row is there once; add may be put into another
	// order, and is the caller's again after.
	Commit(ctx context.Context, add []Sum, was, marks map[Mark]uint64) error
	// State calls yield with what was asked for, and returns the marks of the same moment:
	// every commit is in both or in neither.
	State(ctx context.Context, q Query, yield func(Row, int64)) (map[Mark]uint64, error)
	// Rows calls yield with what was asked for, in no order, until it says no.
	Rows(ctx context.Context, q Query, yield func(Row, int64) bool) error
	// Raise says whether an alert is new, and remembers it as one that the caller is to
	// tell.
	Raise(context.Context, Alert) (bool, error)
	// Told says that an alert was told.
	Told(context.Context, Alert) error
	// Untold returns alerts, at most limit of them and without Used and Limit, that were
	// raised before a moment and not told since: who was to tell them has died, or could
	// not. The caller is to tell them now, and nobody else gets them before they are as
	// old again.
	Untold(ctx context.Context, before time.Time, limit int) ([]Alert, error)
}

// MemoryStore forgets with the process: for tests, and for measuring.
type MemoryStore struct {
	mu      sync.Mutex
	sums    sums // with numbers of regions
	regions []string
	marks   map[Mark]uint64
	alerts  map[Alert]time.Time // since when somebody is to tell it; zero: it was told
}

var _ Store = (*MemoryStore)(nil)

// Marks says how far everything is.
func (s *MemoryStore) Marks(context.Context) (map[Mark]uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.marks), nil
}

// State reads both at once.
func (s *MemoryStore) State(_ context.Context, q Query, yield func(Row, int64)) (map[Mark]uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r, n := range s.all {
		if q.Has(r) {
			yield(r, n)
		}
	}
	return maps.Clone(s.marks), nil
}

// Commit adds.
func (s *MemoryStore) Commit(_ context.Context, add []Sum, was, marks map[Mark]uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for m := range marks {
		if s.marks[m] != was[m] {
			return ErrBehind
		}
	}
	for i := range add {
		if _, ok := s.region(add[i].Region); !ok {
			return fmt.Errorf("usage: sums of more than %d regions", maxRegions)
		}
	}
	if s.marks == nil {
		s.marks = map[Mark]uint64{}
	}
	var rows [32]row
	var hashes [len(rows)]uint64
	for part := range slices.Chunk(add, len(rows)) { // they are fetched together, as in addPart
		for i := range part {
			r := &part[i].Row
			region, _ := s.region(r.Region)
			rows[i] = row{r.Account, r.Key, r.Hour, r.Endpoint, r.Class, region}
			hashes[i] = rows[i].hash()
			s.sums.places.fetch(hashes[i])
		}
		for i := range part {
			s.sums.fetch(hashes[i])
		}
		for i := range part {
			s.sums.add(&rows[i], hashes[i], part[i].N)
		}
	}
	maps.Copy(s.marks, marks)
	return nil
}

// region is a region's number; false is that there are too many. s.mu is held.
func (s *MemoryStore) region(name string) (n uint8, ok bool) {
	i := slices.Index(s.regions, name)
	if i < 0 {
		if i = len(s.regions); i == maxRegions {
			return 0, false
		}
		s.regions = append(s.regions, name)
	}
	return uint8(i), true
}

// all yields the sums. s.mu is held.
func (s *MemoryStore) all(yield func(Row, int64) bool) {
	for i := range s.sums.rows {
		r := &s.sums.rows[i]
		if !yield(Row{r.account, r.key, r.hour, r.endpoint, r.class, s.regions[r.region]}, r.n) {
			return
		}
	}
}

// Rows calls yield.
func (s *MemoryStore) Rows(_ context.Context, q Query, yield func(Row, int64) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r, n := range s.all {
		if q.Has(r) && !yield(r, n) {
			return nil
		}
	}
	return nil
}

// Has says whether a row is asked for.
func (q Query) Has(r Row) bool {
	return (q.Account == 0 || q.Account == r.Account) && (q.Key == 0 || q.Key == r.Key) &&
		q.From <= r.Hour && r.Hour <= q.To && (!q.Charged || r.Class == customer.Charged)
}

// Raise remembers.
func (s *MemoryStore) Raise(_ context.Context, a Alert) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a = a.name()
	if _, ok := s.alerts[a]; ok {
		return false, nil
	}
	if s.alerts == nil {
		s.alerts = map[Alert]time.Time{}
	}
	s.alerts[a] = time.Now()
	return true, nil
}

// name is the alert without what may differ.
func (a Alert) name() Alert {
	a.Used, a.Limit = 0, 0
	return a
}

// Told remembers.
func (s *MemoryStore) Told(_ context.Context, a Alert) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alerts == nil {
		s.alerts = map[Alert]time.Time{}
	}
	s.alerts[a.name()] = time.Time{}
	return nil
}

// Untold hands out what nobody has told.
func (s *MemoryStore) Untold(_ context.Context, before time.Time, limit int) (all []Alert, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for a, since := range s.alerts {
		if !since.IsZero() && since.Before(before) && len(all) < limit {
			s.alerts[a] = time.Now()
			all = append(all, a)
		}
	}
	return all, nil
}
