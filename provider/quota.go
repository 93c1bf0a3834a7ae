package provider

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Quota is what a vendor last said about how much may be asked.
type Quota struct {
	Remaining int64     // -1: the vendor did not say
	Used      int64     // -1: the vendor did not say
	Reset     time.Time // when Remaining is renewed; zero: the vendor did not say
	// Closed is until when the vendor is not asked, because it said that the quota
	// is used up; zero: it is asked.
	Closed time.Time
}

var unknownQuota = Quota{Remaining: -1, Used: -1}

// How long a vendor is left alone who does not say for how long.
const (
	firstWait = 10 * time.Second
	longWait  = time.Hour
	// A reset that is further away is tried after that, at the cost of one call.
	longReset = 24 * time.Hour
)

// A quotaGate is closed from the answer that says that the quota is used up to
// its reset. Then one call goes through, and its answer opens the gate or closes
// it again.
type quotaGate struct {
	mu      sync.Mutex // guards what is below
	until   time.Time  // zero: open
	strikes int        // closings without one answer between them
	probing bool       // the one call is on its way
	last    Quota
}

// enter reports whether a call may go out; if not, when to come back.
func (g *quotaGate) enter(now time.Time) (retry time.Time, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.until.IsZero():
		return time.Time{}, true
	case now.Before(g.until):
		return g.until, false
	case g.probing:
		return now.Add(time.Second), false
	}
	g.probing = true
	return time.Time{}, true
}

// shut closes the gate until reset, or for longer each time when that is not
// known. It returns until when, and whether the gate was open before.
func (g *quotaGate) shut(now, reset time.Time) (until time.Time, was bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Before(g.until) { // a call that was under way when another closed it
		return g.until, false
	}
	was = g.until.IsZero()
	wait := min(firstWait<<min(g.strikes, 12), longWait)
	if !reset.IsZero() {
		wait = min(max(reset.Sub(now), time.Second), longReset)
	}
	g.strikes++
	g.until, g.probing = now.Add(wait), false
	return g.until, was
}

// pass notes an answer; it returns whether the gate was closed until then.
func (g *quotaGate) pass(now time.Time) (was bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Before(g.until) { // a call that was under way when another closed it
		return false
	}
	was = !g.until.IsZero()
	g.until, g.strikes, g.probing = time.Time{}, 0, false
	return was
}

// fail notes a call without an answer that says anything about the quota.
func (g *quotaGate) fail() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.probing = false
}

func (g *quotaGate) saw(q Quota) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last = q
}

// Quota returns what the vendor last said, and whether it is asked.
func (p *Provider) Quota() Quota {
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	q := p.gate.last
	if p.cfg.Now().Before(p.gate.until) {
		q.Closed = p.gate.until
	}
	return q
}

// Headers in which vendors say how much is left. The first that is there counts.
var (
	remainingHeaders = [...]string{"X-Ratelimit-Remaining", "X-Rate-Limit-Remaining", "Ratelimit-Remaining", "X-Rl", "Ipregistry-Credits-Remaining"}
	resetHeaders     = [...]string{"X-Ratelimit-Reset", "X-Rate-Limit-Reset", "Ratelimit-Reset", "X-Ttl"}
)

// commonQuota reads the headers that most vendors use.
func commonQuota(h http.Header, now time.Time) Quota {
	q := unknownQuota
	for _, name := range remainingHeaders {
		if n, ok := parseCount(h.Get(name)); ok {
			q.Remaining = n
			break
		}
	}
	for _, name := range resetHeaders {
		if t := parseReset(h.Get(name), now); !t.IsZero() {
			q.Reset = t
			break
		}
	}
	return q
}

func parseCount(s string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	return n, err == nil && n >= 0
}

// parseReset reads seconds from now, seconds since 1970, milliseconds since 1970,
// or an HTTP date; else it is the zero time.
func parseReset(s string, now time.Time) time.Time {
	if n, ok := parseCount(s); ok {
		switch {
		case n > 1e14:
			return time.Time{}
		case n > 1e11:
			return time.UnixMilli(n)
		case n > 1e9:
			return time.Unix(n, 0)
		}
		return now.Add(time.Duration(n) * time.Second)
	}
	if t, err := http.ParseTime(s); err == nil {
		return t
	}
	return time.Time{}
}

// resetOf is when a vendor that refuses answers again: what Retry-After says, else
// what the quota does, if that is in the future.
func resetOf(h http.Header, q Quota, now time.Time) time.Time {
	if t := parseReset(h.Get("Retry-After"), now); !t.IsZero() {
		return t
	}
	if q.Reset.After(now) {
		return q.Reset
	}
	return time.Time{}
}
