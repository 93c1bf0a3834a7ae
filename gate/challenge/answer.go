package challenge

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/policy"
)

// An Ask is a request for the page, in neutral facts, so that any door can serve
// it.
type Ask struct {
	Method   string
	Query    url.Values
	Form     url.Values // of a POST
	Language string     // the Accept-Language field
	HTTPS    bool       // it came over HTTPS
}

// An Answer is what to send back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Answer serves the page and judges what its form brings. It needs no client
// address: the gate has put the network into the ticket.
func (c *Challenges) Answer(ctx context.Context, q *Ask) Answer {
	now := c.cfg.Now()
	v := &visit{c: c, q: q, now: now, texts: c.textsFor(q.Language)}
	values := q.Query
	switch q.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPost:
		values = q.Form
	default:
		a := v.problem(http.StatusMethodNotAllowed, v.texts.Invalid)
		a.Header.Set("Allow", "GET, HEAD, POST")
		return a
	}
	v.to = safeTo(values.Get("to"), c.cfg.Path)
	t, ok := c.seal.openTicket(values.Get("t"))
	if !ok {
		c.stats.forged.Add(1)
		return v.problem(http.StatusBadRequest, v.texts.Invalid)
	}
	v.ticket = t
	if age := now.Sub(t.Issued); age > c.cfg.TicketLife || age < -time.Minute {
		// No redirect: where the clocks of two nodes differ, it would never end.
		c.stats.old.Add(1)
		return v.problem(http.StatusGone, v.texts.Old)
	}
	if q.Method == http.MethodPost {
		return v.judge(ctx)
	}
	c.stats.shown.Add(1)
	return v.show(http.StatusOK, q.Query.Get("wait") != "")
}

// visit is one request for the page.
type visit struct {
	c      *Challenges
	q      *Ask
	now    time.Time
	texts  *Texts
	to     string
	ticket *Ticket
}

// judge looks at what the form brought.
func (v *visit) judge(ctx context.Context) Answer {
	c, t := v.c, v.ticket
	kind, life := c.kindFor(t), c.cfg.Life
	name := v.q.Form.Get("kind")
	without := name == c.cfg.WithoutScript.Name()
	switch {
	case without && name == kind.Name(): // the operator wants it for all
		life = c.cfg.ShortLife
	case without && c.withoutScript(t):
		kind, life = c.cfg.WithoutScript, c.cfg.ShortLife
	case name != kind.Name():
		return v.problem(http.StatusBadRequest, v.texts.Invalid)
	case t.Fallback:
		life = c.cfg.ShortLife
	}
	result := kind.Verify(ctx, t, v.q.Form, v.now)
	c.counted[kind.Name()][result].Add(1)
	switch result {
	case Solved:
		if without && !v.mayWait(ctx) {
			return v.busy()
		}
		return v.clear(ctx, life)
	case Busy:
		return v.busy()
	case Unavailable:
		return v.fail(ctx)
	}
	if without { // too early: the same ticket, and the rest of the wait
		return v.show(http.StatusForbidden, true)
	}
	v.ticket = c.seal.newTicket(t.net, t.Score, true, t.Fallback, v.now)
	return v.show(http.StatusForbidden, false)
}

// mayWait charges the limit of clearances without script.
func (v *visit) mayWait(ctx context.Context) bool {
	c, p := v.c, v.ticket.Network()
	if !p.IsValid() {
		return false
	}
	reqs := make([]limit.Request, 0, 2)
	reqs = append(reqs, limit.Request{Rate: &c.rate, Key: c.hasher.SumPrefix(c.salts[0], p), Cost: 1})
	if p.Addr().Is6() {
		wide, _ := p.Addr().Prefix(48)
		reqs = append(reqs, limit.Request{Rate: &c.rate, Key: c.hasher.SumPrefix(c.salts[1], wide), Cost: 1, Raise: 8})
	}
	var results [2]limit.Result
	err := c.waits.Take(ctx, reqs, results[:len(reqs)])
	if err != nil || !limit.Allowed(results[:len(reqs)]) {
		c.stats.limited.Add(1)
		return false
	}
	return true
}

// fail does what the route does when something that decides is away.
func (v *visit) fail(ctx context.Context) Answer {
	c, t := v.c, v.ticket
	switch mode := c.cfg.FailMode(v.to); {
	case mode == policy.FailOpen:
		c.stats.open.Add(1)
		return v.clear(ctx, c.cfg.ShortLife)
	case mode == policy.FailClosed || t.Fallback:
		c.stats.closed.Add(1)
		return v.away()
	}
	c.stats.fellBack.Add(1)
	v.ticket = c.seal.newTicket(t.net, t.Score, false, true, v.now)
	return v.show(http.StatusOK, false)
}

// clear spends the ticket and gives a clearance for it.
func (v *visit) clear(ctx context.Context, life time.Duration) Answer {
	c, t := v.c, v.ticket
	until := t.Issued.Add(c.cfg.TicketLife)
	first := c.spent.spend(t.ID, v.now)
	if first && c.cfg.Spender != nil {
		shared, err := c.cfg.Spender.Spend(ctx, t.ID, until)
		if err != nil {
			c.stats.shareErrors.Add(1)
			// Unless the route is closed, this node's own memory stands.
			switch c.cfg.FailMode(v.to) {
			case policy.FailClosed:
				c.stats.closed.Add(1)
				return v.away()
			case policy.FailSafe:
				life = min(life, c.cfg.ShortLife)
			}
		} else {
			first = shared
		}
	}
	if !first {
		c.stats.replayed.Add(1)
		return v.problem(http.StatusForbidden, v.texts.Used)
	}
	cookie := make([]byte, 0, 256)
	cookie = append(append(cookie, c.cfg.Cookie...), '=')
	cookie = c.seal.appendClearance(cookie, clearance{
		issued: v.now.Unix(), expires: v.now.Add(life).Unix(), net: t.net, ceiling: min(t.Score, 100-min(c.cfg.Margin, 100)) + min(c.cfg.Margin, 100),
	})
	cookie = append(cookie, "; Path=/; Max-Age="...)
	cookie = strconv.AppendInt(cookie, int64(life/time.Second), 10)
	cookie = append(cookie, "; HttpOnly; SameSite=Lax"...)
	if c.cfg.Secure || v.q.HTTPS {
		cookie = append(cookie, "; Secure"...)
	}
	return Answer{Status: http.StatusSeeOther, Header: http.Header{
		"Location": {v.to}, "Set-Cookie": {string(cookie)}, "Cache-Control": {"no-store"}, "Referrer-Policy": {"no-referrer"},
	}}
}

func (v *visit) away() Answer {
	a := v.problem(http.StatusServiceUnavailable, v.texts.Away)
	a.Header.Set("Retry-After", "60")
	return a
}

func (v *visit) busy() Answer {
	a := v.problem(http.StatusTooManyRequests, v.texts.Busy)
	a.Header.Set("Retry-After", "60")
	return a
}
