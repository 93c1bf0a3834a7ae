package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/policy"
)

var noID gate.ID

// A visit is one request, and the memory for it. Its proxy's functions are made
// once.
type visit struct {
	gateway  *Gateway
	proxy    httputil.ReverseProxy
	request  ipwarden.Request
	decision gate.Decision
	fields   []clientip.Field

	// Of this request.
	tap     tap
	in      *http.Request
	body    *body // nil for none
	target  target
	path    string // that goes on
	attach  func() // ends the request to the upstream when the client goes away; nil where it always does
	decided time.Time
	result  result
}

func newVisit(g *Gateway) *visit {
	v := &visit{gateway: g}
	v.proxy = httputil.ReverseProxy{
		Rewrite: v.rewrite, ModifyResponse: v.answered, ErrorHandler: v.failed,
		Transport: g.transport, BufferPool: &g.buffers, ErrorLog: g.errorLog,
	}
	v.tap.onTake = g.metrics.upgraded.Inc
	return v
}

// end counts the visit and puts its memory back.
func (v *visit) end() {
	g := v.gateway
	switch {
	case v.tap.hijacked:
		v.result = resultUpgraded
		g.metrics.upgraded.Dec()
	case v.result == resultAborted && v.in.Context().Err() != nil:
		v.result = resultCanceled
	}
	g.metrics.results[v.result].Inc()
	v.tap = tap{onTake: v.tap.onTake}
	v.request, v.in, v.body, v.target, v.path, v.attach, v.result = ipwarden.Request{}, nil, nil, target{}, "", nil, resultAborted
	v.decision.Reset() // what had no outcome has none now, and what waits in the pool holds no dataset
	g.visits.Put(v)
}

// serve decides and sends on. It panics with http.ErrAbortHandler when the
// answer breaks off.
func (v *visit) serve(w http.ResponseWriter, r *http.Request, t target) {
	g, d := v.gateway, &v.decision
	v.target, v.in = t, r
	var peer netip.Addr
	if p, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		peer = p.Addr()
	}
	v.request = ipwarden.Request{
		Peer: peer, Header: r.Header, Method: r.Method, Scheme: g.scheme(r, peer),
		Host: t.host, Path: t.path, Query: r.URL.RawQuery,
	}
	start := g.cfg.Now()
	g.cfg.Gate.Begin(r.Context(), &v.request, d)
	v.decided = g.cfg.Now()
	g.metrics.decision.Observe(since(start, v.decided))
	v.tap.ResponseWriter = w
	if !d.Passes() {
		v.result = resultRefused
		g.hasten(w, r)
		d.Refuse(w, r)
		return
	}
	v.path = d.UpstreamPath()
	if u := r.Header["Upgrade"]; len(u) > 0 && !g.upgrades[strings.ToLower(u[0])] {
		// A server may go on as if nothing was asked (RFC 9110 section 7.8).
		delete(r.Header, "Upgrade")
	}
	if r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0 {
		if g.cfg.MaxBody > 0 && r.ContentLength > g.cfg.MaxBody {
			v.fail(resultTooLarge)
			return
		}
		v.body = g.newBody(w, r)
		r.Body = v.body
	}
	if r.ProtoMajor >= 2 {
		v.tap.watch(g.cfg.StallTimeout)
	}
	if d.AwaitsOutcome() {
		var end func()
		r, end = v.detach(r)
		defer end()
	}
	v.proxy.ServeHTTP(&v.tap, r)
	if v.tap.status != 0 && v.result == resultAborted {
		v.result = resultOf(v.tap.status)
	}
}

// detach lets the upstream answer a request whose outcome is awaited, also when the
// client goes away first: what the application has judged counts. The upstream has
// its usual time for that (Config.ResponseTimeout).
func (v *visit) detach(r *http.Request) (detached *http.Request, end func()) {
	client := r.Context()
	ctx, cancel := context.WithCancel(context.WithoutCancel(client))
	stop := func() bool { return true }
	v.attach = func() { stop = context.AfterFunc(client, cancel) }
	return r.WithContext(ctx), func() {
		stop()
		cancel()
	}
}

// rewrite makes the request that goes on. Hop-by-hop headers have been removed,
// so nothing that a client says of them takes away what is set here.
func (v *visit) rewrite(p *httputil.ProxyRequest) {
	g, out := v.gateway, p.Out
	out.URL = &url.URL{
		Scheme: g.up.scheme, Host: g.up.host, Path: v.path, RawPath: v.path,
		RawQuery: p.In.URL.RawQuery, ForceQuery: p.In.URL.ForceQuery, // as it came, not as ReverseProxy reads it
	}
	if strings.IndexByte(v.path, '%') >= 0 {
		out.URL.Path, _ = url.PathUnescape(v.path) // it was put together by Respell
	}
	out.Host = v.target.authority
	if g.cfg.UpstreamHost != "" {
		out.Host = g.cfg.UpstreamHost
	}
	h := out.Header
	for name := range h {
		if g.removes(name) {
			delete(h, name)
		}
	}
	v.fields = g.cfg.Gate.Client().AppendUpstream(v.fields[:0], v.decision.Client)
	values := make([]string, 0, 20)
	set := func(name, value string) {
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
	for _, f := range v.fields {
		set(f.Name, f.Value)
	}
	var k keeper
	for name, value := range v.decision.Enriched() {
		set(name, k.keep(value))
	}
	set("X-Forwarded-Host", v.target.authority)
	set("X-Forwarded-Proto", v.request.Scheme)
	v.trailers(out)
}

// trailers lets those go on that were announced. Some applications take a
// trailer for a header, so what is removed there is removed here.
func (v *visit) trailers(out *http.Request) {
	if len(out.Trailer) == 0 || v.body == nil {
		out.Trailer = nil
		return
	}
	for name := range out.Trailer {
		if v.gateway.removes(name) || !httpguts.ValidTrailerHeader(name) {
			delete(out.Trailer, name)
		}
	}
	v.body.goes = out.Trailer
}

// answered sees the header of the upstream's answer.
func (v *visit) answered(res *http.Response) error {
	g, d := v.gateway, &v.decision
	g.metrics.upstream.Observe(since(v.decided, g.cfg.Now()))
	// Before the client sees the answer, so that who waits for it finds it
	// counted; and also when the client is gone.
	if err := g.cfg.Gate.Settle(context.WithoutCancel(v.in.Context()), d, policy.Outcome{Status: res.StatusCode}); err != nil {
		g.cfg.Log.Debug("an outcome was not counted", "error", err)
	}
	if v.attach != nil { // the rest of the answer is for the client alone
		v.attach()
	}
	// Here and not on the writer: an answer with 103 before it would lose them.
	var k keeper
	d.Reply(func(name, value string) { res.Header[name] = []string{k.keep(value)} })
	if g.closes(v.in) && res.StatusCode != http.StatusSwitchingProtocols {
		res.Header["Connection"] = []string{"close"}
	}
	return nil
}

// failed answers a request that could not be sent on.
func (v *visit) failed(_ http.ResponseWriter, _ *http.Request, err error) {
	g := v.gateway
	var timeout net.Error
	r := resultUnreachable
	if why, ok := v.body.failed(); ok {
		r = why
	} else if v.in.Context().Err() != nil {
		r = resultCanceled
	} else if errors.As(err, &timeout) && timeout.Timeout() {
		r = resultTimeout
	}
	if r != resultUnreachable { // the application may have judged what came of it
		g.cfg.Gate.Lose(&v.decision)
	}
	if r == resultUnreachable || r == resultTimeout {
		if say, unsaid := g.failing.note(g.cfg.Now()); say {
			g.cfg.Log.Warn("the upstream fails", "as", resultNames[r], "error", err, "times not said", unsaid)
		}
	}
	v.fail(r)
}

func (v *visit) fail(r result) {
	v.result = r
	if v.tap.hijacked {
		return // there is nobody left to tell in HTTP
	}
	if r == resultCanceled {
		panic(http.ErrAbortHandler) // no answer at all, rather than an empty one
	}
	v.gateway.hasten(v.tap.ResponseWriter, v.in)
	h := v.tap.ResponseWriter.Header()
	var k keeper
	v.decision.Reply(func(name, value string) { h.Set(name, k.keep(value)) })
	if v.gateway.closes(v.in) || r >= resultTooLarge {
		h.Set("Connection", "close") // what is left of the body is not read
	}
	failures[r].write(v.tap.ResponseWriter, v.in, v.decision.ID)
}

// logWriter takes net/http's own log, which mostly speaks of clients' mistakes.
type logWriter struct{ log *slog.Logger }

func (l logWriter) Write(p []byte) (int, error) {
	l.log.Debug("net/http", "message", strings.TrimSpace(string(p)))
	return len(p), nil
}
