package gate

import (
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/policy"
)

// A Reuse says for what else a decision holds.
type Reuse struct {
	// Network holds the client: requests from it that agree in what the policy reads
	// ([policy.Program.Reads]) and in Headers and Cookies are decided alike.
	Network netip.Prefix
	// Headers, in canonical form, and Cookies are what the gate itself reads besides.
	Headers, Cookies []string
	// Counted: a limit was charged, or something would be counted. Who uses the decision
	// again spares its requests the charge.
	Counted bool
	// For is how long it holds at most; 0 is not known.
	For time.Duration
}

// A splitter is Bans that know whether one is for a part of a network alone. Others
// are taken to have such.
type splitter interface {
	Splits(network netip.Prefix, now time.Time) bool
}

// cookied are Challenges that say which cookie they read.
type cookied interface{ CookieName() string }

// Reuse says for what else d, which g has just decided, holds until something
// changes: the data, the policy, bans. ok is false when it is for its request alone:
// something was away or is not known yet, an outcome is awaited, the visitor is sent
// back to where it came from, or a condition reads what cannot be told.
func (g *Gate) Reuse(d *Decision) (r Reuse, ok bool) {
	reads := d.program.Reads()
	switch {
	case reads.Unknown, d.Degraded, d.Incomplete, d.crowded, d.placeless, !d.Client.Addr.IsValid(), !d.Client.Safe():
		return r, false
	case d.input.Crawler == policy.Pending, d.Reason == policy.ByFailClosed, d.Reason == policy.ByUnresolved:
		return r, false
	case d.Location != "" && !(d.Response.IsRedirect() && d.Response.Constant()):
		return r, false // it says where to come back to
	case d.Verdict == ipwarden.Challenge && g.cfg.Challenges != nil:
		return r, false
	}
	for i := range d.from {
		if d.from[i].limit.CountsOutcomes() {
			return r, false
		}
	}
	if g.cfg.Crawlers != nil {
		r.Headers = append(r.Headers, "User-Agent") // who claims to be a crawler is verified
	}
	if g.cfg.Challenges != nil {
		c, named := g.cfg.Challenges.(cookied)
		if !named {
			return r, false
		}
		r.Cookies = append(r.Cookies, c.CookieName())
	}
	addr := d.Client.Addr
	if len(d.takes) > 0 {
		r.Counted, r.Network = true, policy.Prefix(addr)
		if !d.Passes() {
			r.Counted, r.For = false, d.RetryAfter // who is refused is not charged
		}
	} else if d.Reason == policy.ByClearance {
		r.Network = netip.PrefixFrom(addr, addr.BitLen()) // it is nobody else's
	} else {
		r.Network = g.around(d, reads)
	}
	if b := d.Ban; b != nil {
		r.For = b.Until.Sub(d.Time)
		if !r.Network.IsValid() || b.Network.Bits() > r.Network.Bits() {
			r.Network = b.Network
		}
	}
	return r, true
}

// around is the network in which nothing that is known of it differs.
func (g *Gate) around(d *Decision, reads *policy.Reads) netip.Prefix {
	addr := d.Client.Addr
	alone := netip.PrefixFrom(addr, addr.BitLen())
	if reads.Address || d.Client.Transition != ipwarden.NotWrapped || d.Client.Zone || g.asker != nil || g.hasty != nil {
		return alone
	}
	known := d.Record.Network()
	if !known.IsValid() || !known.Contains(addr) {
		return alone
	}
	around := d.program.Around(addr, known.Masked())
	if g.cfg.Bans != nil && around != alone {
		s, can := g.cfg.Bans.(splitter)
		if !can || s.Splits(around, d.Time) {
			return alone
		}
	}
	return around
}
