package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/ipwardentest"
)

// serve runs a server for the length of the test; stop ends it early.
func serve(t testing.TB, cfg ServerConfig) (s *Server, stop func() error) {
	t.Helper()
	if cfg.API == nil {
		cfg.API = newAPI(t, nil)
	}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.Linger == 0 {
		cfg.Linger = -1
	}
	s, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s, stop
}

func TestServerServesAllListeners(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "fast.sock")
	s, _ := serve(t, ServerConfig{FastListen: "unix:" + socket, AdminListen: "127.0.0.1:0"})
	unix := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	defer unix.CloseIdleConnections()
	for _, tt := range []struct {
		client *http.Client
		url    string
		status int
		want   string
	}{
		{http.DefaultClient, "http://" + s.Addr().String() + "/v1/ip/8.8.8.8", 200, `"ip":"8.8.8.8"`},
		{http.DefaultClient, "http://" + s.Addr().String() + "/v1/ip?fields=ip", 200, `{"ip":"127.0.0.1"}`},
		{http.DefaultClient, "http://" + s.Addr().String() + "/metrics", 404, `not-found`},
		{unix, "http://fast/v1/ip/8.8.8.8", 200, `"ip":"8.8.8.8"`},
		{unix, "http://fast/docs", 404, "at http://ip.example."},
		{http.DefaultClient, "http://" + s.AdminAddr().String() + "/metrics", 200, `ipwarden_http_requests_total{listener="fast",route="ip",status="200"} 1`},
		{http.DefaultClient, "http://" + s.AdminAddr().String() + "/debug/pprof/cmdline", 200, ""},
		{http.DefaultClient, "http://" + s.AdminAddr().String() + "/readyz", 200, "ready"},
		{http.DefaultClient, "http://" + s.AdminAddr().String() + "/v1/ip/8.8.8.8", 404, "application/problem+json"},
	} {
		res, err := tt.client.Get(tt.url)
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
			continue
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != tt.status || !strings.Contains(string(body)+res.Header.Get("Content-Type"), tt.want) {
			t.Errorf("%s: %d %s %v, want %d with %q", tt.url, res.StatusCode, body, err, tt.status, tt.want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestListenSaysWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	a := newAPI(t, nil)
	for _, tt := range []struct {
		cfg  ServerConfig
		want string
	}{
		{ServerConfig{}, "API is missing\nListen is missing"},
		{ServerConfig{API: a, Listen: "127.0.0.1:0", AdminListen: "0.0.0.0:9090"}, "can be reached by others"},
		{ServerConfig{API: a, Listen: "127.0.0.1:0", AdminListen: ":9090"}, "can be reached by others"},
		{ServerConfig{API: a, Listen: taken.Addr().String(), FastListen: "nowhere"}, "address already in use"},
		{ServerConfig{API: a, Listen: taken.Addr().String(), FastListen: "nowhere"}, "the fast listener: \"nowhere\""},
	} {
		s, err := Listen(tt.cfg)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Listen(%+v): %v, want %q", tt.cfg, err, tt.want)
		}
		if s != nil {
			s.closeListeners()
		}
	}
	if s, err := Listen(ServerConfig{API: a, Listen: "127.0.0.1:0", AdminListen: "0.0.0.0:0", DangerouslyExposeAdmin: true}); err != nil {
		t.Errorf("an admin listener that is meant to be exposed: %v", err)
	} else {
		s.closeListeners()
	}
}

// Without a public URL the examples name the listener that was opened.
func TestExamplesNameTheListener(t *testing.T) {
	a := newAPI(t, func(c *Config) { c.PublicURL = "" })
	s, _ := serve(t, ServerConfig{API: a, Listen: "0.0.0.0:0", FastListen: "127.0.0.1:0"})
	_, port, err := net.SplitHostPort(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	want := "http://127.0.0.1:" + port
	if body := a.answer(t, "GET", "/docs").Body.String(); !strings.Contains(body, "curl "+want+"/v1/ip/8.8.8.8") {
		t.Errorf("/docs does not name %s", want)
	}
	c, br := dial(t, s.FastAddr())
	if r := ask(t, c, br, "GET /docs HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.Contains(r.body, "at "+want+".") {
		t.Errorf("the fast listener's 404 does not name %s: %s", want, r.body)
	}
	if !strings.Contains(a.answer(t, "GET", "/openapi.json").Body.String(), `"url": "/"`) {
		t.Error("the OpenAPI document claims to know its address")
	}
}

func TestListenReplacesADeadSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(ServerConfig{API: newAPI(t, nil), Listen: "unix:" + path}); err == nil || !strings.Contains(err.Error(), "another process listens") {
		t.Errorf("a socket in use: %v", err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	s, err := Listen(ServerConfig{API: newAPI(t, nil), Listen: "unix:" + path})
	if err != nil {
		t.Fatalf("a socket that nobody answers: %v", err)
	}
	s.closeListeners()
}

// slowWorld holds look-ups back until it is let go.
type slowWorld struct {
	*ipwardentest.World
	entered chan struct{}
	release chan struct{}
}

func (w *slowWorld) Lookup(ctx context.Context, addr netip.Addr) (ipwarden.Record, error) {
	w.entered <- struct{}{}
	<-w.release
	return w.World.Lookup(ctx, addr)
}

// What is out of use while the rest works is there to be read, and no reason to
// send requests elsewhere.
func TestReadyTellsWhatIsOutOfUse(t *testing.T) {
	var lines []string
	a := newAPI(t, func(c *Config) { c.Impaired = func() []string { return lines } })
	for want, l := range map[string][]string{"ready\n": nil, "ready\nblock list a: gone\nblock list b: gone\n": {"block list a: gone", "block list b: gone"}} {
		lines = l
		if res := a.answer(t, "GET", "/readyz"); res.Code != 200 || res.Body.String() != want {
			t.Errorf("%d %q, want %q", res.Code, res.Body.String(), want)
		}
	}
}

// A request that was accepted before the server was told to stop is answered
// on both listeners, idle connections do not hold the stop up, and /readyz says
// no from the first moment.
func TestShutdownAnswersWhatWasAccepted(t *testing.T) {
	w := &slowWorld{ipwardentest.Sample(), make(chan struct{}, 2), make(chan struct{})}
	a := newAPI(t, func(c *Config) { c.Data = func() Data { return w } })
	s, stop := serve(t, ServerConfig{API: a, FastListen: "127.0.0.1:0"})
	var idle []net.Conn
	for _, addr := range []net.Addr{s.Addr(), s.FastAddr()} {
		c, br := dial(t, addr)
		idle = append(idle, c)
		if res := ask(t, c, br, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); res.status != 200 {
			t.Fatalf("healthz: %d", res.status)
		}
	}
	answers := make(chan reply, 2)
	for _, addr := range []net.Addr{s.Addr(), s.FastAddr()} {
		c, br := dial(t, addr)
		go func() {
			fmt.Fprint(c, "GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\n\r\n")
			answers <- read(t, br)
		}()
	}
	<-w.entered
	<-w.entered
	if res := a.answer(t, "GET", "/readyz"); res.Code != 200 {
		t.Errorf("/readyz before the stop: %d", res.Code)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for !a.draining.Load() { // stop is on its way
		runtime.Gosched()
	}
	if res := a.answer(t, "GET", "/readyz"); res.Code != 503 {
		t.Errorf("/readyz while stopping: %d", res.Code)
	}
	select {
	case err := <-stopped:
		t.Fatalf("stopped with requests in flight: %v", err)
	default:
	}
	close(w.release)
	for range 2 {
		if r := <-answers; r.status != 200 || r.body != "{\"ip\":\"8.8.8.8\"}\n" || !strings.Contains(strings.ToLower(r.connection), "close") {
			t.Errorf("a request in flight got %+v", r)
		}
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run: %v", err)
	}
	for _, c := range idle {
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("an idle connection: %v, want its end", err)
		}
	}
}

// Under load, on connections that stay open and on new ones, no request that a
// server accepted goes without its answer.
func TestShutdownUnderLoad(t *testing.T) {
	s, stop := serve(t, ServerConfig{FastListen: "127.0.0.1:0", Linger: 150 * time.Millisecond})
	var answered, broken atomic.Int64
	var wg sync.WaitGroup
	ready := make(chan struct{}, 16)
	for i := range 8 {
		addr := s.Addr()
		if i%2 == 1 {
			addr = s.FastAddr()
		}
		wg.Go(func() {
			for n := 0; ; n++ {
				c, err := net.Dial("tcp", addr.String())
				if err != nil {
					return // the listener is closed: nothing was accepted
				}
				br := bufio.NewReader(c)
				for {
					if _, err := fmt.Fprint(c, "GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
						broken.Add(1)
						break
					}
					r, err := tryRead(br)
					if err != nil || r.status != 200 {
						broken.Add(1)
						break
					}
					answered.Add(1)
					if n == 0 {
						select {
						case ready <- struct{}{}:
						default:
						}
					}
					if strings.EqualFold(r.connection, "close") {
						break
					}
				}
				c.Close()
				if s.cfg.API.draining.Load() {
					return
				}
			}
		})
	}
	for range 8 {
		<-ready
	}
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	wg.Wait()
	if broken.Load() > 0 {
		t.Errorf("%d of %d requests were dropped", broken.Load(), broken.Load()+answered.Load())
	}
}

// A client that takes its time with the header is cut off, and one that sends
// too much of it is refused.
func TestHeaderBounds(t *testing.T) {
	s, _ := serve(t, ServerConfig{FastListen: "127.0.0.1:0"})
	for _, addr := range []net.Addr{s.Addr(), s.FastAddr()} {
		c, br := dial(t, addr)
		r := ask(t, c, br, "GET /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("a", 64<<10)+"\r\n\r\n")
		if r.status != 431 || !strings.Contains(r.body, "header-too-large") {
			t.Errorf("a header of 64 KiB: %+v", r)
		}
	}
	// A question to the gate has a visitor's header in it, which may be larger.
	s, _ = serve(t, ServerConfig{API: gated(t, 3), FastListen: "127.0.0.1:0"})
	for _, addr := range []net.Addr{s.Addr(), s.FastAddr()} {
		for _, size := range []int{32 << 10, 64 << 10, 128 << 10} {
			c, br := dial(t, addr)
			r := ask(t, c, br, "GET /gate/nginx HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+serviceToken+
				"\r\nX-Original-Uri: /\r\nX-Original-Method: GET\r\nX-Real-Ip: 8.8."+strconv.Itoa(size>>10)+".1\r\nX-Long: "+strings.Repeat("a", size)+"\r\n\r\n")
			if want := map[bool]int{true: 431, false: 200}[size > maxGateHeader]; r.status != want {
				t.Errorf("%v: a question of %d KiB: %d, want %d", addr, size>>10, r.status, want)
			}
		}
	}
	if h := httpServer(nil, maxRequestHeader, nil); h.ReadHeaderTimeout == 0 || h.ReadTimeout == 0 || h.WriteTimeout == 0 || h.IdleTimeout == 0 {
		t.Error("the net/http server has no bound on time")
	}
	if f := newAPI(t, nil).fasthttpServer(); f.MaxRequestBodySize == 0 {
		t.Error("the fast server has no bound on size")
	}
}

// A question that is too large is refused so that the proxy gets to read it, however
// much of it was on its way: Caddy takes a megabyte of header, and one whose question
// breaks off lets its visitor pass.
func TestLargeQuestionsAreAnswered(t *testing.T) {
	dir := t.TempDir()
	plain, fast := filepath.Join(dir, "plain.sock"), filepath.Join(dir, "fast.sock")
	serve(t, ServerConfig{API: gated(t, 3), Listen: "unix:" + plain, FastListen: "unix:" + fast})
	tcp, _ := serve(t, ServerConfig{API: gated(t, 3), FastListen: "127.0.0.1:0"})
	for _, at := range []net.Addr{
		&net.UnixAddr{Net: "unix", Name: plain}, &net.UnixAddr{Net: "unix", Name: fast}, tcp.Addr(), tcp.FastAddr(),
	} {
		tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, at.Network(), at.String())
		}}
		defer tr.CloseIdleConnections()
		for _, size := range []int{80 << 10, 200 << 10, 300 << 10, 1000 << 10} {
			for range 5 {
				r, err := http.NewRequestWithContext(t.Context(), "GET", "http://x/gate/forward-auth", nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header["X-Forwarded-Uri"] = []string{"/" + strings.Repeat("a", size)}
				res, err := tr.RoundTrip(r)
				if err != nil {
					t.Errorf("%v: a question of %d KiB: %v", at, size>>10, err)
					continue
				}
				_ = res.Body.Close()
				if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
					t.Errorf("%v: a question of %d KiB: %s", at, size>>10, res.Status)
				}
			}
		}
	}
}

// A proxy that runs as another user reaches the socket by its mode.
func TestSocketMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := OpenListener("unix:" + path + ",mode=0620")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o620 {
		t.Errorf("the mode is %v, %v; want 0620", info.Mode().Perm(), err)
	}
	for _, bad := range []string{"9", "", "07777", "rw"} {
		if ln, err := OpenListener("unix:" + path + "x,mode=" + bad); err == nil {
			ln.Close()
			t.Errorf("the mode %q is taken", bad)
		}
	}
}
