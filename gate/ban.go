package gate

import (
	"net/netip"

	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/policy"
)

// ban shuts out who is over a limit that says so: the address, or the network round
// it that the limit was used up for. Nobody is shut out who is not known, who is one
// of ours, or with whom many others would be.
func (g *Gate) ban(d *Decision, l *policy.Limit, key limit.Key, r *limit.Result) {
	if d.peek || d.Shared || d.input.Unverified || d.Client.Status == clientip.Internal || d.Client.Addr.IsLoopback() {
		return
	}
	network := g.networkOf(d, l, key)
	if !network.IsValid() || !g.banner.Over(network, l.Name, d.Time.Add(l.Ban)) {
		return
	}
	r.RetryAfter = max(r.RetryAfter, l.Ban)
	r.Reset = max(r.Reset, l.Ban)
}

// networkOf is the network that a key of a limit by address is of.
func (g *Gate) networkOf(d *Decision, l *policy.Limit, key limit.Key) netip.Prefix {
	salt := d.program.salts[l.Index]
	for _, n := range d.networks[:d.nNetworks] {
		k := g.hasher.SumNetwork(n)
		if k.Beside(salt) == key || k.Apart(salt) == key {
			return n
		}
	}
	return netip.Prefix{}
}

// bannedByLimit says when the ban ends, and of one that a limit made what the limit
// itself would say.
func (d *Decision) bannedByLimit() {
	d.RetryAfter = d.Ban.Until.Sub(d.Time)
	if !d.Ban.OverLimit {
		return
	}
	for i, l := range d.program.Limits() {
		if l.Name != d.Ban.Reason {
			continue
		}
		r := limit.Result{Limit: d.program.rates[i].Limit, Reset: d.RetryAfter, RetryAfter: d.RetryAfter}
		d.takes = append(d.takes, limit.Request{Rate: &d.program.rates[i], Cost: 1})
		d.results = append(d.results, r)
		d.from = append(d.from, takenFrom{l, false})
		d.Limits = append(d.Limits, LimitState{Name: l.Name, Window: l.Window, Result: r})
		d.Response = d.program.OverLimit(l)
		return
	}
}
