package gate

import (
	"context"
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
	for i := range d.Uses {
		g.collect(d, &d.Uses[i])
	}
	if len(d.takes) > 0 && !g.take(ctx, d) {
		d.Degraded = true
	}
	if d.Degraded && d.Verdict.Passes() {
		g.fail(ctx, route, d)
	}
	g.watch(ctx, d)
	if !d.Verdict.Passes() {
		d.pending = d.pending[:0] // what was refused has no outcome
	}
}

// collect adds what one limit wants: of the key itself, and of the networks
// round an IPv6 address, so that a spray through one of them is seen (C8).
func (g *Gate) collect(d *Decision, u *policy.Use) {
	l := u.Limit
	if l.Shadow {
		return
	}
	if l.ByAddress() {
		g.collectAddress(d, u)
		return
	}
	var ok bool
	if d.tuple, ok = l.AppendKey(d.tuple[:0], &d.input); !ok {
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
		d.tuple, _ = l.AppendRollup(d.tuple[:0], &d.input, bits)
		g.add(d, u, g.hasher.Sum(d.tuple), u.Raise*l.Rollup[i], true)
	}
}

// collectAddress is collect for the usual key, without putting a tuple together.
func (g *Gate) collectAddress(d *Decision, u *policy.Use) {
	salt := d.program.salts[u.Limit.Index]
	networks, n := limit.Networks(d.input.Client)
	for i := range n {
		raise := u.Raise
		if i > 0 {
			if u.Limit.Rollup[i-1] == 0 {
				continue
			}
			raise *= u.Limit.Rollup[i-1]
		}
		g.add(d, u, g.hasher.SumPrefix(salt, networks[i]), raise, i > 0)
	}
}

func (g *Gate) add(d *Decision, u *policy.Use, key limit.Key, raise uint32, rollup bool) {
	r := limit.Request{
		Rate: &d.program.rates[u.Limit.Index], Key: key, Cost: u.Cost, Raise: uint16(min(raise, 1<<16-1)),
	}
	if u.Limit.CountsOutcomes() {
		if len(d.pending) < maxPending {
			d.pending = append(d.pending, pendingUse{u.Limit, r})
		}
		r.Cost = 0 // is there any left?
	}
	d.takes = append(d.takes, r)
	d.from = append(d.from, takenFrom{u.Limit, rollup})
}

// take asks the limiter; false when it decided by this process's counts alone,
// or not at all.
func (g *Gate) take(ctx context.Context, d *Decision) (whole bool) {
	whole = true
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
	for i := range d.results {
		r := &d.results[i]
		whole = whole && r.Source != limit.Local
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
		d.takes, d.from, d.results = d.takes[:0], d.from[:0], d.results[:0]
		g.collect(d, &policy.Use{Limit: safe, Cost: 1, Raise: 1})
		g.take(ctx, d)
	}
}

// watch counts what is in shadow: by itself, so that it cannot refuse.
func (g *Gate) watch(ctx context.Context, d *Decision) {
	for i := range d.Uses {
		u := &d.Uses[i]
		if !u.Limit.Shadow {
			continue
		}
		var ok bool
		if d.tuple, ok = u.Limit.AppendKey(d.tuple[:0], &d.input); !ok {
			continue
		}
		d.watched[0] = limit.Request{
			Rate: &d.program.rates[u.Limit.Index], Key: g.hasher.Sum(d.tuple), Cost: u.Cost, Raise: uint16(min(u.Raise, 1<<16-1)),
		}
		if g.cfg.Limiter.Take(ctx, d.watched[:], d.seen[:]) == nil && !d.seen[0].Allowed {
			d.WouldLimit = u.Limit.Name
		}
	}
}
