package authz

import (
	"math"
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/limit"
)

// AnonymousPlan is the name of the plan of calls without a key. While there is one,
// they are answered within it, by address (IPv6 by /64): its day, its second and its
// burst; its month is nobody's. While there is none, a key is needed.
const AnonymousPlan = "anonymous"

// A tier is the plan of calls without a key, in the form that is checked with.
type tier struct {
	plan
	day limit.Rate
}

func newTier(p customer.Plan) *tier {
	p.PerMonth, p.Window = 0, customer.Rolling // its day is the last 24 hours
	t := &tier{plan: *newPlan(p)}
	if p.PerDay > 0 {
		t.day = limit.Rate{Name: nameDay, Algorithm: limit.Sliding, Limit: clamp(p.PerDay), Window: 24 * time.Hour}
	}
	return t
}

// mostNetworks is as many as a limit.Memory holds with two limits each.
const mostNetworks = 1 << 29

// newMemory remembers the use of so many networks.
func newMemory(networks int) *limit.Memory {
	m, err := limit.NewMemory(limit.MemoryConfig{Entries: 2 * networks})
	if err != nil {
		panic(err) // New has looked at the number
	}
	return m
}

// checkAnonymous is Check without a key.
func (a *Authorizer) checkAnonymous(c *Call) *Refusal {
	t := a.tier.Load()
	if t == nil || c.Scope != Lookup {
		return a.refuse(c, NoKey)
	}
	if a.shield != nil && a.shielded(c, false) {
		if c.refused.needsKey {
			return a.refuse(c, NoKey)
		}
		return a.refuse(c, Shielded)
	}
	c.anonymous, c.by = true, &t.plan
	who := c.Client
	if !who.IsValid() {
		who = c.Peer
	}
	bits := 32
	if who.Is6() {
		bits = 64
	}
	network := netip.PrefixFrom(who, bits).Masked() // the zero one for who came over a Unix socket
	if t.day.Limit > 0 {
		c.requests[c.limits] = limit.Request{Rate: &t.day, Key: a.seed.SumPrefix(a.salts[0], network)}
		c.limits++
	}
	if t.rate.Limit > 0 {
		c.requests[c.limits] = limit.Request{Rate: &t.rate, Key: a.seed.SumPrefix(a.salts[1], network)}
		c.limits++
	}
	a.expect(c, &a.nobody, customer.Charged)
	return a.chargeAnonymous(c, c.Items)
}

func (a *Authorizer) chargeAnonymous(c *Call, n int) *Refusal {
	if c.by.Bulk > 0 && n > c.by.Bulk {
		c.refused.asked, c.refused.bulk = int64(n), int64(c.by.Bulk)
		return a.refuse(c, TooMany)
	}
	reqs, results := c.requests[:c.limits], c.results[:c.limits]
	for i := range reqs {
		reqs[i].Cost = clamp(int64(n))
		if rate := reqs[i].Rate; rate == &c.by.rate { // a bulk may be more than is had at once
			reqs[i].Cost = min(reqs[i].Cost, max(rate.Limit, rate.Burst))
			if rate.Burst > 0 {
				reqs[i].Cost = min(reqs[i].Cost, rate.Burst)
			}
		}
	}
	if err := a.memory.TakeAt(c.Now, reqs, results); err != nil {
		return nil //nolint:nilerr // it is about arguments, which are right
	}
	for i := range results {
		if results[i].Allowed {
			continue
		}
		if reqs[i].Rate == &c.by.rate {
			return a.tooFast(c, reqs[i].Rate, &results[i])
		}
		r := &c.refused
		r.Limit, r.Max = nameDay, int64(results[i].Limit)
		r.Used = r.Max - int64(results[i].Remaining)
		r.Wait, r.Reset = seconds(results[i].RetryAfter), c.Now.Add(results[i].RetryAfter)
		return a.refuse(c, OverQuota)
	}
	return nil
}

// settleAnonymous is Settle without a key: calls of the tier are counted together. Those
// that are refused because there is none are not: see [Authorizer.Refused].
func (a *Authorizer) settleAnonymous(c *Call, status, n int) {
	if !c.anonymous {
		return
	}
	class := classOf(status)
	if c.refused.Code != Admitted {
		class = c.refused.Code.Class()
	}
	if class != customer.Charged {
		n = 1
	}
	if n > 0 {
		a.record(c, &a.nobody, class, n)
	}
}

// ends is when a key is refused from, in seconds; 0 is never.
func ends(k *customer.Key) (at uint32, revoked bool) {
	first := k.Expires
	if !k.Revoked.IsZero() && (first.IsZero() || k.Revoked.Before(first)) {
		first, revoked = k.Revoked, true
	}
	if first.IsZero() {
		return 0, false
	}
	return uint32(min(max(first.Unix(), 1), math.MaxUint32)), revoked
}
