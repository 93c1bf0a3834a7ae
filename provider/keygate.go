package provider

import (
	"sync"
	"time"
)

// How long a vendor is left alone that refuses the key: some shut out who goes on.
const (
	firstKeyWait = 10 * time.Second
	longKeyWait  = 5 * time.Minute
)

// A keyGate is closed while the vendor refuses the key. One call now and then asks
// whether it still does; the first that is answered opens it.
type keyGate struct {
	mu      sync.Mutex // guards what is below
	since   time.Time  // zero: open
	until   time.Time  // when the next call may go out
	strikes int
	probing bool // that call is on its way
}

// enter reports whether a call may go out; if not, when to come back.
func (g *keyGate) enter(now time.Time) (retry time.Time, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.since.IsZero():
		return time.Time{}, true
	case now.Before(g.until):
		return g.until, false
	case g.probing:
		return now.Add(time.Second), false
	}
	g.probing = true
	return time.Time{}, true
}

// shut notes a refusal. It returns when to come back, and whether it is the first.
func (g *keyGate) shut(now time.Time) (until time.Time, first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Before(g.until) { // a call that was under way when another was refused
		return g.until, false
	}
	if first = g.since.IsZero(); first {
		g.since = now
	}
	g.until, g.probing = now.Add(min(firstKeyWait<<min(g.strikes, 12), longKeyWait)), false
	g.strikes++
	return g.until, first
}

// pass notes an answer; it returns whether the key had been refused before.
func (g *keyGate) pass() (was bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	was = !g.since.IsZero()
	g.since, g.until, g.strikes, g.probing = time.Time{}, time.Time{}, 0, false
	return was
}

// fail notes a call without an answer that says anything about the key.
func (g *keyGate) fail() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.probing = false
}

// Refused is since when the vendor refuses the key; the zero time while it does
// not.
func (p *Provider) Refused() time.Time {
	p.keys.mu.Lock()
	defer p.keys.mu.Unlock()
	return p.keys.since
}
