package api

import (
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/api/dialect"
)

// inDialect returns the dialect that a request is for, nil for our own routes,
// and the path in there.
func (x *exchange) inDialect() (*dialect.Dialect, string) {
	switch {
	case x.only != nil:
		return x.only, x.path
	case x.api.cfg.Dialects == nil || x.api.cfg.GateOnly:
		return nil, ""
	}
	return x.api.cfg.Dialects.Find(x.host, x.path)
}

// DialectHandler returns the net/http shell of a listener that speaks one
// dialect and nothing else.
func (a *API) DialectHandler(d *dialect.Dialect) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.answerHTTP(w, r, d) })
}

// serveDialect answers in another vendor's wire format, mistakes too.
func (x *exchange) serveDialect(d *dialect.Dialect, path string) {
	x.route = routeDialect
	x.api.metrics.dialects[d.Index()].Inc()
	if x.method == http.MethodOptions {
		x.preflightDialect()
		return
	}
	if x.call == nil {
		x.call = new(dialect.Call)
	}
	c := x.call
	if !x.peer.IsValid() && x.remote != "" {
		if p, err := netip.ParseAddrPort(x.remote); err == nil {
			x.peer = p.Addr()
		}
	}
	c.Request = dialect.Request{
		Ctx: x.ctx, Method: x.method, Host: x.host, Path: path, Query: x.query, Base: x.api.pages.base, Peer: x.peer, Now: x.now, Transport: x,
	}
	if x.st.data != nil {
		c.Data = x.st.data
	}
	c.Out = x.out[:0]
	if x.api.cfg.Accounts != nil {
		defer x.settle()
	}
	x.speak(d, c)
	x.countDialect(c)
	if c.Err != nil {
		_ = x.failed(c.Err)
	}
	x.status, x.contentType, x.out = c.Status, c.ContentType, c.Out
	x.cache = x.cacheOf(c)
	if x.keyed != nil {
		x.settle() // first, so that what is given back is told as left
	}
	x.finish()
	for _, l := range c.Lines {
		x.line(l.Name, l.Value)
	}
	if len(c.Lines) > 0 {
		x.sortLines()
	}
}

// speak lets the dialect answer; a panic is one of its own 500s.
func (x *exchange) speak(d *dialect.Dialect, c *dialect.Call) {
	defer func() {
		if r := recover(); r != nil {
			x.api.cfg.Log.Error("panic while answering", "route", routeNames[x.route], "dialect", d.Name, "panic", r, "stack", string(debug.Stack()))
			x.closing = true
			d.Fail(c)
		}
	}()
	d.Serve(c)
}

// cacheOf returns how long the answer of a dialect holds.
func (x *exchange) cacheOf(c *dialect.Call) (p cachePolicy) {
	switch {
	case c.Volatile || c.Keep == dialect.KeepNot || c.Status != http.StatusOK:
		return neverKept
	case c.Keep == dialect.KeepDay:
		p.maxAge = day
	default:
		p = x.cacheFor(c.Record, &options{zoned: c.Zoned})
	}
	if c.Private {
		p = p.forCaller()
	}
	return p
}

// preflightDialect answers OPTIONS (Fetch standard, CORS protocol): browsers ask
// it before they send a key in a header.
func (x *exchange) preflightDialect() {
	x.status = http.StatusNoContent
	x.line("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, If-None-Match, X-Api-Key")
	x.line("Access-Control-Allow-Methods", allowBoth)
	x.line("Access-Control-Allow-Origin", "*")
	x.line("Access-Control-Max-Age", "86400")
	x.line("Allow", allowBoth)
	x.line("Cache-Control", "public, max-age=86400")
}

// Fields has all field lines, for a dialect.
func (x *exchange) Fields() ipwarden.Header {
	x.readFields()
	return x.header
}

// Body returns the body of a POST, for a dialect.
func (x *exchange) Body(limit int) ([]byte, error) {
	if x.body == nil {
		return nil, nil
	}
	b, err := x.body.readAll(limit)
	if err != nil {
		x.closing = true // the rest of it was not read
	}
	if err == errTooLarge {
		err = dialect.ErrTooLarge
	}
	return b, err
}

// authority is the host of a request target in absolute form, which is the one
// that counts (RFC 9112 section 3.2.2); "" of any other.
func authority(target string) string {
	if target == "" || target[0] == '/' {
		return ""
	}
	_, rest, ok := strings.Cut(target, "://")
	if !ok {
		return ""
	}
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		rest = rest[:i]
	}
	return rest
}
