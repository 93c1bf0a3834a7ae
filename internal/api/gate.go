package api

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/gate/ban"
	"github.com/ipwarden/ipwarden/gate/challenge"
	"github.com/ipwarden/ipwarden/gate/crawler"
	"github.com/ipwarden/ipwarden/internal/authz"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/door"
)

// GateConfig adds the gate's routes: /gate/nginx, /gate/forward-auth and
// /gate/envoy for proxies, /v1/decide, /v1/outcome, /v1/decisions/{id} and /v1/bans
// for applications.
type GateConfig struct {
	// Gate decides. Its own way of finding clients is that of /v1/decide, whose
	// callers name the address, and is not used. Required.
	Gate *gate.Gate

	// Nginx, ForwardAuth and Envoy are views of the gate that find clients as
	// these proxies tell them. Default: Gate.
	Nginx, ForwardAuth, Envoy *gate.Gate

	// Trusted may ask: the proxies and the applications. Who asks decides for
	// whom, so nobody else may; a Unix socket is guarded by its file's mode.
	// Default: nobody over the network.
	Trusted []netip.Prefix

	// Token lets whoever has it ask, from anywhere, as "Authorization: Bearer".
	// Default: none.
	Token string

	// Crawlers is what Gate verifies crawlers by, for the metrics. Default: none.
	Crawlers *crawler.Verifier

	// Bans are those that Gate decides by. Default: none, and no /v1/bans.
	Bans *ban.Table

	// Challenges has the page where clients prove themselves, for anybody who
	// comes: on the net/http listener. Default: none.
	Challenges *challenge.Challenges

	// Lease is how long an answer of /v1/decide may be used again that no limit was
	// charged for, and LimitedLease one that was: who keeps it then lets in whatever
	// comes meanwhile for one charge. Default: DefaultLease, and not at all; negative:
	// not at all.
	Lease, LimitedLease time.Duration
}

// gateRoutes is GateConfig, ready to be asked.
type gateRoutes struct {
	GateConfig
	token   [sha256.Size]byte
	refused once
	leases  leases
	unheard door.Unheard
}

func newGateRoutes(cfg *GateConfig) (*gateRoutes, error) {
	if cfg == nil {
		return nil, nil
	}
	if cfg.Gate == nil {
		return nil, errors.New("GateConfig without a Gate: make one with gate.New")
	}
	if cfg.Token != "" && len(cfg.Token) < minToken {
		return nil, errors.New("the service token has fewer than " + strconv.Itoa(minToken) + " characters; make one with: openssl rand -hex 32")
	}
	g := &gateRoutes{GateConfig: *cfg}
	if g.Lease == 0 {
		g.Lease = DefaultLease
	}
	if g.Lease > MaxLease || g.LimitedLease > MaxLease {
		return nil, errors.New("a verdict lease is for more than an hour; give less, such as 1m")
	}
	for _, view := range []**gate.Gate{&g.Nginx, &g.ForwardAuth, &g.Envoy} {
		if *view == nil {
			*view = cfg.Gate
		}
	}
	g.token = sha256.Sum256([]byte(cfg.Token))
	return g, nil
}

// minToken is the length from which a token cannot be guessed, in characters.
const minToken = 24

// admits reports whether whoever sent the exchange may ask the gate.
//
// An application asks for itself. A question under /v1/ that was passed on is its
// visitor's, who came through a proxy that is trusted: it needs the token (F1).
func (g *gateRoutes) admits(x *exchange, path string) bool {
	if passedOn := strings.HasPrefix(path, "/v1/") && forwarded(x.header); !passedOn && g.trusts(x) {
		return true
	}
	if g.Token == "" || x.header == nil {
		return false
	}
	v := x.header.Values("Authorization")
	if len(v) != 1 {
		return false
	}
	const bearer = "bearer "
	if len(v[0]) <= len(bearer) || !strings.EqualFold(v[0][:len(bearer)], bearer) {
		return false
	}
	sum := sha256.Sum256([]byte(v[0][len(bearer):]))
	return subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1
}

// trusts reports whether the other end of the connection may ask: it is named, or came
// over a Unix socket.
func (g *gateRoutes) trusts(x *exchange) bool {
	if x.local || !x.peer.IsValid() {
		return x.local
	}
	// Not Canonical: 2002:7f00:1::1 is a host on the Internet, whatever it wraps.
	peer := x.peer.Unmap().WithZone("")
	for _, p := range g.Trusted {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

// forwarded reports whether a proxy has passed a request on.
func forwarded(h ipwarden.Header) bool {
	for _, name := range [...]string{"X-Forwarded-For", "Forwarded", "X-Real-Ip", "Via"} {
		if len(h.Values(name)) > 0 {
			return true
		}
	}
	return false
}

// gated answers a route of the gate.
func (x *exchange) gated(path string) *problem {
	g := x.api.gate
	if g == nil {
		return noGate(path)
	}
	x.readFields()
	byKey := (path == "/v1/decide" || path == "/v1/outcome") && x.hasKey()
	if byKey {
		// An outcome belongs to a decision that was counted, and so may a question.
		if p := x.admit(customer.EndpointDecide, authz.Decide, 0); p != nil {
			return p
		}
	}
	if !byKey && !g.admits(x, path) {
		if g.refused.minute(x.now) {
			x.api.cfg.Log.Warn("somebody who is not trusted asked the gate; name your proxy with --trusted-proxies, or use a Unix socket or a service token",
				"route", routeNames[x.route])
		}
		if forwarded(x.header) && g.trusts(x) {
			return passedOn()
		}
		return notTrusted(x.peer)
	}
	switch {
	case path == "/gate/nginx":
		return x.askedBy(gate.Nginx, g.Nginx)
	case path == "/gate/nginx/refusal":
		return x.broughtBack(g.Nginx)
	case path == "/gate/forward-auth":
		return x.askedBy(gate.ForwardAuth, g.ForwardAuth)
	case path == "/gate/envoy", strings.HasPrefix(path, "/gate/envoy/"):
		return x.askedBy(gate.Envoy, g.Envoy)
	case path == "/v1/decide":
		return x.decide(g)
	case path == "/v1/outcome":
		return x.outcome(g.Gate)
	}
	if isBans(path) {
		return x.bans(path)
	}
	if id, ok := strings.CutPrefix(path, "/v1/decisions/"); ok {
		return x.decision(g.Gate, id)
	}
	return notFound(path)
}

// readFields makes a Header of the field lines as they came. Those of the fast
// listener were checked by its own readers: a name is a token, and a colon ends
// it. A folded line goes on behind the line before it, as net/http reads it.
func (x *exchange) readFields() {
	if x.header != nil {
		return
	}
	fields := &x.gateMemory().fields
	fields.Reset()
	for rest := unfold(x.head); len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, newline)
		line = bytes.TrimSuffix(line, []byte{'\r'})
		name, value, ok := bytes.Cut(line, []byte{':'})
		if !ok || len(name) == 0 || name[0] == ' ' || name[0] == '\t' {
			continue
		}
		fields.Add(alias(name), alias(bytes.Trim(value, " \t")))
	}
	x.header = fields
}

// unfold puts lines that were folded back together, with a space between the parts
// (RFC 9112 section 5.2). A head without any, as nearly all are, is returned as it
// is.
func unfold(head []byte) []byte {
	if !bytes.Contains(head, []byte("\n ")) && !bytes.Contains(head, []byte("\n\t")) {
		return head
	}
	out := make([]byte, 0, len(head))
	for rest := head; len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, newline)
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(out) > 0 && len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
			out = append(bytes.TrimSuffix(out, newline), ' ')
		}
		out = append(append(out, bytes.Trim(line, " \t")...), '\n')
	}
	return out
}

// peerOf is the other end of a connection; a Unix socket has none.
func peerOf(a net.Addr) (peer netip.Addr, local bool) {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.AddrPort().Addr(), false
	case *net.UnixAddr:
		return netip.Addr{}, true
	}
	return netip.Addr{}, false
}

// gateAnswer is what the gate's routes keep in an exchange.
type gateAnswer struct {
	used     bool
	fields   ipwarden.Lines
	request  ipwarden.Request
	decision gate.Decision
}

// askedBy answers a proxy.
func (x *exchange) askedBy(f gate.Family, g *gate.Gate) *problem {
	a := x.gateMemory()
	a.request = ipwarden.Request{
		Peer: x.peer, Header: x.header, Method: x.method, Scheme: "http", Host: x.host, Path: x.path, Query: x.query,
	}
	if f == gate.Envoy {
		a.request.Host = hostOf(x.host)
		a.request.Path = strings.TrimPrefix(x.path, "/gate/envoy")
		if a.request.Path == "" {
			a.request.Path = "/"
		}
		if !belowEnvoy(x.path) {
			a.request.Path = "/.." // which is refused
		}
	}
	if err := f.Read(&a.request); err != nil {
		return noOriginal(err, f)
	}
	d := &a.decision
	g.Decide(x.ctx, &a.request, d)
	x.status, x.done = f.AnswerStatus(d), true
	// Mostly in the order of their names already.
	x.line("Cache-Control", "no-store")
	d.Reply(x.line)
	if status := d.Status(); status == 0 {
		d.Enrich(x.line)
		if d.AwaitsOutcome() {
			if f == gate.Nginx {
				x.line(headerAwaits, "true")
			}
			x.api.gate.unheard.Waits(g, routeNames[routeGate]+"/"+f.String(), x.now, x.api.cfg.Log)
		}
	} else {
		x.refusal(f, d, status)
	}
	x.sortLines()
	return nil
}

// headerAwaits tells nginx that a limit waits to hear the status of the answer: it logs
// those alone where the gate listens. It is not for the application.
const headerAwaits = gate.HeaderPrefix + "Awaits"

// belowEnvoy reports whether a path is below /gate/envoy to whoever reads it: to a proxy
// that merges slashes and decodes them, "/gate/envoy/..%2f..%2f.ipwarden%2fx" is the
// challenge's page, which it passes on to us for any visitor (F1).
func belowEnvoy(raw string) bool {
	if !strings.Contains(raw, "..") && !strings.Contains(raw, "%2") {
		return true
	}
	decoded, err := url.PathUnescape(raw)
	return err == nil && strings.HasPrefix(path.Clean(decoded)+"/", "/gate/envoy/")
}

// maxNginxLocation bounds where nginx is told to send a client, in bytes. Unless it is told
// otherwise nginx has 4 KiB for an answer's header (proxy_buffer_size). One that does
// not fit is an error to it, like a gate that is away, and the request may pass; and how
// long a link is that has the request's path or query in it is for the client to say.
const maxNginxLocation = 2560

// refusal writes what a proxy tells the client. What nginx tells it is in
// headers: its body must be empty, or nginx drops the connection each time.
func (x *exchange) refusal(f gate.Family, d *gate.Decision, status int) {
	if f == gate.Nginx {
		x.line(gate.HeaderDecision, d.ID.String())
		x.line(gate.HeaderVerdict, d.Verdict.String())
		x.line(gate.HeaderReason, d.Reason.String())
		switch room := maxNginxLocation; {
		case d.Location == "":
		case status < 400 && len(d.Location) > room:
			status = http.StatusRequestURITooLong
			x.line(gate.HeaderProblem, `{"type":"https://ipwarden.dev/problems/target-too-long","title":"The target is too long to be sent elsewhere","status":414,"decision_id":"`+d.ID.String()+`"}`)
		case status < 400 || len(d.Location) <= room-gate.MaxCarried: // what says why comes besides
			x.line(gate.HeaderLocation, d.Location)
		}
		x.line(gate.HeaderStatus, strconv.Itoa(status))
		d.Carry(x.line)
		return
	}
	if d.Location != "" && status < 400 {
		x.line("Location", f.Location(d))
	}
	page := gate.WantsPage(joined(x.header.Values("Accept")))
	var mediaType string
	x.out, mediaType = d.AppendRefusal(x.out[:0], page)
	x.worded(mediaType, page && d.OwnPage())
}

// worded tells of the body of a refusal, "" for none. A page of our own loads nothing.
func (x *exchange) worded(mediaType string, own bool) {
	x.line("Vary", "Accept")
	if mediaType == "" {
		return
	}
	x.line("Content-Type", mediaType)
	x.line("X-Content-Type-Options", "nosniff")
	if own {
		x.line("Content-Security-Policy", gate.PagePolicy)
	}
}

// forget lets go of the request and of the dataset.
func (a *gateAnswer) forget() {
	if a == nil || !a.used {
		return
	}
	a.used = false
	a.fields.Reset()
	a.request = ipwarden.Request{}
	a.decision.Reset()
}

func (x *exchange) gateMemory() *gateAnswer {
	if x.gateAnswer == nil {
		x.gateAnswer = new(gateAnswer)
	}
	x.gateAnswer.used = true
	return x.gateAnswer
}

// sortLines puts the header lines into the order of their names.
func (x *exchange) sortLines() {
	lines := x.lines[:x.nLines]
	for i := 1; i < len(lines); i++ {
		for j := i; j > 0 && lines[j].name < lines[j-1].name; j-- {
			lines[j], lines[j-1] = lines[j-1], lines[j]
		}
	}
}

func noGate(path string) *problem {
	return &problem{
		status: http.StatusNotFound, slug: "no-gate", title: "No policy here",
		detail: quoted(path) + " decides about requests, and this server has no policy. Start it with --policy policy.yaml; " +
			"ipwarden policy init writes one.",
		example: exampleLookup,
	}
}

func gateAlone(path string) *problem {
	return &problem{
		status: http.StatusNotFound, slug: "not-found", title: "Not found",
		detail: quoted(path) + " is not served here: this is the gate alone. ipwarden serve has the look-ups too.", example: exampleGate,
	}
}

func notTrusted(peer netip.Addr) *problem {
	return &problem{
		status: http.StatusForbidden, slug: "not-trusted", title: "Not for everybody",
		detail: peer.String() + " is not trusted to ask about other people's requests. Name the proxy or the application with " +
			"--trusted-proxies " + peer.String() + ", ask over a Unix socket, or send the service token.",
		example: exampleOwn + "/" + peer.String(),
	}
}

// passedOn is for a visitor's question that came through a proxy which is trusted.
func passedOn() *problem {
	return &problem{
		status: http.StatusForbidden, slug: "not-trusted", title: "Not for everybody",
		detail: "This question was passed on by a proxy, so it is its visitor's, who is not trusted to ask about other people's requests. " +
			"Ask without X-Forwarded-For, X-Real-IP, Forwarded and Via, or send the service token.",
		example: exampleDecide,
	}
}

func noOriginal(err error, f gate.Family) *problem {
	p := &problem{
		status: http.StatusBadRequest, slug: "no-original-request", title: "Which request?",
		detail: err.Error() + "; the page on proxies has a configuration that works.",
	}
	p.example = "GET /gate/nginx with X-Original-Uri: /, X-Original-Method: GET"
	if f == gate.ForwardAuth {
		p.example = "GET /gate/forward-auth with X-Forwarded-Uri: /, X-Forwarded-Method: GET, X-Forwarded-Host: example.org"
	}
	return p
}

// once lets something through once a minute.
type once struct{ last atomic.Int64 }

func (o *once) minute(now time.Time) bool {
	m := now.Unix() / 60
	last := o.last.Load()
	return last != m && o.last.CompareAndSwap(last, m)
}
