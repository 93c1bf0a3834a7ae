// Package limit answers how much: whether a key may have so many requests more,
// how many are left, and when to come back.
//
// The call most people want:
//
//	m, err := limit.NewMemory(limit.MemoryConfig{})
//	…
//	rate := &limit.Rate{Name: "login", Limit: 10, Window: time.Hour}
//	reqs := []limit.Request{{Rate: rate, Key: key, Cost: 1}}
//	var results [1]limit.Result
//	err = m.Take(ctx, reqs, results[:]) // results[0].Allowed
//
// Keys are keyed hashes of length-prefixed tuples (see [Hasher]), so that no
// visitor chooses which keys meet. It refuses to charge some of several limits:
// all of one Take are charged, or none. Nothing here allocates on the way of a
// request, and nothing here does I/O; limits that several nodes share are in
// package redis.
package limit

import (
	"context"
	"errors"
	"strconv"
	"time"
)

// An Algorithm is how use is counted. The zero value is GCRA.
type Algorithm uint8

const (
	// GCRA, the generic cell rate algorithm, gives back one unit every
	// Window/Limit, up to Burst. In any span of time t it admits at most
	// Burst + Limit·t/Window.
	GCRA Algorithm = iota
	// Sliding counts in two cells, each a Window long: all of the present one,
	// and of the one before it the part that a window ending now still covers.
	// Use it where the count is shown ("3 failures an hour"). It has no burst;
	// it takes what the older cell holds as spread evenly, so a client that
	// packs its requests round the border of two cells can have up to twice the
	// Limit within one Window, and never more.
	Sliding
	// Fixed counts in one cell, which begins with its first request and is
	// forgotten whole when its Window is over, as INCR with EXPIRE does. It is
	// here for parity: round the border of two cells twice the Limit passes.
	Fixed
)

var algorithmNames = [...]string{"gcra", "sliding", "fixed"}

// String returns "gcra", "sliding" or "fixed".
func (a Algorithm) String() string {
	if int(a) < len(algorithmNames) {
		return algorithmNames[a]
	}
	return "algorithm " + strconv.Itoa(int(a))
}

// AlgorithmNamed returns the algorithm of a name that String gives.
func AlgorithmNamed(name string) (Algorithm, bool) {
	for i, n := range algorithmNames {
		if n == name {
			return Algorithm(i), true
		}
	}
	return 0, false
}

// A Rate is a limit: so many units in a window. It must not change while it is
// in use; one Rate may be used by many goroutines.
type Rate struct {
	// Name says which limit it is, in headers and in answers.
	Name      string
	Algorithm Algorithm
	// Limit is the number of units in a Window. 0 denies everything.
	Limit uint32
	// Window is at least a millisecond.
	Window time.Duration
	// Burst is how many units may be had at once, of GCRA; 0 is as many as Limit.
	Burst uint32
}

// MinWindow is the shortest Window of a Rate, and MaxHorizon the longest time
// that one may remember: its Window, or what its Burst takes to come back.
const (
	MinWindow  = time.Millisecond
	MaxHorizon = 10 * 365 * 24 * time.Hour
)

// Check says everything that is wrong with r.
func (r *Rate) Check() error {
	var errs []error
	wrong := func(text string) {
		errs = append(errs, errors.New("limit "+strconv.Quote(r.Name)+": "+text))
	}
	if int(r.Algorithm) >= len(algorithmNames) {
		wrong(r.Algorithm.String() + " is none of gcra, sliding, fixed")
	}
	switch {
	case r.Window < MinWindow:
		wrong("a window of " + r.Window.String() + " is shorter than " + MinWindow.String() + ", such as 60s")
	case r.Window > MaxHorizon:
		wrong("a window of " + r.Window.String() + " is longer than ten years, such as 24h")
	case r.Limit > 0 && r.Algorithm == GCRA && r.Burst > 0 &&
		float64(r.Window)/float64(r.Limit)*float64(r.Burst) > float64(MaxHorizon):
		wrong("a burst of " + strconv.FormatUint(uint64(r.Burst), 10) + " takes more than ten years to come back")
	}
	if r.Burst > 0 && r.Algorithm != GCRA {
		wrong("only gcra has a burst; leave it out, or take gcra")
	}
	return errors.Join(errs...)
}

// A Request asks for Cost units of a Rate for a Key. A Key belongs to one Rate:
// the tuple it is the hash of has the limit's name in it.
type Request struct {
	Rate *Rate
	Key  Key
	// Cost is how many units to take. 0 takes none and tells whether one could be
	// had. A Cost above what the Rate ever has at once is denied, and does no harm.
	Cost uint32
	// Raise multiplies Limit and Burst, for an address that many share and for
	// the networks round an address ([Rollup]). 0 and 1 leave them as they are.
	Raise uint16
}

// A Source says who decided.
type Source uint8

const (
	// Exact: everything that all nodes were told of is counted in.
	Exact Source = iota
	// Fast: from a lease of the shared count; see package redis for the bound.
	Fast
	// Local: the shared store is away, and this node's own counts decided.
	Local
)

var sourceNames = [...]string{"exact", "fast", "local"}

// String returns "exact", "fast" or "local".
func (s Source) String() string {
	if int(s) < len(sourceNames) {
		return sourceNames[s]
	}
	return "source " + strconv.Itoa(int(s))
}

// A Result answers a Request.
type Result struct {
	// Allowed is this request's own answer. A Take as a whole is allowed when all
	// of its results are; see [Allowed].
	Allowed bool
	Source  Source
	// Limit is the Rate's, raised. Remaining is what is left after this Take: when
	// the Take is denied, what was there before.
	Limit, Remaining uint32
	// Reset is the time until everything used is forgotten. RetryAfter is the time
	// until the same Request could be allowed, if nobody else asks; 0 when it is
	// allowed, and the Window when its Cost is more than there ever is.
	Reset, RetryAfter time.Duration
}

// Allowed reports whether a Take was allowed: all of its results are.
func Allowed(results []Result) bool {
	for i := range results {
		if !results[i].Allowed {
			return false
		}
	}
	return true
}

// Tightest returns the index of the most restrictive result: of the denied ones
// that which asks to wait longest; if none is denied, that with the smallest
// part of its Limit left. It is -1 for no results.
func Tightest(results []Result) int {
	best := -1
	for i := range results {
		if best < 0 || results[i].tighter(&results[best]) {
			best = i
		}
	}
	return best
}

func (r *Result) tighter(than *Result) bool {
	switch {
	case r.Allowed != than.Allowed:
		return !r.Allowed
	case !r.Allowed:
		return r.RetryAfter > than.RetryAfter
	}
	return uint64(r.Remaining)*uint64(than.Limit) < uint64(than.Remaining)*uint64(r.Limit)
}

// MaxRequests is how many requests one Take may have.
const MaxRequests = 32

// A Limiter holds counts and charges them.
type Limiter interface {
	// Take charges all of reqs, or, if one of them is denied, none, and fills in
	// as many results. A denied Take costs the client nothing, whatever it asked
	// for. Requests for one Key count together.
	//
	// An error means that nothing was decided: results too short, more than
	// MaxRequests, no Rate, a limiter that is closed. A store that is away is none:
	// the results say Local then. It waits for nothing beyond ctx's Deadline, whether
	// or not ctx is done by then. It may be called by many goroutines, does not
	// keep its arguments but for the Rates, and does not allocate when it decides
	// in this process.
	Take(ctx context.Context, reqs []Request, results []Result) error
}

// What is wrong with the arguments of a Take.
var (
	errResults  = errors.New("limit: Take needs as many results as requests, such as results[:len(reqs)]")
	errRequests = errors.New("limit: a Take has at most 32 requests; leave out limits, or Take twice")
	errRate     = errors.New("limit: a Request without a Rate")
)

func check(reqs []Request, results []Result) error {
	if len(reqs) != len(results) {
		return errResults
	}
	if len(reqs) > MaxRequests {
		return errRequests
	}
	for i := range reqs {
		if reqs[i].Rate == nil {
			return errRate
		}
	}
	return nil
}
