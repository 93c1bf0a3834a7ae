package gateway

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/policy/compile"
)

// Addresses of the sample.
const (
	attacker = "81.2.69.142"
	victim   = "8.8.8.8"
)

// testPolicy refuses what goes to /blocked or to admin.example, and counts
// failed log-ins.
const testPolicy = `
version: 1
rules:
  - {name: blocked, when: 'request.path == "/blocked" || request.path.startsWith("/blocked/")', action: block}
  - {name: admin, when: request.host == "admin.example", action: block}
  - {name: deletes, when: request.method == "DELETE", action: block}
  - {name: query, when: 'request.query.contains("role=admin")', action: block}
limits:
  - {name: login, when: request.path == "/login", rate: 3/hour, key: ip, count: response.status == 401}
`

// app is an upstream that notes what it saw.
type app struct {
	*httptest.Server
	mu      sync.Mutex
	seen    []*http.Request // guarded by mu
	bodies  []string        // guarded by mu
	handler http.HandlerFunc
}

func newApp(t testing.TB, handler http.HandlerFunc) *app {
	a := &app{handler: handler}
	a.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.handler != nil {
			a.note(r, "")
			a.handler(w, r)
			return
		}
		b, _ := io.ReadAll(r.Body)
		a.note(r, string(b))
		fmt.Fprintf(w, "%s %s %s", r.Method, r.Host, r.RequestURI)
	}))
	a.Config.DisableGeneralOptionsHandler = true
	a.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	a.Config.Protocols = new(http.Protocols)
	a.Config.Protocols.SetHTTP1(true)
	a.Config.Protocols.SetUnencryptedHTTP2(true)
	a.Start()
	t.Cleanup(a.Close)
	return a
}

func (a *app) note(r *http.Request, body string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen, a.bodies = append(a.seen, r), append(a.bodies, body)
}

// taken returns what was seen since the last call.
func (a *app) taken() (seen []*http.Request, bodies []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	seen, bodies = a.seen, a.bodies
	a.seen, a.bodies = nil, nil
	return seen, bodies
}

// last returns the one request that was seen since the last call.
func (a *app) last(t testing.TB) *http.Request {
	t.Helper()
	seen, _ := a.taken()
	if len(seen) != 1 {
		t.Fatalf("the application saw %d requests, want 1", len(seen))
	}
	return seen[0]
}

func newTestGate(t testing.TB, yaml string, client clientip.Config) *gate.Gate {
	t.Helper()
	p, err := compile.Load("policy.yaml", []byte(yaml), compile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	x, err := clientip.New(client)
	if err != nil {
		t.Fatal(err)
	}
	g, err := gate.New(gate.Config{Source: ipwardentest.Sample(), Program: p, Client: x})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// behind trusts the test's own address, so that X-Forwarded-For chooses the
// client.
var behind = clientip.Config{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// start runs a gateway in front of a.
func start(t testing.TB, a *app, change func(*Config, *ServerConfig)) *Server {
	t.Helper()
	cfg := Config{Log: slog.New(slog.DiscardHandler)}
	if a != nil {
		cfg.Upstream = a.URL
	}
	scfg := ServerConfig{Listen: "127.0.0.1:0", Linger: -1}
	if change != nil {
		change(&cfg, &scfg)
	}
	if cfg.Gate == nil {
		cfg.Gate = newTestGate(t, testPolicy, behind)
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	scfg.Gateway = g
	s, err := Listen(scfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

// raw sends bytes and returns all that comes back, until the connection ends or
// nothing more comes for a while. It does not close its own half: for net/http a
// client that does is gone.
func raw(t testing.TB, s *Server, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	var all []byte
	buf := make([]byte, 4<<10)
	wait := 10 * time.Second
	for {
		_ = c.SetReadDeadline(time.Now().Add(wait))
		n, err := c.Read(buf)
		all = append(all, buf[:n]...)
		if err != nil { // an end by reset is one too
			return string(all)
		}
		wait = 200 * time.Millisecond
	}
}

// status is that of the first answer; 0 for none.
func status(answer string) (n int) {
	var minor int
	fmt.Sscanf(answer, "HTTP/1.%d %d", &minor, &n)
	return n
}

// ask sends one request over a connection of its own, and reads one answer.
func ask(t testing.TB, s *Server, text string) *http.Response {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, strings.ReplaceAll(text, "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(b))
	return resp
}

func bodyOf(t testing.TB, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
