package decide

import (
	"errors"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/policy"
)

// taken says which limit a take is for.
type taken struct {
	limit  *policy.Limit
	rollup bool // of the network round the address
}

// algorithms of package policy in those of package limit.
var algorithms = [...]limit.Algorithm{policy.GCRA: limit.GCRA, policy.Sliding: limit.Sliding, policy.Fixed: limit.Fixed}

func (e *Engine) prepareLimits() error {
	all := e.program.Limits()
	e.rates, e.salts, e.spaces = make([]limit.Rate, len(all)), make([]limit.Salt, len(all)), make([][]byte, len(all))
	var errs []error
	for i, l := range all {
		e.rates[i] = limit.Rate{Name: l.Name, Algorithm: algorithms[l.Algorithm], Limit: l.Limit, Window: l.Window, Burst: l.Burst}
		e.spaces[i] = limit.AppendPart(nil, l.Name)
		e.salts[i] = e.hasher.Salt(e.spaces[i])
		errs = append(errs, e.rates[i].Check())
	}
	return errors.Join(errs...)
}

// collect notes what each limit wants. Those that count what became of requests, and
// those in shadow, are not for here: nobody tells the edge, and it keeps no log.
func (e *Engine) collect() {
	e.takes, e.from = e.takes[:0], e.from[:0]
	for i := range e.decision.Uses {
		u := &e.decision.Uses[i]
		l := u.Limit
		if l.Shadow || l.CountsOutcomes() {
			continue
		}
		if l.ByAddress() {
			networks, n := limit.Networks(e.input.Client)
			for j, p := range networks[:n] {
				if j > 0 && l.Rollup[j-1] == 0 {
					continue
				}
				e.add(u, e.hasher.SumPrefix(e.salts[l.Index], p), e.raise(u, j), j > 0)
			}
			continue
		}
		for j, bits := range [...]int{64, 56, 48} {
			if j > 0 && (!l.HasAddress() || !e.input.Client.Is6() || l.Rollup[j-1] == 0) {
				continue
			}
			var ok bool
			if e.tuple, ok = l.AppendRollup(append(e.tuple[:0], e.spaces[l.Index]...), &e.input, bits); !ok {
				break
			}
			e.add(u, e.hasher.Sum(e.tuple), e.raise(u, j), j > 0)
		}
	}
}

// raise is by how much a limit is multiplied for the network j round the address.
func (e *Engine) raise(u *policy.Use, j int) uint32 {
	if j > 0 {
		return u.Raise * u.Limit.Rollup[j-1]
	}
	return u.Raise
}

func (e *Engine) add(u *policy.Use, key limit.Key, raise uint32, rollup bool) {
	if len(e.takes) == limit.MaxRequests {
		return // of so many limits those of networks round others go first
	}
	e.takes = append(e.takes, limit.Request{Rate: &e.rates[u.Limit.Index], Key: key, Cost: u.Cost, Raise: uint16(min(raise, 1<<16-1))})
	e.from = append(e.from, taken{u.Limit, rollup})
}

// take charges what was collected, all of it or nothing, and turns an allow into a
// throttle when a limit is used up. Who does not charge is told of no state.
func (e *Engine) take(a asked, said *verdict) {
	if !a.charge || len(e.takes) == 0 {
		return
	}
	for len(e.results) < len(e.takes) {
		e.results = append(e.results, limit.Result{})
	}
	results := e.results[:len(e.takes)]
	if e.limiter.TakeAt(a.now, e.takes, results) != nil {
		return
	}
	d := &e.decision
	for i := range results {
		r := &results[i]
		if !r.Allowed {
			d.Verdict, d.Reason, d.Response = ipwarden.Throttle, policy.ByLimit, e.program.OverLimit(e.from[i].limit)
			said.retry = max(said.retry, r.RetryAfter)
			if said.over == "" {
				said.over = e.from[i].limit.Name
			}
		}
		if e.from[i].rollup && r.Allowed {
			continue // of no interest to the client
		}
		said.limits = append(said.limits, state{e.from[i].limit.Name, e.from[i].limit.Window, r})
	}
}

// state is a limit as the client is told of it.
type state struct {
	name   string
	window time.Duration
	*limit.Result
}
