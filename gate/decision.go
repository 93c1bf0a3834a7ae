package gate

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/risk"
)

// A Decision says what to do with a request, and why. [Gate.Decide] fills one
// that the caller owns and may use again; it is not safe for concurrent use
// while that happens.
type Decision struct {
	ID   ID
	Time time.Time

	// What the program decided, and after it the limits, the fail mode and the
	// clearance: Verdict and Reason are the last word.
	policy.Decision

	Client clientip.Client // who asks, and how the address was found
	Record ipwarden.Record // what is known of it
	Score  uint8           // risk, 0 to 100
	Shared bool            // many people are behind the address

	// Limits are the states of the limits that apply, in the order of the policy.
	Limits []LimitState
	// RetryAfter is how long a refused client waits; 0 is unknown.
	RetryAfter time.Duration

	// Degraded is set when something that the decision wanted was not to be had
	// (the shared store, a Source), and the fail mode of the route, or what this
	// process counted by itself, stood in for it.
	Degraded bool
	// Incomplete is set when a provider is still being asked about the client: the
	// next decision may know more.
	Incomplete bool

	// Location is where the client is sent, for a challenge or a redirect.
	Location string

	// WouldLimit names a limit in shadow that would have refused; "" for none.
	WouldLimit string

	request   ipwarden.Request // its path as the upstream reads it
	target    string           // the path as it came
	situation risk.Situation
	networks  [3]netip.Prefix // of the client, as limits count it
	nNetworks int
	key       limit.Key    // of the first of them
	pending   []pendingUse // limits that count outcomes
	flights   *flights
	begun     bool // who asked sees the request through
	crowded   bool // others on their way may use up what is left
	program   *program
	older     bool      // the client gets X-RateLimit fields too
	peek      bool      // nothing of it counts
	enriching enriching // what the application is told

	// Memory that stays when the decision is used again.
	input    policy.Input
	risk     risk.Assessment
	takes    []limit.Request
	results  []limit.Result
	from     []takenFrom
	seen     [3]limit.Result // of one limit in shadow
	tuple    []byte
	location []byte
	text     []byte // values of header lines
	within   within // the limiter's time
	places   []limit.Place
	// joined says that other nodes know of it, and placeless that it was spared them.
	joined, placeless bool
}

// LimitState is a limit as the client sees it.
type LimitState struct {
	Name   string
	Window time.Duration
	limit.Result
}

// pendingUse is a limit that is charged when the outcome is known.
type pendingUse struct {
	limit   *policy.Limit
	request limit.Request
	rollup  bool   // of the network round the address
	entered uint32 // how many were on their way with it; 0 when it is not
	among   uint32 // the same on all nodes; 0 when it is not known
	lease   *lease // its place among them; nil when it was begun
}

// reset empties d and keeps its memory. It names what it empties: a Decision is
// large, and most of it is written anew each time.
func (d *Decision) reset() {
	if d.begun { // nobody has told what became of it
		d.land()
	}
	if len(d.pending) > 0 {
		clear(d.pending)
	}
	d.Limits, d.RetryAfter, d.Degraded, d.Incomplete = d.Limits[:0], 0, false, false
	d.Location, d.WouldLimit = "", ""
	d.pending, d.older, d.crowded, d.joined, d.placeless = d.pending[:0], false, false, false, false
	d.takes, d.results, d.from = d.takes[:0], d.results[:0], d.from[:0]
	d.tuple, d.location, d.text = d.tuple[:0], d.location[:0], d.text[:0]
}

// Status is what the client is answered when the verdict does not pass, or the
// policy redirects it: 302 and its like, 400, 403, 429 or 503. 0 when the
// request goes on.
func (d *Decision) Status() int {
	switch {
	case d.Reason == policy.ByAmbiguousPath:
		return http.StatusBadRequest
	case d.Reason == policy.ByFailClosed:
		return http.StatusServiceUnavailable
	case d.Location != "" && d.Response != nil && d.Response.Status != 0:
		return d.Response.Status
	case d.Location != "":
		return http.StatusFound
	case d.Verdict.Passes():
		return 0
	case d.Verdict == ipwarden.Throttle:
		return http.StatusTooManyRequests
	case d.Response != nil && d.Response.Status != 0:
		return d.Response.Status
	}
	return http.StatusForbidden
}

// Passes reports whether the request goes on to the application.
func (d *Decision) Passes() bool { return d.Status() == 0 }

// AwaitsOutcome reports whether a limit waits to be told what becomes of the
// request ([Gate.Outcome]): who tells it also that an attempt was none that counts
// lets the next one in at once.
func (d *Decision) AwaitsOutcome() bool { return len(d.pending) > 0 }

// By names what decided: the rule, the list, the limit or the tier, or why there is
// a ban; "" for none.
func (d *Decision) By() string {
	if d.Reason == policy.ByLimit {
		for i := range d.Limits {
			if !d.Limits[i].Allowed {
				return d.Limits[i].Name
			}
		}
	}
	switch {
	case d.Ban != nil:
		return d.Ban.Reason
	case d.Rule != nil:
		return d.Rule.Name
	case d.List != nil:
		return d.List.Name
	case d.Reason == policy.ByTier && d.Tier != nil:
		return d.Tier.Name
	}
	return ""
}

// Reset lets go of what a request and a dataset hold, and keeps the memory: for
// who keeps decisions to use them again.
func (d *Decision) Reset() {
	d.reset()
	d.Client, d.Record, d.Score, d.Shared = clientip.Client{}, ipwarden.Record{}, 0, false
	d.ID, d.Time, d.request, d.target, d.program = ID{}, time.Time{}, ipwarden.Request{}, "", nil
	d.situation, d.within = risk.Situation{}, within{}
	clear(d.risk.Contributions())
	d.input.Forget()
	clear(d.takes[:cap(d.takes)])
	clear(d.results[:cap(d.results)])
	clear(d.from[:cap(d.from)])
}
