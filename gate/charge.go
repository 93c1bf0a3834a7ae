package gate

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/policy"
)

// takenFrom says which limit a take is for, and how much of the address it has.
type takenFrom struct {
	limit  *policy.Limit
	rollup bool // of the network round the address
}

// charge takes every limit that applies, or none, and turns an allow into a
// throttle when one is used up.
func (g *Gate) charge(ctx context.Context, route *policy.Route, d *Decision) {
	ctx = g.bound(ctx, route, d)
	for i := range d.Uses {
		if u := &d.Uses[i]; !u.Limit.Shadow {
			g.collect(d, u)
		}
	}
	g.enter(d)
	if !g.join(ctx, d) {
		d.Degraded = true
	}
	if len(d.takes) > 0 && !g.take(ctx, d) {
		d.Degraded = true
	}
	if d.placeless && d.Verdict.Passes() {
		d.refusePlaceless()
	}
	if d.Degraded && d.Verdict.Passes() {
		g.fail(ctx, route, d)
	}
	if d.Verdict.Passes() { // what is refused is not charged
		g.watch(ctx, route, d)
	}
}

// collect adds what one limit wants: of the key itself, and of the networks
// round an IPv6 address, so that a spray through one of them is seen (C8).
func (g *Gate) collect(d *Decision, u *policy.Use) {
	l := u.Limit
	if l.ByAddress() {
		g.collectAddress(d, u)
		return
	}
	var ok bool
	if d.tuple, ok = l.AppendKey(append(d.tuple[:0], d.program.spaces[l.Index]...), &d.input); !ok {
		return
	}
	g.add(d, u, g.hasher.Sum(d.tuple), u.Raise, false)
	if !l.HasAddress() || !d.input.Client.Is6() {
		return
	}
	for i, bits := range [...]int{56, 48} {
		if l.Rollup[i] == 0 {
			continue
		}
		d.tuple, _ = l.AppendRollup(append(d.tuple[:0], d.program.spaces[l.Index]...), &d.input, bits)
		g.add(d, u, g.hasher.Sum(d.tuple), u.Raise*l.Rollup[i], true)
	}
}

// approach computes the key of the client's address, and lets its place come from
// memory while the request is looked at. Which of the tiers' limits will be taken
// is not known yet; they all have the same place.
func (g *Gate) approach(d *Decision) {
	if !d.program.byAddress {
		return
	}
	if a := d.Client.Addr; a.Is4() { // the commonest case without moving three
		d.networks[0], d.nNetworks = netip.PrefixFrom(a, 32), 1
	} else {
		d.networks, d.nNetworks = limit.Networks(a)
		d.nNetworks = max(d.nNetworks, 1) // nobody has an address: all who come through that socket are one
	}
	d.key = g.hasher.SumNetwork(d.networks[0])
	if g.toucher != nil {
		g.toucher.Touch(d.key)
	}
}

// collectAddress is collect for the usual key, without putting a tuple together.
func (g *Gate) collectAddress(d *Decision, u *policy.Use) {
	l := u.Limit
	salt, key := d.program.salts[l.Index], d.key
	for i := range d.nNetworks {
		raise := u.Raise
		if i > 0 {
			if l.Rollup[i-1] == 0 {
				continue
			}
			raise *= l.Rollup[i-1]
			key = g.hasher.SumNetwork(d.networks[i])
		}
		if d.program.beside[l.Index] {
			g.add(d, u, key.Beside(salt), raise, i > 0)
		} else {
			g.add(d, u, key.Apart(salt), raise, i > 0)
		}
	}
}

func (g *Gate) add(d *Decision, u *policy.Use, key limit.Key, raise uint32, rollup bool) {
	r := limit.Request{
		Rate: &d.program.rates[u.Limit.Index], Key: key, Cost: u.Cost, Raise: uint16(min(raise, 1<<16-1)),
	}
	if u.Limit.CountsOutcomes() {
		g.pend(d, pendingUse{limit: u.Limit, request: r, rollup: rollup})
		r.Cost = 0 // is there any left?
	}
	if d.peek {
		r.Cost = 0
	}
	d.takes = append(d.takes, r)
	d.from = append(d.from, takenFrom{u.Limit, rollup})
}

// pend notes what waits for the outcome. When there is too much of it, networks
// round an address go first.
func (g *Gate) pend(d *Decision, p pendingUse) {
	if len(d.pending) < maxPending {
		d.pending = append(d.pending, p)
		return
	}
	if !d.peek {
		g.stats.unawaited.Add(1)
	}
	for i := range d.pending {
		if !p.rollup && d.pending[i].rollup {
			d.pending[i] = p
			return
		}
	}
}

// take asks the limiter; false when it decided by this process's counts alone,
// or not at all.
func (g *Gate) take(ctx context.Context, d *Decision) (whole bool) {
	if len(d.takes) > limit.MaxRequests && !g.peek(ctx, d) {
		return g.state(d)
	}
	for start := 0; start < len(d.takes); start += limit.MaxRequests {
		end := min(start+limit.MaxRequests, len(d.takes))
		for len(d.results) < end {
			d.results = append(d.results, limit.Result{})
		}
		if err := g.cfg.Limiter.Take(ctx, d.takes[start:end], d.results[start:end]); err != nil {
			g.stats.limiterErrors.Add(1)
			return false
		}
	}
	return g.state(d)
}

// peek asks whether more than one Take has room for may be had, so that none of
// it is charged when the last is used up. It leaves results only when it may not.
func (g *Gate) peek(ctx context.Context, d *Decision) (allowed bool) {
	d.results = append(d.results[:0], make([]limit.Result, len(d.takes))...)
	peeks := slices.Clone(d.takes)
	for i := range peeks {
		peeks[i].Cost = 0
	}
	for start := 0; start < len(peeks); start += limit.MaxRequests {
		end := min(start+limit.MaxRequests, len(peeks))
		if g.cfg.Limiter.Take(ctx, peeks[start:end], d.results[start:end]) != nil {
			d.results = d.results[:0]
			return true // the charge will say what is wrong
		}
	}
	if limit.Allowed(d.results) {
		d.results = d.results[:0]
		return true
	}
	return false
}

// state makes of the results what the client is told; false when this process's
// counts alone decided.
func (g *Gate) state(d *Decision) (whole bool) {
	whole = true
	for i := range d.results {
		r := &d.results[i]
		whole = whole && r.Source != limit.Local
		if !r.Allowed && d.from[i].limit.Ban != 0 {
			g.ban(d, d.from[i].limit, d.takes[i].Key, r)
		}
		d.crowd(d.takes[i].Key, r)
		if !r.Allowed {
			d.Verdict, d.Reason = ipwarden.Throttle, policy.ByLimit
			d.Response = d.program.OverLimit(d.from[i].limit)
			d.RetryAfter = max(d.RetryAfter, r.RetryAfter)
		}
		from := d.from[i]
		if from.rollup && r.Allowed {
			continue // of no interest to the client
		}
		d.Limits = append(d.Limits, LimitState{
			Name: from.limit.Name, Window: from.limit.Window, Result: *r,
		})
	}
	return whole
}

// fail applies the route's fail mode to a decision that would let the request in
// without all that it wanted to know.
func (g *Gate) fail(ctx context.Context, route *policy.Route, d *Decision) {
	switch route.FailMode {
	case policy.FailClosed:
		d.refuse(ipwarden.Block, policy.ByFailClosed)
		d.RetryAfter = 5 * time.Second
	case policy.FailSafe:
		safe := d.program.Safe()
		for i := range d.from {
			if d.from[i].limit == safe {
				return // it was among those taken
			}
		}
		// Something took its time already; the rest of the budget is all there is.
		d.takes, d.from, d.results = d.takes[:0], d.from[:0], d.results[:0]
		g.collect(d, &policy.Use{Limit: safe, Cost: 1, Raise: 1})
		g.take(ctx, d)
	}
}

// left is what is left of the budget: all of it where nothing waits.
func (g *Gate) left(route *policy.Route, d *Decision) time.Duration {
	if !g.waits && g.hasty == nil {
		return route.Budget
	}
	return route.Budget - g.cfg.Now().Sub(d.Time)
}

// watch counts what is in shadow as it would be counted if it were enforced, by
// itself, so that it cannot refuse, and as long as the budget lasts.
func (g *Gate) watch(ctx context.Context, route *policy.Route, d *Decision) {
	for i := range d.Uses {
		u := &d.Uses[i]
		if !u.Limit.Shadow {
			continue
		}
		if g.left(route, d) <= 0 {
			return
		}
		from := len(d.takes)
		g.collect(d, u)
		n := len(d.takes) - from
		if n > 0 && g.cfg.Limiter.Take(ctx, d.takes[from:], d.seen[:n]) == nil && !limit.Allowed(d.seen[:n]) {
			d.WouldLimit = u.Limit.Name
		}
		d.takes, d.from = d.takes[:from], d.from[:from]
	}
}
