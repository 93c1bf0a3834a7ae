package extauthz

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/internal/door"
	"github.com/ipwarden/ipwarden/internal/proxytest"
)

func TestNewMistakes(t *testing.T) {
	_, err := New(Config{Grace: -1, Peers: door.Peers{MaxConns: -1}})
	if err == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{"there is no Decide", "a Grace of -1ns", "MaxConns is -1"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

// envoy is Envoy's side: a connection to a server that runs until stop is
// called or the test ends.
type envoy struct {
	t      *testing.T
	conn   *grpc.ClientConn
	client auth.AuthorizationClient
	server *Server
	stop   func() error
}

func start(t *testing.T, cfg Config, ln net.Listener, target string) *envoy {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	stop := sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { _ = stop() })
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &envoy{t: t, conn: conn, client: auth.NewAuthorizationClient(conn), server: s, stop: stop}
}

// startTCP starts a server that takes no time to stop.
func startTCP(t *testing.T, cfg Config) *envoy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Linger == 0 {
		cfg.Linger = -1
	}
	return start(t, cfg, ln, ln.Addr().String())
}

// question is what Envoy asks about a request: its field lines as Envoy sends
// them with encode_raw_headers, or joined in a map without.
func question(peer, method, host, path string, raw bool, lines ...string) *auth.CheckRequest {
	http := &auth.AttributeContext_HttpRequest{Method: method, Host: host, Path: path, Scheme: "https", Protocol: "HTTP/2", Size: -1}
	all := append([]string{":method: " + method, ":authority: " + host, ":path: " + path, ":scheme: https"}, lines...)
	if raw {
		http.HeaderMap = &core.HeaderMap{}
	} else {
		http.Headers = map[string]string{}
	}
	for _, l := range all {
		name, value, _ := strings.Cut(l[1:], ": ")
		name = l[:1] + name
		if raw {
			http.HeaderMap.Headers = append(http.HeaderMap.Headers, &core.HeaderValue{Key: name, RawValue: []byte(value)})
		} else if have, ok := http.Headers[name]; ok {
			http.Headers[name] = have + "," + value
		} else {
			http.Headers[name] = value
		}
	}
	return &auth.CheckRequest{Attributes: &auth.AttributeContext{
		Source: &auth.AttributeContext_Peer{Address: &core.Address{Address: &core.Address_SocketAddress{
			SocketAddress: &core.SocketAddress{Address: peer, PortSpecifier: &core.SocketAddress_PortValue{PortValue: 4711}},
		}}},
		Request: &auth.AttributeContext_Request{Http: http},
	}}
}

func (e *envoy) check(q *auth.CheckRequest) *auth.CheckResponse {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), 20*time.Second)
	defer cancel()
	r, err := e.client.Check(ctx, q)
	if err != nil {
		e.t.Fatal(err)
	}
	if err := r.ValidateAll(); err != nil {
		e.t.Errorf("Envoy would not take the answer: %v", err)
	}
	return r
}

// apply does to a request's field lines what Envoy's filter does: it sets, and
// then removes (source/extensions/filters/http/ext_authz/ext_authz.cc).
func apply(ok *auth.OkHttpResponse, lines ...string) map[string][]string {
	header := map[string][]string{}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		header[name] = append(header[name], value)
	}
	for _, h := range ok.GetHeaders() {
		name := strings.ToLower(h.GetHeader().GetKey())
		if h.GetAppendAction() == core.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD {
			header[name] = append(header[name], h.GetHeader().GetValue())
		} else {
			header[name] = []string{h.GetHeader().GetValue()}
		}
	}
	for _, name := range ok.GetHeadersToRemove() {
		delete(header, name)
	}
	return header
}

func TestPass(t *testing.T) {
	for _, raw := range []bool{true, false} {
		t.Run(fmt.Sprintf("raw=%v", raw), func(t *testing.T) {
			var seen ipwarden.Request
			var xff []string
			e := startTCP(t, Config{Decide: func(_ context.Context, r *ipwarden.Request, a *door.Answer) {
				seen, xff = *r, slices.Clone(r.Header.Values("X-Forwarded-For"))
				if r.Header.Values(":path") != nil {
					t.Error("a pseudo header field among the field lines")
				}
				a.Verdict = ipwarden.Flag
				a.SetUpstream("X-Ipwarden-Verdict", "flag")
				a.SetUpstream("X-Ipwarden-Country", "SE")
				a.SetUpstream("X-Forwarded-For", "203.0.113.66")
				a.SetReply("Ratelimit", `"ip";r=49;t=1`)
			}})
			lines := []string{
				"user-agent: x", "x-forwarded-for: 198.51.100.20", "x-forwarded-for: 203.0.113.66", "x-ipwarden-verdict: allow",
				"x-ipwarden-verdict: allow", "x-ipwarden-clearance: 1", "x-real-ip: 198.51.100.20", "x_real_ip: 198.51.100.20",
				"cf-connecting-ip: 198.51.100.20", "x-envoy-auth-failure-mode-allowed: true", "x-middleware-subrequest: a:a", "cookie: a=b",
			}
			r := e.check(question("10.0.0.5", "POST", "Shop.example:8443", "/a%2Fb?c=d?e", raw, lines...))
			if seen.Peer != netip.MustParseAddr("10.0.0.5") || seen.Method != "POST" || seen.Scheme != "https" ||
				seen.Host != "shop.example" || seen.Path != "/a%2Fb" || seen.Query != "c=d?e" {
				t.Errorf("decided about %+v", seen)
			}
			want := []string{"198.51.100.20", "203.0.113.66"}
			if !raw {
				want = []string{"198.51.100.20,203.0.113.66"}
			}
			if !slices.Equal(xff, want) {
				t.Errorf("X-Forwarded-For is %q, want %q", xff, want)
			}
			if r.GetStatus().GetCode() != int32(codes.OK) || r.GetOkResponse() == nil {
				t.Fatalf("%v", r)
			}
			got := apply(r.GetOkResponse(), lines...)
			if fmt.Sprint(got) != "map[cookie:[a=b] user-agent:[x] x-forwarded-for:[203.0.113.66] x-ipwarden-country:[SE] x-ipwarden-verdict:[flag]]" {
				t.Errorf("the application sees %v", got)
			}
			if add := r.GetOkResponse().GetResponseHeadersToAdd(); len(add) != 1 || add[0].GetHeader().GetValue() != `"ip";r=49;t=1` {
				t.Errorf("the client sees %v", add)
			}
		})
	}
}

// C2: whatever could be taken for the client's address does not go on.
func TestStrip(t *testing.T) {
	e := startTCP(t, Config{Decide: func(_ context.Context, _ *ipwarden.Request, a *door.Answer) { a.Verdict = ipwarden.Allow }})
	var lines []string
	for _, name := range clientip.SourceHeaders() {
		name = strings.ToLower(name)
		lines = append(lines, name+": 198.51.100.20", strings.ReplaceAll(name, "-", "_")+": 198.51.100.20")
	}
	r := e.check(question("10.0.0.5", "GET", "a", "/", true, lines...))
	if got := apply(r.GetOkResponse(), lines...); len(got) != 0 {
		t.Errorf("the application sees %v", got)
	}
}

func TestDenied(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer door.Answer
		status int32
		header string
		body   string
	}{
		{"block", door.Answer{Verdict: ipwarden.Block, Type: "application/problem+json", Body: []byte("{}")}, 403, "[Cache-Control: no-store Content-Type: application/problem+json]", "{}"},
		{
			"throttle",
			door.Answer{Verdict: ipwarden.Throttle, RetryAfter: 17, Reply: []door.Field{{Name: "Ratelimit", Value: `"ip";r=0;t=17`}}},
			429,
			`[Ratelimit: "ip";r=0;t=17 Cache-Control: no-store Retry-After: 17]`, "",
		},
		{"challenge", door.Answer{Verdict: ipwarden.Challenge, Location: "/.ipwarden/challenge"}, 302, "[Cache-Control: no-store Location: /.ipwarden/challenge]", ""},
		{"redirect of one that passes", door.Answer{Verdict: ipwarden.Allow, Status: 307, Location: "/sv/"}, 307, "[Cache-Control: no-store Location: /sv/]", ""},
		{"a status that Envoy has no name for", door.Answer{Verdict: ipwarden.Block, Status: 451}, 403, "[Cache-Control: no-store]", ""},
		{"another", door.Answer{Verdict: ipwarden.Block, Status: 599}, 503, "[Cache-Control: no-store]", ""},
		{"nothing decided", door.Answer{}, 503, "[Cache-Control: no-store]", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := startTCP(t, Config{Decide: func(_ context.Context, _ *ipwarden.Request, a *door.Answer) { *a = c.answer }})
			r := e.check(question("192.0.2.1", "GET", "a", "/", true))
			d := r.GetDeniedResponse()
			var header []string
			for _, h := range d.GetHeaders() {
				header = append(header, h.GetHeader().GetKey()+": "+h.GetHeader().GetValue())
			}
			if r.GetStatus().GetCode() == int32(codes.OK) || int32(d.GetStatus().GetCode()) != c.status || fmt.Sprint(header) != c.header || d.GetBody() != c.body {
				t.Errorf("%v", r)
			}
		})
	}
}

func TestCookiesAreAdded(t *testing.T) {
	got := options([]door.Field{{Name: "Set-Cookie", Value: "a=1"}, {Name: "Vary", Value: "Accept"}})
	if got[0].GetAppendAction() != core.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD || got[1].GetAppendAction() != core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
		t.Errorf("%v", got)
	}
	if options(nil) != nil {
		t.Error("nothing became something")
	}
}

// What one question says is not part of the next one's answer.
func TestManyQuestions(t *testing.T) {
	e := startTCP(t, Config{Decide: func(_ context.Context, r *ipwarden.Request, a *door.Answer) {
		if len(r.Header.Values("X-N")) != 1 {
			t.Errorf("%q", r.Header.Values("X-N"))
			return
		}
		a.Verdict = ipwarden.Allow
		a.SetUpstream("X-Ipwarden-N", r.Header.Values("X-N")[0]+r.Path)
	}})
	var clients sync.WaitGroup
	for i := range 20 {
		clients.Go(func() {
			for j := range 50 {
				r, err := e.client.Check(t.Context(), question("192.0.2.1", "GET", "a", fmt.Sprintf("/%d", j), true, fmt.Sprintf("x-n: %d", i)))
				if err != nil {
					t.Error(err)
					return
				}
				h := r.GetOkResponse().GetHeaders()
				if want := fmt.Sprintf("%d/%d", i, j); len(h) != 1 || h[0].GetHeader().GetValue() != want {
					t.Errorf("%v, want %s", h, want)
				}
			}
		})
	}
	clients.Wait()
	if got := e.server.Stats(); got.Checks != 1000 {
		t.Errorf("%+v", got)
	}
}

func TestOddQuestions(t *testing.T) {
	var peer netip.Addr
	e := startTCP(t, Config{Decide: func(_ context.Context, r *ipwarden.Request, a *door.Answer) {
		if r.Path == "/panic" {
			panic("a test's")
		}
		peer = r.Peer
		a.Verdict = ipwarden.Allow
	}})
	for name, q := range map[string]*auth.CheckRequest{
		"nothing": {}, "a TCP connection": {Attributes: &auth.AttributeContext{Request: &auth.AttributeContext_Request{}}},
	} {
		if _, err := e.client.Check(t.Context(), q); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := e.client.Check(t.Context(), question("192.0.2.1", "GET", "a", "/panic", true)); status.Code(err) != codes.Internal || strings.Contains(err.Error(), "a test's") {
		t.Errorf("a panic: %v", err)
	}
	for _, from := range []string{"", "not-an-ip", "10.0.0.256", "/run/envoy.sock"} {
		peer = netip.MustParseAddr("192.0.2.1")
		e.check(question(from, "GET", "a", "/", true))
		if peer.IsValid() {
			t.Errorf("a peer of %q is %v", from, peer)
		}
	}
	e.check(question("2001:db8::1%eth0", "GET", "a", "/", true))
	if peer.WithZone("") != netip.MustParseAddr("2001:db8::1") {
		t.Errorf("a peer with a zone is %v", peer)
	}
	if _, err := e.client.Check(t.Context(), question("192.0.2.1", "GET", "a", "/", true, "x: "+strings.Repeat("x", maxMessage))); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a question beyond the bound: %v", err)
	}
}

func TestHealth(t *testing.T) {
	var ready atomic.Bool
	ready.Store(true)
	lingering := make(chan struct{})
	e := startTCP(t, Config{
		Decide: func(context.Context, *ipwarden.Request, *door.Answer) {}, Ready: ready.Load, Linger: 500 * time.Millisecond,
	})
	health := grpc_health_v1.NewHealthClient(e.conn)
	ask := func(service string) (grpc_health_v1.HealthCheckResponse_ServingStatus, error) {
		r, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
		return r.GetStatus(), err
	}
	for _, service := range []string{"", "envoy.service.auth.v3.Authorization"} {
		if got, err := ask(service); err != nil || got != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v, %v", service, got, err)
		}
	}
	if _, err := ask("another"); status.Code(err) != codes.NotFound {
		t.Errorf("another service: %v", err)
	}
	ready.Store(false)
	if got, err := ask(""); err != nil || got != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("not ready: %v, %v", got, err)
	}
	ready.Store(true)
	go func() { defer close(lingering); _ = e.stop() }()
	for !e.server.stopping.Load() {
		time.Sleep(time.Millisecond) // bounded by Linger's end, which closes the listener
	}
	if got, err := ask(""); err != nil || got != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("while it stops: %v, %v", got, err)
	}
	<-lingering
}

// A server that is killed, and one that is slow: what Envoy's client sees, which
// is where its failure mode begins. And back again.
func TestKilledSlowAndBack(t *testing.T) {
	addr := proxytest.FreeAddr(t) // it is taken twice
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	cancelled, answer := make(chan struct{}, 1), make(chan struct{})
	cfg := Config{Linger: -1, Decide: func(ctx context.Context, r *ipwarden.Request, a *door.Answer) {
		if r.Path == "/slow" {
			<-ctx.Done() // Envoy's time-out travels with the question
			cancelled <- struct{}{}
			<-answer // too late, by whichever of the two clocks
		}
		a.Verdict = ipwarden.Allow
	}}
	e := start(t, cfg, ln, addr)
	ask := func(path string, timeout time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		_, err := e.client.Check(ctx, question("192.0.2.1", "GET", "a", path, true))
		return err
	}
	if err := ask("/", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := ask("/slow", time.Second); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("slow: %v", err)
	}
	close(answer)
	select {
	case <-cancelled:
	case <-time.After(time.Minute):
		t.Error("the decision goes on when nobody waits for it")
	}
	if err := e.stop(); err != nil {
		t.Error(err)
	}
	if err := ask("/", 10*time.Second); status.Code(err) != codes.Unavailable {
		t.Errorf("killed: %v", err)
	}
	if ln, err = net.Listen("tcp", addr); err != nil {
		t.Fatal(err)
	}
	start(t, cfg, ln, addr)
	for end := time.Now().Add(20 * time.Second); ask("/", 5*time.Second) != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is back, and not asked again")
		}
	}
}

// What was asked before it was told to stop is answered.
func TestStop(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	e := startTCP(t, Config{Decide: func(_ context.Context, _ *ipwarden.Request, a *door.Answer) {
		close(asked)
		<-answer
		a.Verdict = ipwarden.Allow
	}})
	got := make(chan error, 1)
	go func() {
		_, err := e.client.Check(t.Context(), question("192.0.2.1", "GET", "a", "/", true))
		got <- err
	}()
	<-asked
	stopped := make(chan error, 1)
	go func() { stopped <- e.stop() }()
	select {
	case err := <-stopped:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(answer)
	if err := <-got; err != nil {
		t.Error(err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestGrace(t *testing.T) {
	asked := make(chan struct{})
	e := startTCP(t, Config{Grace: 50 * time.Millisecond, Decide: func(ctx context.Context, _ *ipwarden.Request, _ *door.Answer) {
		close(asked)
		<-ctx.Done()
	}})
	go func() { _, _ = e.client.Check(t.Context(), question("192.0.2.1", "GET", "a", "/", true)) }()
	<-asked
	if err := e.stop(); err == nil || !strings.Contains(err.Error(), "after 50ms") {
		t.Errorf("%v", err)
	}
}

func TestPeers(t *testing.T) {
	decide := func(_ context.Context, _ *ipwarden.Request, a *door.Answer) { a.Verdict = ipwarden.Allow }
	other := []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
	e := startTCP(t, Config{Decide: decide, Peers: door.Peers{Allowed: other}})
	if _, err := e.client.Check(t.Context(), question("192.0.2.1", "GET", "a", "/", true)); status.Code(err) != codes.Unavailable {
		t.Errorf("a stranger: %v", err)
	}
	if e.server.Stats().Refused == 0 {
		t.Error("not counted")
	}
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	u := start(t, Config{Decide: decide, Linger: -1, Peers: door.Peers{Allowed: other}}, ln, "unix:"+path)
	if r := u.check(question("192.0.2.1", "GET", "a", "/", true)); r.GetOkResponse() == nil {
		t.Errorf("%v", r)
	}
	if err := u.server.Serve(t.Context(), ln); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("%v", err)
	}
}

// BenchmarkCheck is one question over a real connection, both sides in this
// process.
func BenchmarkCheck(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s, err := New(Config{Linger: -1, Decide: func(_ context.Context, _ *ipwarden.Request, a *door.Answer) {
		a.Verdict = ipwarden.Allow
		for _, name := range []string{"X-Ipwarden-Verdict", "X-Ipwarden-Country", "X-Ipwarden-Asn", "X-Ipwarden-Risk", "X-Ipwarden-Decision", "X-Forwarded-For"} {
			a.SetUpstream(name, "something")
		}
	}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	conn, err := grpc.NewClient(ln.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	client := auth.NewAuthorizationClient(conn)
	q := question("10.0.0.5", "GET", "www.example.com", "/login?next=/", true,
		"user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "accept: text/html", "accept-language: en-US,en;q=0.5",
		"accept-encoding: gzip, deflate, br", "cookie: session=0123456789abcdef0123456789abcdef", "x-forwarded-for: 203.0.113.66")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Check(ctx, q); err != nil {
			b.Fatal(err)
		}
	}
	conn.Close()
	cancel()
	if err := <-ended; err != nil {
		b.Error(err)
	}
}

// BenchmarkAnswer is a question and its answer without the connection.
func BenchmarkAnswer(b *testing.B) {
	s, err := New(Config{Decide: func(_ context.Context, _ *ipwarden.Request, a *door.Answer) {
		a.Verdict = ipwarden.Allow
		a.SetUpstream("X-Ipwarden-Verdict", "allow")
		a.SetUpstream("X-Ipwarden-Country", "SE")
	}})
	if err != nil {
		b.Fatal(err)
	}
	q := question("10.0.0.5", "GET", "www.example.com", "/login?next=/", true, "user-agent: x", "x-forwarded-for: 203.0.113.66")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Check(context.Background(), q); err != nil {
			b.Fatal(err)
		}
	}
}
