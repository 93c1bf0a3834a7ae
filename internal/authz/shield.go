package authz

import (
	"net/netip"
	"time"
)

// A Shield is what an operator refuses under attack. Its methods are on the way of
// each request: they must neither block nor, while nothing is refused, take more than
// nanoseconds.
type Shield interface {
	// Refuses says whether requests of a client are refused, with or without a key as
	// keyed says; until when; and whether a key would help. A client that is not known
	// is the invalid address.
	Refuses(client netip.Addr, keyed bool, now time.Time) (until time.Time, needsKey, refused bool)
}

// shielded asks the Shield about a call.
func (a *Authorizer) shielded(c *Call, keyed bool) bool {
	who := c.Client
	if !who.IsValid() {
		who = c.Peer
	}
	until, needsKey, refused := a.shield.Refuses(who, keyed, c.Now)
	if refused {
		c.refused.at, c.refused.needsKey, c.refused.shielded = until, needsKey, true
		c.refused.Reset = until.Truncate(time.Second)
		c.refused.Wait = max(1, seconds(until.Sub(c.Now)))
	}
	return refused
}

// Anonymous reports whether the call came without a key and was refused as such.
func (r *Refusal) Anonymous() bool { return r.anonymous }
