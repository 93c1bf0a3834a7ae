package dnsbl

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// State is what a List makes of a zone.
type State uint8

// The states.
const (
	Checking State = iota // its control addresses are asked for the first time
	On                    // it is asked
	Off                   // it failed, and is not asked until its control addresses are right again
)

// String returns "checking", "on" or "off".
func (s State) String() string { return [...]string{"checking", "on", "off"}[min(s, Off)] }

// zone is a Zone and how it does.
type zone struct {
	Zone
	suffix   string       // what comes after the address in a question
	codes    []netip.Addr // sorted
	meanings []Code       // of each of codes

	state atomic.Uint32 // a State; written with mu held
	ready chan struct{} // closed after the first check
	gen   atomic.Uint32 // counts how often what it had said was given up
	kick  chan struct{} // the time of the next check has changed

	inARow counted // of answers since the last check

	asked, listed, notListed, unknown, unanswered, refused, lied atomic.Uint64

	mu       sync.Mutex
	reason   error     // guarded by mu: why it is off
	since    time.Time // guarded by mu: of state
	checked  time.Time // guarded by mu: when its control addresses were asked last
	next     time.Time // guarded by mu: when they are asked again
	strikes  int       // guarded by mu: failures since it was right twice in a row
	controls []Control // guarded by mu: what they gave
}

// counted are answers in a row, listed or failed.
type counted struct{ listed, failed atomic.Int32 }

func newZone(z Zone) *zone {
	z.Name = strings.ToLower(strings.TrimSuffix(z.Name, "."))
	if z.Listing == "" {
		z.Listing = z.Name
	}
	n := &zone{Zone: z, suffix: "." + z.Name + ".", kick: make(chan struct{}, 1), ready: make(chan struct{})}
	if z.Key != "" {
		n.suffix = "." + z.Key + n.suffix
	}
	for a := range z.Codes {
		n.codes = append(n.codes, a)
	}
	slices.SortFunc(n.codes, netip.Addr.Compare)
	for _, a := range n.codes {
		n.meanings = append(n.meanings, z.Codes[a])
	}
	return n
}

func (z *zone) is() State { return State(z.state.Load()) }

// serves reports whether the zone has addresses of that family.
func (z *zone) serves(addr netip.Addr) bool {
	if addr.Is4() {
		return !z.NoIPv4
	}
	return z.IPv6
}

// Health is how a zone does.
type Health struct {
	Zone     string
	State    State
	Reason   string    // why it is off
	Since    time.Time // of State
	Checked  time.Time // when its control addresses were asked last; zero: not yet
	Next     time.Time // when they are asked again
	Controls []Control // what they gave
	// Counts since the start.
	Asked      uint64 // questions about addresses
	Listed     uint64 // answers with a code that the zone's map has
	NotListed  uint64 // answers without one
	Unknown    uint64 // codes that it does not have
	Unanswered uint64 // no answer in time, or none that can be used
	Refused    uint64 // answers by which the list refuses its service
	Lied       uint64 // answers that no list gives
}

func (z *zone) health() Health {
	z.mu.Lock()
	defer z.mu.Unlock()
	h := Health{
		Zone: z.Name, State: z.is(), Since: z.since, Checked: z.checked, Next: z.next, Controls: slices.Clone(z.controls),
		Asked: z.asked.Load(), Listed: z.listed.Load(), NotListed: z.notListed.Load(), Unknown: z.unknown.Load(),
		Unanswered: z.unanswered.Load(), Refused: z.refused.Load(), Lied: z.lied.Load(),
	}
	if z.reason != nil {
		h.Reason = z.reason.Error()
	}
	return h
}
