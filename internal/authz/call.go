package authz

import (
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/limit"
)

// A Call is one request: what is asked, and, once it was checked, on whose account.
// Who has many uses one again after [Call.Reset].
type Call struct {
	Key             string // as it came; "" is none
	Path            string // "/v1/ip/8.8.8.8", "/compat/ipinfo"
	Origin, Referer string // as they came
	Client          netip.Addr
	Peer            netip.Addr // whom a call without a key is charged to when Client is not known
	Endpoint        customer.Endpoint
	Scope           Scope
	Items           int // look-ups that are asked for; 0 is not known yet, see [Authorizer.More]
	Now             time.Time

	key       *slot           // whose it is; nil without a key
	account   *usage.Standing // its account's
	by        *plan
	anonymous bool
	since     time.Duration // Now on the clock of the cells
	taken     int64         // of the quotas
	left      uint32        // of the burst
	ahead     ahead
	expects   bool // expected is of this call
	expected  usage.Expected
	refused   Refusal
	requests  [2]limit.Request // without a key
	results   [2]limit.Result
	limits    int // of them
}

// Reset forgets the call.
func (c *Call) Reset() {
	c.Key, c.Path, c.Origin, c.Referer = "", "", "", ""
	c.Client, c.Peer = netip.Addr{}, netip.Addr{}
	c.Endpoint, c.Scope, c.Items, c.Now = 0, 0, 0, time.Time{}
	c.key, c.account, c.by, c.anonymous, c.since, c.taken, c.left = nil, nil, nil, false, 0, 0, 0
	if c.refused.Code != Admitted { // else it is as it was
		c.refused = Refusal{}
	}
	c.ahead = ahead{}
	if c.expects {
		c.expects, c.expected = false, usage.Expected{}
	}
	if c.limits > 0 {
		c.requests, c.results, c.limits = [2]limit.Request{}, [2]limit.Result{}, 0
	}
}

// Account is on whose account the call is; 0 without a key.
func (c *Call) Account() customer.AccountID {
	if c.key == nil {
		return 0
	}
	return c.key.Account
}

// At says that the time is now: a call may last.
func (c *Call) At(now time.Time) {
	c.since += now.Sub(c.Now)
	c.Now = now
}

// standingLeft is what is left of the quotas.
func (c *Call) standingLeft() int64 {
	if c.key == nil {
		return 0
	}
	left := func(s *usage.Standing) int64 {
		q := s.Quota()
		return min(q.Day.Left(), q.Month.Left())
	}
	n := left(c.account)
	if d := c.key.detail; d != nil && d.standing != nil {
		n = min(n, left(d.standing))
	}
	return n
}

// KeyID is the key's; 0 without one.
func (c *Call) KeyID() customer.KeyID {
	if c.key == nil {
		return 0
	}
	return c.key.ID
}

// Fields are what the plan has of a record; false is all of them.
func (c *Call) Fields() (f ipwarden.Fields, some bool) {
	if c.by == nil {
		return f, false
	}
	return c.by.fields, c.by.some
}

// Bulk is how many items the plan has at once; 0 is no bound.
func (c *Call) Bulk() int {
	if c.by == nil {
		return 0
	}
	return c.by.Bulk
}

// ForPage reports whether the key is for certain web pages: then the answer is for
// the page that asked alone.
func (c *Call) ForPage() bool {
	return c.key != nil && c.key.detail != nil && (len(c.key.detail.origins) > 0 || c.key.flags&flagPublishable != 0)
}

// Left says how much of the plan's quota is used, and of how much: of the day if it
// has one of a day, else of the month; a limit of 0 is none.
func (c *Call) Left() (used, of int64, reset time.Time) {
	if c.key == nil {
		return 0, 0, time.Time{}
	}
	q := c.account.Quota()
	if q.Day.Limit > 0 {
		return q.Day.Used, q.Day.Limit, q.Day.Reset
	}
	return q.Month.Used, q.Month.Limit, q.Month.Reset
}

// Wait is in how many seconds asking again can help, of a refused call; 0 is not known.
func (c *Call) Wait() int64 { return c.refused.Wait }
