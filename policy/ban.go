package policy

import (
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden"
)

// A Ban shuts a network out for a while. It is no part of a program: it is made
// while the program runs, by who saw the network do harm, or by a limit.
type Ban struct {
	Network netip.Prefix // canonical and masked
	// Action is Block, Challenge or Throttle.
	Action ipwarden.Verdict
	Until  time.Time
	Reason string // for people; "" when nobody gave one
	// OverLimit: Reason is the name of the limit that made it ([Limit.Ban]).
	OverLimit bool
}

// Holds reports whether the ban has not ended.
func (b *Ban) Holds(now time.Time) bool { return b != nil && now.Before(b.Until) }

// ban returns the ban that runs against the client; nil for none. It only ever
// takes away: the operator's entries for addresses go before it where they let in
// without a limit, or refuse themselves, and a clearance lifts a ban that
// challenges. Of a client that is not known nothing is known to be banned.
func (p *Program) ban(in *Input) *Ban {
	b := in.Ban
	if !b.Holds(in.Now) || in.Unverified || b.Action == ipwarden.Challenge && in.Cleared {
		return nil
	}
	if p.entries.any {
		l := p.entries.address(in.Client, in.Now)
		if l != nil && (l.Action == ipwarden.Block || l.Action == ipwarden.Allow && l.Limit == 0) {
			return nil
		}
	}
	return b
}

// banned makes the ban the decision, unless what was decided without it refuses as
// strictly: a ban that challenges does not open what a rule blocks.
func (d *Decision) banned(b *Ban, in *Input) {
	lifted := d.Verdict == ipwarden.Challenge && in.Cleared // which would let it in
	if d.Verdict != ipwarden.NoVerdict && !d.Verdict.Passes() && !lifted && strictness(d.Verdict) >= strictness(b.Action) {
		return
	}
	d.Verdict, d.Reason, d.Ban, d.Response = b.Action, ByBan, b, nil
	d.List, d.Rule, d.Threshold, d.LiftLimits, d.Softened = nil, nil, nil, false, false
}
