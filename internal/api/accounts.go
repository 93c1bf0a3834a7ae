package api

import (
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/authz"
	"github.com/ipwarden/ipwarden/internal/customer"
)

// keyed is what an exchange keeps where accounts are on.
type keyed struct {
	call    authz.Call
	asked   bool    // whether there may be an answer
	settled bool    // what became of it was counted
	count   int     // look-ups that were answered
	several bool    // in a dialect: it asks for several
	problem problem // of a refusal
	query   []byte
	limit   []byte // RateLimit
	policy  []byte // RateLimit-Policy
	allow   []byte // Access-Control-Allow-Origin
	retry   []byte // Retry-After
}

// identify finds the key that a request carries and what else a decision about it
// may rest on. The key is taken out of the query, so that nothing that is said or
// kept of the query has it.
func (x *exchange) identify() {
	if x.keyed == nil {
		x.keyed = new(keyed)
	}
	k := x.keyed
	k.call.Reset()
	k.asked, k.settled, k.several, k.count = false, false, false, 0
	c := &k.call
	c.Now, c.Path = x.now, x.path
	if x.header != nil {
		x.authorization, x.apiKey = joined(x.header.Values("Authorization")), joined(x.header.Values("X-Api-Key"))
		x.origin, x.referer = joined(x.header.Values("Origin")), joined(x.header.Values("Referer"))
	}
	c.Origin, c.Referer = x.origin, x.referer
	c.Key = x.carried()
	x.api.cfg.Accounts.Ahead(c) // as early as it is known
	if !x.peer.IsValid() && x.remote != "" {
		if p, err := netip.ParseAddrPort(x.remote); err == nil {
			x.peer = p.Addr()
		}
	}
	c.Peer = x.peer.Unmap().WithZone("")
	if f := x.api.cfg.Client; f != nil {
		x.readFields()
		c.Client = f(x.peer, x.header)
	} else {
		c.Client = c.Peer // not Canonical: 2002:7f00:1::1 is a host of its own, whatever it wraps
	}
}

// carried is the key of a request: of the Authorization field, else of X-Api-Key,
// else of the query. Several that are not the same are none that works.
func (x *exchange) carried() string {
	var keys [3]string
	keys[0] = bearer(x.authorization)
	keys[1] = strings.Trim(x.apiKey, " \t")
	keys[2] = x.keyOfQuery()
	found := ""
	for _, k := range keys {
		switch {
		case k == "" || k == found:
		case found == "":
			found = k
		default:
			return "several" // no key: which one did they mean?
		}
	}
	return found
}

// bearer is what follows Bearer in an Authorization field (RFC 6750 section 2.1).
// Another scheme is no key's.
func bearer(v string) string {
	const scheme = "bearer"
	v = strings.Trim(v, " \t")
	if len(v) <= len(scheme) || v[len(scheme)] != ' ' || !strings.EqualFold(v[:len(scheme)], scheme) {
		return ""
	}
	return strings.Trim(v[len(scheme):], " ")
}

// keyOfQuery takes ?key= out of the query and returns it.
func (x *exchange) keyOfQuery() string {
	const name = "key="
	at := -1
	switch {
	case strings.HasPrefix(x.query, name):
		at = 0
	default:
		if i := strings.Index(x.query, "&"+name); i >= 0 {
			at = i + 1
		}
	}
	if at < 0 {
		return ""
	}
	value, after, more := strings.Cut(x.query[at+len(name):], "&")
	rest := append(x.keyed.query[:0], x.query[:at]...)
	if more {
		rest = append(rest, after...)
	} else if at > 0 {
		rest = rest[:at-1] // the & before it
	}
	x.keyed.query = rest
	x.query = alias(rest)
	if value, ok := unescape(value, true); ok {
		return value
	}
	return value
}

// admit asks whether the request may have an answer of n look-ups; 0 is not known
// yet. It is asked once a request, before anything is looked up.
func (x *exchange) admit(e customer.Endpoint, s authz.Scope, n int) *problem {
	a := x.api.cfg.Accounts
	if a == nil {
		return nil
	}
	k := x.keyed
	k.asked, k.count = true, n
	k.call.Endpoint, k.call.Scope, k.call.Items = e, s, n
	if r := a.Check(&k.call); r != nil {
		return x.denied(r)
	}
	return nil
}

// admitMore is admit for n look-ups that were not known of then.
func (x *exchange) admitMore(n int) *problem {
	if x.api.cfg.Accounts == nil {
		return nil
	}
	if r := x.api.cfg.Accounts.More(&x.keyed.call, n); r != nil {
		return x.denied(r)
	}
	return nil
}

// answered says how many look-ups the answer has, where admit did not know.
func (x *exchange) answered(n int) {
	if x.keyed != nil {
		x.keyed.count = n
	}
}

// settle counts what was answered, once the status is known.
func (x *exchange) settle() {
	if k := x.keyed; k.asked && !k.settled {
		if x.stream != nil {
			return // it is counted as it goes
		}
		k.settled = true
		x.api.cfg.Accounts.Settle(&k.call, x.status, k.count, false)
	}
}

// denied is the problem of a refusal.
func (x *exchange) denied(r *authz.Refusal) *problem {
	x.sighted(r)
	if r.Upgrade == "" && (r.Code == authz.NoKey || r.Anonymous() && r.Code.Status() == http.StatusTooManyRequests) {
		r.Upgrade = x.api.pages.signUp
	}
	x.keyed.problem = problem{status: r.Code.Status(), slug: r.Code.Slug(), title: r.Code.Title(), refusal: r, example: exampleKey}
	return &x.keyed.problem
}

const exampleKey = `GET /v1/ip/8.8.8.8 with Authorization: Bearer ipw_sk_live_…`

// limitLines appends RateLimit and RateLimit-Policy.
func (x *exchange) limitLines() {
	k := x.keyed
	if k == nil || !k.asked {
		return
	}
	if k.limit = k.call.AppendRateLimit(k.limit[:0]); len(k.limit) > 0 {
		x.line("Ratelimit", alias(k.limit))
	}
	if k.policy = k.call.AppendPolicy(k.policy[:0]); len(k.policy) > 0 {
		x.line("Ratelimit-Policy", alias(k.policy))
	}
}

// varyKeyed is what answers depend on where accounts are on.
const varyKeyed = "Accept, Accept-Encoding, Authorization, Origin, X-Api-Key"

// mine bounds fields to those of the plan; asked are those that the request named.
func (x *exchange) mine(o *options) (*options, *problem) {
	if x.keyed == nil || !x.keyed.asked {
		return o, nil
	}
	has, some := x.keyed.call.Fields()
	if !some {
		return o, nil
	}
	if o.seen&paramFields != 0 {
		for f := range o.fields.All() {
			if !has.Has(f) {
				return nil, x.denied(x.api.cfg.Accounts.LacksField(&x.keyed.call, f.String()))
			}
		}
		return o, nil
	}
	mine := &options{seen: o.seen, explain: o.explain, format: o.format, limit: o.limit, from: o.from, ip: o.ip}
	for f := range o.fields.All() {
		if has.Has(f) {
			mine.fields = mine.fields.With(f)
		}
	}
	mine.volatile = mine.fields.Has(ipwarden.FieldTimeZoneCurrentTime)
	mine.zoned = mine.fields.Any(zonedFields)
	return mine, nil
}

// hasKey reports whether the request carries what is a key, perhaps mistyped, and no
// token of another kind.
func (x *exchange) hasKey() bool {
	if x.keyed == nil {
		return false
	}
	_, _, err := customer.ParseKey(x.keyed.call.Key)
	return err == nil || errors.Is(err, customer.ErrChecksum)
}

// wantsHome reports whether a person asks for the page, who is told there.
func (x *exchange) wantsHome() bool {
	f, p := x.choose(anyFormat, offerHome)
	return p == nil && f == formatHTML
}

// admitItems is admitMore for the items of an array, of which there may be limit.
// They are counted by reading the array once before it is answered.
func (x *exchange) admitItems(body []byte, limit int) *problem {
	if x.keyed == nil {
		return nil
	}
	x.answered(0)
	b := x.batchMemory()
	var s arrayScanner
	total := 0
	for more := s.open(body); more && total <= limit; {
		var n int
		n, more = s.fill(b.queries[:])
		total += n
	}
	if s.err != "" || total > limit {
		return nil // bulkArray says so
	}
	return x.admitMore(total)
}

// maxPace is how long a stream waits for a limit of the plan rather than end.
const maxPace = 10 * time.Second

// admitSome is admitMore for a stream: it says how many of n look-ups there may be,
// and why not all. What a limit of seconds would refuse it waits for.
func (x *exchange) admitSome(n int) (may int, why *problem) {
	if x.keyed == nil {
		return n, nil
	}
	a, c := x.api.cfg.Accounts, &x.keyed.call
	for {
		c.At(x.clock())
		may, r := a.Some(c, n)
		switch {
		case r == nil:
			return may, nil
		case r.Code != authz.TooFast || time.Duration(r.Wait)*time.Second > maxPace:
			return may, x.denied(r)
		}
		timer := time.NewTimer(time.Duration(r.Wait) * time.Second)
		select {
		case <-timer.C:
		case <-x.ctx.Done():
			timer.Stop()
			return may, x.denied(r)
		}
	}
}

// batchBound is how many items of a stream are answered at once: a plan's bulk bounds
// that, and not the stream.
func (x *exchange) batchBound() int {
	if x.keyed != nil {
		if bulk := x.keyed.call.Bulk(); bulk > 0 {
			return min(bulk, batchSize)
		}
	}
	return batchSize
}

// settleSome counts what a stream has answered so far, and settleEnd ends it.
func (x *exchange) settleSome(n int) {
	if x.keyed != nil {
		x.api.cfg.Accounts.Settle(&x.keyed.call, http.StatusOK, n, true)
	}
}

func (x *exchange) settleEnd() {
	if x.keyed != nil && x.keyed.asked {
		x.keyed.settled = true
		x.api.cfg.Accounts.Settle(&x.keyed.call, http.StatusOK, 0, false)
	}
}

// appendEnd appends the last item of a stream, which says why it ends.
func (x *exchange) appendEnd(dst []byte, index int, p *problem) []byte {
	dst = strconv.AppendInt(append(dst, `{"index":`...), int64(index), 10)
	dst = append(dst, `,"error":`...)
	dst = p.append(dst, "")
	dst[len(dst)-1] = '}'
	return append(dst, '\n')
}

// allowOrigin is whose pages may read the answer. What a key for certain pages got
// is for the page that asked; why it got nothing, anybody's script may read.
func (x *exchange) allowOrigin() string {
	k := x.keyed
	if k == nil || !k.asked || x.origin == "" || x.status >= 400 || !k.call.ForPage() {
		return "*"
	}
	k.allow = append(k.allow[:0], x.origin...)
	return alias(k.allow)
}

// varies is the Vary of the answer.
func (x *exchange) varies() string {
	keyed := x.keyed != nil && x.keyed.asked
	switch {
	case keyed && x.negotiated:
		return varyKeyed
	case keyed:
		return varyKeyed[len("Accept, "):]
	case x.negotiated:
		return varyAnswer
	}
	return "Accept-Encoding"
}

// retryLine says when to come back, of a refusal.
func (x *exchange) retryLine() {
	if wait := x.keyed.call.Wait(); wait > 0 {
		x.keyed.retry = strconv.AppendInt(x.keyed.retry[:0], wait, 10)
		x.line("Retry-After", alias(x.keyed.retry))
	}
}

// challenge is the WWW-Authenticate of a 401 (RFC 9110 section 11.6.1, RFC 6750
// section 3: no error for who has sent no key).
func (x *exchange) challenge() string {
	if x.keyed.call.Key == "" {
		return `Bearer realm="ipwarden"`
	}
	return `Bearer realm="ipwarden", error="invalid_token"`
}
