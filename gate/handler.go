package gate

import (
	"bufio"
	"context"
	"math/bits"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/policy"
)

// Handler stands in front of next. A request that may pass goes on with the
// headers that tell the application what is known (see [Decision.Enriched]),
// without those that a client forged, and with a [Summary] in its context; one
// that may not is answered here. The Request's Header is changed or replaced: a
// handler outside of this one that passes its Request on sees it changed; one that
// passes a copy on may see its own Header without what was forged, and without more.
func (g *Gate) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := visits.Get().(*visit)
		defer v.end()
		v.serve(g, next, w, r)
	})
}

// FromContext returns what was decided about the request of a context.
func FromContext(ctx context.Context) (Summary, bool) {
	s, ok := ctx.Value(summaryKey{}).(*Summary)
	if !ok {
		return Summary{}, false
	}
	return *s, true
}

type summaryKey struct{}

// lasting is what stays of a decision with a request: its context with the summary,
// and the header lines that were set. It is one piece of memory, since whoever
// gets a context or a header may keep it.
type lasting struct {
	context.Context
	summary Summary
	values  [maxValues]string
	n       int            // of values
	text    [textRoom]byte // of values; longer ones lie elsewhere
}

const (
	// What a request with every enrichment but tags needs; there may be more.
	maxValues = 18
	textRoom  = 200
)

// Value is of context.Context.
func (t *lasting) Value(key any) any {
	if key == (summaryKey{}) {
		return &t.summary
	}
	return t.Context.Value(key)
}

// set sets a header line. The name is in canonical form; the value is in t.text, or
// where nobody writes.
func (t *lasting) set(h http.Header, name, value string) {
	if t.n == len(t.values) {
		h[name] = []string{value}
		return
	}
	t.values[t.n] = value
	h[name] = t.values[t.n : t.n+1 : t.n+1]
	t.n++
}

// fields is the header of a request of net/http, whose names are in canonical
// form, asked for names that are so, too: http.Header.Values checks that anew.
type fields map[string][]string

// Values is of ipwarden.Header.
func (f fields) Values(name string) []string { return f[name] }

// A visit is one request of net/http, and the memory for it.
type visit struct {
	request  ipwarden.Request
	decision Decision
	body     []byte
}

var visits = sync.Pool{New: func() any { return new(visit) }}

// end gives the memory back. What it holds of the request and of the dataset is not
// cleared, which costs as much as a third of what comes after it: the next visit
// writes over it, and a pool keeps nothing for long that nobody takes.
func (v *visit) end() {
	v.decision.reset()
	v.decision.text = nil // it is the request's
	visits.Put(v)
}

func (v *visit) serve(g *Gate, next http.Handler, w http.ResponseWriter, r *http.Request) {
	d := &v.decision
	RequestOf(r, &v.request)
	g.Begin(r.Context(), &v.request, d)
	t := new(lasting)
	d.text = t.text[:0]
	reply := w.Header()
	d.Reply(func(name, value string) { t.set(reply, name, value) })
	if !d.Passes() {
		v.body = d.answer(w, r, v.body[:0])
		return
	}
	g.pass(r, d, t)
	t.Context = r.Context()
	d.summarize(&t.summary)
	r = r.WithContext(t)
	if len(d.pending) == 0 {
		next.ServeHTTP(w, r)
		return
	}
	// What becomes of it counts.
	tap := &statusTap{ResponseWriter: w}
	next.ServeHTTP(tap, r)
	o := policy.Outcome{Status: tap.Status()}
	if r.Context().Err() != nil && charges(d.pending, &o) == 0 {
		g.Lose(d) // a handler that was left alone may have answered anything
		return
	}
	// The request may be over and its context with it; the count is not.
	if err := g.Settle(context.WithoutCancel(r.Context()), d, o); err != nil {
		g.stats.limiterErrors.Add(1)
	}
}

// RequestOf fills in the neutral facts of a request of net/http. They share its
// memory.
func RequestOf(r *http.Request, q *ipwarden.Request) {
	*q = ipwarden.Request{
		Header: fields(r.Header), Method: r.Method, Scheme: "http", Host: hostOf(r.Host), Path: r.URL.EscapedPath(), Query: r.URL.RawQuery,
	}
	if r.TLS != nil {
		q.Scheme = "https"
	}
	if p, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		q.Peer = p.Addr()
	}
}

// hostOf is a Host field without its port and the dot of the root, in lower case:
// "Example.org.:8080" is served as example.org (RFC 3986 section 3.2.2).
// What stands behind a colon is the port, whatever it is, as proxies and applications
// have it: no client makes its host another one by it.
func hostOf(field string) string {
	host := field
	if strings.HasPrefix(field, "[") {
		if i := strings.IndexByte(field, ']'); i >= 0 {
			host = field[:i+1]
		}
	} else if i := strings.IndexByte(field, ':'); i >= 0 {
		host = field[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// pass takes off a request what a client forged and puts on what is known.
func (g *Gate) pass(r *http.Request, d *Decision, t *lasting) {
	client, came := g.Client(), r.Header
	var hops []string
	h := roomFor(came, bits.OnesCount16(uint16(d.enriching&tellAll))+1+3) // the verdict, and the client thrice
	for name, values := range came {
		if client.Removes(name) {
			delete(came, name)
			continue
		}
		if h != nil {
			h[name] = values
		}
		if name == "Connection" {
			hops = values
		}
	}
	if h == nil {
		h = came
	}
	r.Header = h
	// Hop-by-hop options are the client's word too: they must not take away what is
	// set here.
	for i, line := range hops {
		if rest, changed := client.Connection(line); changed {
			hops[i] = rest
		}
	}
	d.enrich(func(name, value string) bool {
		t.set(h, name, value)
		return true
	})
	var room [3]clientip.Field
	var told []clientip.Field
	d.text, told = client.AppendUpstreamIn(d.text, room[:0], d.Client)
	for _, f := range told {
		t.set(h, f.Name, f.Value)
	}
}

// roomFor is a header with room for what came and n more, where that which came would
// grow twice to take them, from 8 over 14 to 28 lines, which costs more than all else
// here. It is nil where there is room, or where growing once costs no more.
func roomFor(came http.Header, n int) http.Header {
	if all := len(came) + n; len(came) <= 8 && all > 14 {
		return make(http.Header, all)
	}
	return nil
}

// Refuse answers a request that does not go on: a problem document or a page,
// whichever r accepts, or a redirect, with the headers of Reply. It is for doors
// that are a net/http handler of their own.
func (d *Decision) Refuse(w http.ResponseWriter, r *http.Request) {
	d.Reply(func(name, value string) { w.Header().Set(name, strings.Clone(value)) })
	d.answer(w, r, nil)
}

// answer is Refuse without Reply; buf is memory for the body.
func (d *Decision) answer(w http.ResponseWriter, r *http.Request, buf []byte) (body []byte) {
	h := w.Header()
	status := d.Status()
	body, mediaType := d.AppendRefusal(buf, WantsPage(r.Header.Get("Accept")))
	h["Cache-Control"] = noStore
	if d.Location != "" {
		h.Set("Location", d.Location)
	}
	if mediaType != "" {
		h.Set("Content-Type", mediaType)
		h.Set("X-Content-Type-Options", "nosniff")
		if mediaType == mediaPage && d.OwnPage() {
			h.Set("Content-Security-Policy", PagePolicy)
		}
	}
	h["Vary"] = append(h["Vary"], "Accept")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client went away: nobody to tell
	}
	return body
}

var noStore = []string{"no-store"}

// statusTap notes the status of an answer that passes through it.
type statusTap struct {
	http.ResponseWriter
	status int
}

// Status is 200 for a handler that wrote none.
func (t *statusTap) Status() int {
	if t.status == 0 {
		return http.StatusOK
	}
	return t.status
}

// WriteHeader notes the first final status; 1xx are not final.
func (t *statusTap) WriteHeader(status int) {
	if t.status == 0 && status >= 200 || status == http.StatusSwitchingProtocols {
		t.status = status
	}
	t.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (t *statusTap) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// Flush is for handlers that know http.Flusher.
func (t *statusTap) Flush() {
	_ = http.NewResponseController(t.ResponseWriter).Flush() // whoever cannot flush buffers
}

// Hijack is for handlers that take the connection over.
func (t *statusTap) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(t.ResponseWriter).Hijack()
}
