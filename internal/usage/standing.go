package usage

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/limit"
)

// A Subject is whose calls are held against a quota: an account's of all its keys, or
// with Key those of one key that has limits of its own.
type Subject struct {
	Account customer.AccountID
	Key     customer.KeyID
}

// Terms are what a Subject may use.
type Terms struct {
	PerDay, PerMonth int64 // 0 is no bound
	Window           customer.Window
	// Epoch is when the account got its plan: with another one alerts begin anew.
	Epoch time.Time
}

// A Standing is where a Subject stands, in atomics: the request path reads and writes
// nothing else, and what is learnt of other nodes is written into them in place.
//
// Admission is one comparison: what this node admitted since it started, against the
// number up to which it may. That number moves with every snapshot and lease.
//
// It is laid out for the cache: who asks a million accounts in turn waits for memory and
// for nothing else, so that all a call needs is in its first 64 bytes.
type Standing struct {
	spent   atomic.Int64 // admitted by this node since it started, less what was given back
	allowed atomic.Int64 // spent may go up to here
	Desk    Desk
	known   atomic.Int64 // how much of spent the sums below contain
	bounds  atomic.Pointer[bounds]
	day     atomic.Int64 // used in the running spans, of all nodes as far as known
	month   atomic.Int64

	region  atomic.Pointer[string]
	starved atomic.Bool // somebody was refused since it last asked for more
	number  uint32      // in the Directory
}

// Touch begins to fetch it from memory.
func (s *Standing) Touch() { s.Desk.Plan.Load() }

// Number is that of the Standing in its [Directory].
func (s *Standing) Number() uint32 { return s.number }

// A Desk is room for whoever admits calls, beside what it asks for with each of them. It
// is of no concern to this package.
type Desk struct {
	Burst        limit.Cell
	Plan, Status atomic.Uint32
}

// bounds are those of all Subjects that may use the same.
type bounds struct {
	perDay, perMonth     int64
	window               customer.Window
	dayReset, monthReset atomic.Int64 // Unix seconds
}

func (b *bounds) turn(day, month customer.Span) {
	if d, m := day.Reset.Unix(), month.Reset.Unix(); b.dayReset.Load() != d || b.monthReset.Load() != m {
		b.dayReset.Store(d)
		b.monthReset.Store(m)
	}
}

func (b *bounds) terms() terms { return terms{b.perDay, b.perMonth, b.window} }

func (b *bounds) limited() bool { return b.perDay > 0 || b.perMonth > 0 }

// Take spends n calls of the quota, before they are answered. If it says no, nothing
// was spent.
func (s *Standing) Take(n int64) bool {
	for {
		spent := s.spent.Load()
		if spent+n > s.allowed.Load() {
			s.starve()
			return false
		}
		if s.spent.CompareAndSwap(spent, spent+n) {
			return true
		}
	}
}

// TakeUpTo spends as many of n calls as there are left, and says how many.
func (s *Standing) TakeUpTo(n int64) int64 {
	for {
		spent := s.spent.Load()
		take := min(n, s.allowed.Load()-spent)
		if take <= 0 {
			s.starve()
			return 0
		}
		if s.spent.CompareAndSwap(spent, spent+take) {
			return take
		}
	}
}

// starve notes that there was not enough; it writes once, however many are refused.
func (s *Standing) starve() {
	if !s.starved.Load() {
		s.starved.Store(true)
	}
}

// Return gives back n calls that were taken and not answered with 2xx or 304.
func (s *Standing) Return(n int64) { s.spent.Add(-n) }

// Use is how much of one bound was used.
type Use struct {
	Used  int64
	Limit int64     // 0 is none
	Reset time.Time // when some of it falls out of the window
}

// Left is what remains; without a limit, a great deal.
func (u Use) Left() int64 {
	if u.Limit == 0 {
		return math.MaxInt64
	}
	return max(0, u.Limit-u.Used)
}

// A Quota is where a Subject stands, for a person to read. Region is where most of
// the running month's calls came from; "" is not known.
type Quota struct {
	Day, Month Use
	Region     string
}

// Quota says where the Subject stands: what all nodes used as far as it is known here,
// and all that this node admitted. It allocates nothing.
func (s *Standing) Quota() Quota {
	own := max(0, s.spent.Load()-s.known.Load())
	b := s.bounds.Load()
	q := Quota{
		Day:   Use{Used: s.day.Load() + own, Limit: b.perDay, Reset: unix(b.dayReset.Load())},
		Month: Use{Used: s.month.Load() + own, Limit: b.perMonth, Reset: unix(b.monthReset.Load())},
	}
	if r := s.region.Load(); r != nil {
		q.Region = *r
	}
	return q
}

func unix(sec int64) time.Time { return time.Unix(sec, 0).UTC() }
