package usage

import (
	"math"
	"time"
	"unsafe"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// account is a Subject with what is reckoned of it, in two cache lines. The request path
// sees its Standing alone.
type account struct {
	Standing
	alerted [2]uint8 // percent, of the day and of the month
	subject Subject
	epoch   int64  // Terms.Epoch, microseconds since 1970; see noEpoch
	tally   *tally // nil until something was counted
	lease   *lease // nil while the quota is far
}

// Two cache lines, and all that a call needs in the first.
var (
	_ = [1]struct{}{}[unsafe.Sizeof(account{})-128]
	_ = [1]struct{}{}[unsafe.Offsetof(Standing{}.region)-64]
)

// noEpoch is that of Terms whose Epoch is the zero time.
const noEpoch = math.MinInt64

func epochOf(t time.Time) int64 {
	if t.IsZero() {
		return noEpoch
	}
	return t.UnixMicro()
}

func (a *account) since() time.Time {
	if a.epoch == noEpoch {
		return time.Time{}
	}
	return time.UnixMicro(a.epoch).UTC()
}

// limited, window and the bounds are what the Subject may use.
func (a *account) limited() bool           { return a.bounds.Load().limited() }
func (a *account) window() customer.Window { return a.bounds.Load().window }

// tally is what a Subject used, as far as it came out of the streams.
type tally struct {
	day, month           int64
	dayFirst, monthFirst customer.Hour
	own                  int64 // of it, admitted by this process
	recent               recent
	regions              []int64  // of the month, by number of the region
	first                [2]int64 // where regions begins: mostly there are few
}

// recent are counts by hour of the newest hours, for spans that begin anew.
type recent struct {
	newest   customer.Hour
	hours    []int64
	calendar [calendarHours]int64 // hours of most
}

// How many hours: powers of two. A rolling day needs more than a day. A calendar's day
// begins with what was counted into its hours before they began, by nodes whose clock
// is ahead: see HoursAhead.
const (
	calendarHours = 4
	rollingHours  = 32
)

func (r *recent) add(h customer.Hour, n int64) {
	all := customer.Hour(len(r.hours))
	if h > r.newest {
		for gone := max(r.newest+1, h-min(h, all-1)); gone <= h; gone++ {
			r.hours[gone%all] = 0
		}
		r.newest = h
	}
	if h+all > r.newest {
		r.hours[h%all] += n
	}
}

// widen makes room for what a rolling day needs.
func (r *recent) widen() {
	all := customer.Hour(len(r.hours))
	if all >= rollingHours {
		return
	}
	hours := make([]int64, rollingHours)
	for h := r.newest - min(r.newest, all-1); h <= r.newest; h++ {
		hours[h%rollingHours] = r.hours[h%all]
	}
	r.hours = hours
}

// since are the counts from an hour on.
func (r *recent) since(first customer.Hour) (n int64) {
	all := customer.Hour(len(r.hours))
	for h := max(first, r.newest-min(r.newest, all-1)); h <= r.newest; h++ {
		n += r.hours[h%all]
	}
	return n
}

// add counts n more in an hour.
func (t *tally) add(h customer.Hour, n int64, region int) {
	t.recent.add(h, n)
	if h >= t.dayFirst {
		t.day += n
	}
	if h >= t.monthFirst {
		t.month += n
		for len(t.regions) <= region {
			t.regions = append(t.regions, 0)
		}
		t.regions[region] += n
	}
}

// most is the region with most of the month; -1 is none.
func (t *tally) most() int {
	best := -1
	for i, n := range t.regions {
		if n > 0 && (best < 0 || n > t.regions[best]) {
			best = i
		}
	}
	return best
}

// spans are those of the present hour, of each kind of window: they are asked for with
// each sum, and change once an hour.
type spans struct {
	hour       customer.Hour
	day, month [2]customer.Span
}

func (s *spans) at(now time.Time) *spans {
	if h := customer.HourOf(now); s.hour != h {
		s.hour = h
		for _, w := range [...]customer.Window{customer.Calendar, customer.Rolling} {
			s.day[w], s.month[w] = w.Day(now), w.Month(now)
		}
	}
	return s
}

func (s *spans) of(w customer.Window) (day, month customer.Span) { return s.day[w&1], s.month[w&1] }

// newTally is an empty one of a kind of window.
func newTally(w customer.Window, now *spans) *tally {
	day, month := now.of(w)
	t := &tally{dayFirst: day.First, monthFirst: month.First}
	t.regions = t.first[:0]
	if t.recent.hours = t.recent.calendar[:]; w == customer.Rolling {
		t.recent.hours = make([]int64, rollingHours)
	}
	return t
}

// turn begins the spans that have passed. A rolling month moves when the aggregator
// knows what falls out of it: see fallOut.
func (a *account) turn(now *spans) {
	b := a.bounds.Load()
	day, month := now.of(b.window)
	b.turn(day, month)
	t := a.tally
	if t == nil {
		return
	}
	if t.dayFirst != day.First {
		t.dayFirst = day.First
		t.day = t.recent.since(day.First)
		a.alerted[0] = 0
	}
	if b.window == customer.Calendar && t.monthFirst != month.First {
		t.monthFirst = month.First
		t.month = t.recent.since(month.First)
		clear(t.regions)
		a.alerted[1] = 0
	}
}

// left is how many calls of all nodes the quota has left, as far as the sums know.
func (a *account) left() int64 {
	left := int64(math.MaxInt64)
	var day, month int64
	if a.tally != nil {
		day, month = a.tally.day, a.tally.month
	}
	b := a.bounds.Load()
	if b.perDay > 0 {
		left = min(left, b.perDay-day)
	}
	if b.perMonth > 0 {
		left = min(left, b.perMonth-month)
	}
	return left
}

// limit is the smallest bound.
func (a *account) limit() int64 {
	b := a.bounds.Load()
	switch d, m := b.perDay, b.perMonth; {
	case d == 0:
		return m
	case m == 0:
		return d
	default:
		return min(d, m)
	}
}

// known is how much of what this process admitted is in the sums.
func (a *account) inSums() int64 {
	if a.tally == nil {
		return 0
	}
	return a.tally.own
}

// publish writes what is known into the atomics. allowed comes last of what widens.
func (a *account) publish(allowed int64, regions []string) {
	if t := a.tally; t != nil {
		a.known.Store(t.own)
		a.day.Store(t.day)
		a.month.Store(t.month)
		if i := t.most(); i >= 0 {
			if r := a.region.Load(); r == nil || *r != regions[i] {
				a.region.Store(&regions[i])
			}
		}
	}
	if a.allowed.Load() != allowed { // a store waits for all before it, as an addition does
		a.allowed.Store(allowed)
	}
}
