package authz

import (
	"net/http"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/limit"
)

// Check says whether the call may have its answer: nil, or why not. What it admits
// it charges; the caller tells [Authorizer.Settle] what became of it in any case.
func (a *Authorizer) Check(c *Call) *Refusal {
	c.since = c.Now.Sub(a.start)
	if c.Key == "" {
		return a.checkAnonymous(c)
	}
	var k *slot
	if len(c.Key) == customer.KeyLen {
		k, c.account = a.lookUp(c.Key, &c.ahead)
	}
	if k == nil { // what is known is a key, and needs no proof of its form
		switch _, _, err := customer.ParseKey(c.Key); err {
		case nil:
			return a.refuse(c, UnknownKey)
		case customer.ErrChecksum:
			return a.refuse(c, Mistyped)
		default:
			return a.refuse(c, NotKey)
		}
	}
	c.key = k
	if r := a.may(c); r != nil {
		return r
	}
	class := customer.Charged
	if k.flags&flagTest != 0 {
		class = customer.Tested
	}
	a.expect(c, &k.Key, class)
	return a.charge(c, c.Items)
}

// may says whether the call's key is for it now; what that costs is not asked.
func (a *Authorizer) may(c *Call) *Refusal {
	k := c.key
	if k.ends != 0 && (c.Now.Unix() >= int64(k.ends) || k.flags&flagEnded != 0) {
		c.refused.at = time.Unix(int64(k.ends), 0)
		if k.flags&flagRevoked != 0 {
			return a.refuse(c, Revoked)
		}
		if customer.Status(c.account.Desk.Status.Load()) != customer.Deleted {
			c.by = a.plans.at(c.account.Desk.Plan.Load())
		}
		return a.refuse(c, Expired)
	}
	c.by = a.plans.at(c.account.Desk.Plan.Load())
	switch customer.Status(c.account.Desk.Status.Load()) {
	case customer.Active:
	case customer.Deleted:
		return a.refuse(c, UnknownKey)
	default:
		return a.refuse(c, Suspended)
	}
	if c.by == nil {
		return a.refuse(c, Suspended) // an account on no plan gets nothing
	}
	if a.shield != nil && a.shielded(c, true) {
		return a.refuse(c, Shielded)
	}
	if k.flags&flagRestricts != 0 {
		if why, ok := k.detail.admits(c, k.flags&flagPublishable != 0); !ok {
			return a.refuse(c, why)
		}
	}
	if k.flags&c.Scope.flag() == 0 {
		c.refused.scope = c.Scope
		return a.refuse(c, WrongScope)
	}
	return nil
}

// again is what Check finds out, for a call that lasts: its key may be taken back
// meanwhile, and what it is for may change.
func (a *Authorizer) again(c *Call) *Refusal {
	if c.anonymous {
		if a.tier.Load() == nil {
			return a.refuse(c, NoKey)
		}
		if a.shield != nil && a.shielded(c, false) {
			if c.refused.needsKey {
				return a.refuse(c, NoKey)
			}
			return a.refuse(c, Shielded)
		}
		return nil
	}
	k, account, _ := a.table.find(c.key.hash, a.where)
	if k == nil {
		return a.refuse(c, UnknownKey)
	}
	c.key, c.account = k, account
	return a.may(c)
}

// expect has the memory fetched in which the call will be counted by Settle. Until then
// it is looked up and answered, which is time enough.
func (a *Authorizer) expect(c *Call, k *usage.Key, class customer.Class) {
	c.expects = true
	a.usage.Expect(&c.expected, k, c.Endpoint, class, c.Client, hostOf(c.Referer))
}

// record counts n calls.
func (a *Authorizer) record(c *Call, k *usage.Key, class customer.Class, n int) {
	if !c.expects { // it was refused before that
		c.expects, c.expected.Client = true, c.Client
	}
	a.usage.RecordExpected(k, c.Endpoint, class, uint32(n), &c.expected)
}

// More charges a call that was admitted for n look-ups more, which are answered all
// or not at all.
func (a *Authorizer) More(c *Call, n int) *Refusal {
	if n <= 0 {
		return nil
	}
	if c.anonymous {
		return a.chargeAnonymous(c, n)
	}
	return a.charge(c, n)
}

// Some is [Authorizer.More] for a stream, which can do with fewer: it says how many of n
// it has charged, and why not all. It asks anew whether the key is for it.
func (a *Authorizer) Some(c *Call, n int) (may int, why *Refusal) {
	c.refused = Refusal{}
	if r := a.again(c); r != nil {
		return 0, r
	}
	for range 4 { // others may take of it meanwhile
		c.refused = Refusal{}
		r := a.More(c, n)
		if r == nil || r.Code != OverQuota {
			if r == nil {
				may = n
			}
			break
		}
		left := c.standingLeft()
		if left <= 0 || left >= int64(n) {
			return 0, r
		}
		// The quota is charged for what is left of it; the refusal stays.
		said := c.refused
		said.asked = 0 // what is left is used now
		said.Used += left
		c.refused = Refusal{}
		if a.More(c, int(left)) == nil {
			c.refused = said
			return int(left), &c.refused
		}
	}
	if may == 0 {
		return 0, &c.refused
	}
	return may, nil
}

// charge takes n look-ups of everything that bounds the key, or of nothing.
func (a *Authorizer) charge(c *Call, n int) *Refusal {
	k, p := c.key, c.by
	if p.Bulk > 0 && n > p.Bulk {
		c.refused.asked, c.refused.bulk = int64(n), int64(p.Bulk)
		return a.refuse(c, TooMany)
	}
	cost := clamp(int64(n))
	if p.rate.Limit > 0 {
		res := c.account.Desk.Burst.Take(c.since, &p.rate, cost)
		if !res.Allowed {
			return a.tooFast(c, &p.rate, &res)
		}
		c.left = res.Remaining
	}
	if k.flags&flagLimits != 0 {
		if r := a.chargeLimits(c, n); r != nil {
			if p.rate.Limit > 0 {
				c.account.Desk.Burst.Give(&p.rate, cost)
			}
			return r
		}
	}
	if k.flags&flagTest != 0 || n == 0 {
		return nil
	}
	if !c.account.Take(int64(n)) {
		a.giveBack(c, n)
		return a.overQuota(c, c.account, [2]string{nameDay, nameMonth}, n)
	}
	c.taken += int64(n)
	return nil
}

// chargeLimits is charge for what is the key's own.
func (a *Authorizer) chargeLimits(c *Call, n int) *Refusal {
	d, cost := c.key.detail, clamp(int64(n))
	for i := range d.limits {
		l := &d.limits[i]
		if res := l.cell.Take(c.since, &l.rate, cost); !res.Allowed {
			for j := range i {
				d.limits[j].cell.Give(&d.limits[j].rate, cost)
			}
			c.refused.own = true
			return a.tooFast(c, &l.rate, &res)
		}
	}
	if d.standing != nil && c.key.flags&flagTest == 0 && !d.standing.Take(int64(n)) {
		for i := range d.limits {
			d.limits[i].cell.Give(&d.limits[i].rate, cost)
		}
		c.refused.own = true
		return a.overQuota(c, d.standing, d.names, n)
	}
	return nil
}

// giveBack undoes charge but for the account's quota, which denied.
func (a *Authorizer) giveBack(c *Call, n int) {
	k, cost := c.key, clamp(int64(n))
	if c.by.rate.Limit > 0 {
		c.account.Desk.Burst.Give(&c.by.rate, cost)
	}
	if k.flags&flagLimits == 0 {
		return
	}
	for i := range k.detail.limits {
		k.detail.limits[i].cell.Give(&k.detail.limits[i].rate, cost)
	}
	if k.detail.standing != nil {
		k.detail.standing.Return(int64(n))
	}
}

// Settle counts the call once it was answered: n look-ups with the status of the
// answer. What was charged beyond them is given back. It must be called once for
// each Check, and may be called more often while a stream is answered: then more
// is true until the last.
func (a *Authorizer) Settle(c *Call, status, n int, more bool) {
	if c.key == nil {
		a.settleAnonymous(c, status, n)
		return
	}
	class := classOf(status)
	if c.refused.Code != Admitted && !more { // what a stream answered before counts as answered
		class = c.refused.Code.Class()
	}
	if class == customer.Charged && c.key.flags&flagTest != 0 {
		class = customer.Tested
	}
	charged := int64(0)
	if class == customer.Charged {
		charged = int64(n)
	}
	if back := c.taken - charged; back > 0 && !more {
		c.account.Return(back)
		if d := c.key.detail; d != nil && d.standing != nil {
			d.standing.Return(back)
		}
	}
	c.taken = max(0, c.taken-charged)
	if class != customer.Charged && class != customer.Tested {
		n = 1
	}
	if n == 0 {
		return
	}
	a.record(c, &c.key.Key, class, n)
}

// classOf is what an answer is counted as.
func classOf(status int) customer.Class {
	switch {
	case status >= 200 && status < 300, status == http.StatusNotModified:
		return customer.Charged
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return customer.Rejected
	case status == http.StatusTooManyRequests:
		return customer.Limited
	}
	return customer.Failed
}

// refuse fills in what is known of the call.
func (a *Authorizer) refuse(c *Call, code Code) *Refusal {
	r := &c.refused
	r.Code, r.anonymous = code, c.anonymous
	a.counts[code].Add(1)
	if c.key != nil {
		r.Key = c.key.ID
	}
	if code == UnknownKey {
		r.Key = 0 // of a deleted account nothing is told
	}
	if c.by != nil && !code.stranger() {
		r.Plan, r.Upgrade = c.by.title, c.by.Upgrade
		if !c.anonymous {
			c.stands(r)
		}
	}
	switch code {
	case WrongAddress:
		r.said = "an address that is not known"
		if c.Client.IsValid() {
			r.said = c.Client.String()
		}
	case WrongOrigin:
		r.said = ""
		for _, from := range [...]string{c.Origin, c.Referer} {
			if scheme, host, ok := pageOf(from); ok && r.said == "" {
				r.said = printable(scheme + "://" + host)
			}
		}
	}
	return r
}

// stranger reports whether who asks may have found the key, or has none that is known:
// then nothing is told of whose it is.
func (c Code) stranger() bool {
	switch c {
	case NoKey, NotKey, Mistyped, UnknownKey, Revoked, WrongAddress, WrongOrigin:
		return true
	}
	return false
}

// stands notes where the account stands, where the refusal is about something else: of
// the day, if the plan has one, else of the month.
func (c *Call) stands(r *Refusal) {
	if r.Code == Shielded { // what it says of Reset is its own
		return
	}
	if r.Code == OverQuota {
		r.window = c.by.Window.String()
		return
	}
	q := c.account.Quota()
	r.Region = q.Region
	use, name := q.Day, nameDay
	if use.Limit == 0 {
		use, name = q.Month, nameMonth
	}
	if r.Code == TooFast || use.Limit == 0 {
		return
	}
	r.Used, r.Max, r.Reset, r.quota, r.window = use.Used, use.Limit, use.Reset, name, c.by.Window.String()
}

// printable cuts what a client has sent, and takes out what is no printable ASCII.
func printable(s string) string {
	b := make([]byte, 0, min(len(s), 100))
	for i := 0; i < len(s) && len(b) < 100; i++ {
		if s[i] > 0x20 && s[i] < 0x7f {
			b = append(b, s[i])
		}
	}
	return string(b)
}

func (a *Authorizer) tooFast(c *Call, rate *limit.Rate, res *limit.Result) *Refusal {
	r := &c.refused
	r.Limit, r.Max, r.Used = rate.Name, int64(rate.Limit), int64(rate.Limit)-int64(res.Remaining)
	if rate.Burst > rate.Limit { // what is left may be more than the rate
		r.Max = int64(rate.Burst)
		r.Used = r.Max - int64(res.Remaining)
	}
	r.Wait = seconds(res.RetryAfter)
	r.Reset = c.Now.Add(res.RetryAfter + time.Second - 1).Truncate(time.Second)
	return a.refuse(c, TooFast)
}

func (a *Authorizer) overQuota(c *Call, s *usage.Standing, names [2]string, n int) *Refusal {
	r, q := &c.refused, s.Quota()
	use := q.Day
	r.Limit = names[0]
	if q.Month.Limit > 0 && (q.Day.Limit == 0 || q.Day.Left() >= int64(n) || q.Month.Left() < int64(n) && q.Month.Reset.After(q.Day.Reset)) {
		use, r.Limit = q.Month, names[1]
	}
	r.Used, r.Max, r.Reset, r.Region = use.Used, use.Limit, use.Reset, q.Region
	r.Wait = max(1, seconds(use.Reset.Sub(c.Now)))
	r.asked = int64(n)
	return a.refuse(c, OverQuota)
}

func seconds(d time.Duration) int64 { return int64((max(d, 0) + time.Second - 1) / time.Second) }

// LacksField refuses a call whose plan does not have a field that it names.
func (a *Authorizer) LacksField(c *Call, name string) *Refusal {
	c.refused.said = name
	return a.refuse(c, NoField)
}
