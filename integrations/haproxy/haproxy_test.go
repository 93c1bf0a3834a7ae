// Package haproxy runs the configuration of this folder in a real HAProxy.
package haproxy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/internal/spoa"
)

// An outcome is what the agent heard of a request.
type outcome struct {
	decision string
	status   int
}

// startAgent runs an agent on addr until stop is called or the test ends.
func startAgent(t *testing.T, addr string, outcomes chan<- outcome) (a *spoa.Agent, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	a, err = spoa.New(spoa.Config{
		Decide: proxytest.Decide, Linger: -1, Grace: time.Second,
		Outcome: func(_ context.Context, d string, status int) {
			select {
			case outcomes <- outcome{strings.Clone(d), status}:
			default:
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := a.Serve(ctx, ln); err != nil {
			t.Error(err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(stop)
	return a, stop
}

type world struct {
	web, agentAddr string
	dir, config    string
	app            *proxytest.App
	haproxy        *proxytest.Process
	agent          *spoa.Agent
	stopAgent      func()
	outcomes       chan outcome
}

func start(t *testing.T) *world {
	t.Helper()
	program := proxytest.Need(t, "haproxy", "haproxy")
	w := &world{
		web: proxytest.FreeAddr(t), agentAddr: proxytest.FreeAddr(t), dir: t.TempDir(),
		app: proxytest.NewApp(t), outcomes: make(chan outcome, 10),
	}
	proxytest.Config(t, w.dir, "ipwarden-spoe.cfg")
	w.config = proxytest.Config(t, w.dir, "haproxy.cfg",
		"127.0.0.1:8080", w.web, "127.0.0.1:8000", w.app.Addr, "127.0.0.1:9000", w.agentAddr)
	w.agent, w.stopAgent = startAgent(t, w.agentAddr, w.outcomes)
	w.haproxy = proxytest.Start(t, w.dir, w.web, program, "-W", "-db", "-f", w.config)
	w.answers(t)
	return w
}

// answers waits until the agent is asked.
func (w *world) answers(t *testing.T) {
	t.Helper()
	proxytest.Eventually(t, "the agent is asked", func() bool {
		r, err := proxytest.Try(t, w.web, "GET", "/block", "")
		return err == nil && r.Status == 403
	})
}

// reload makes HAProxy read its configuration again, and waits until it has. A
// master process that has only just begun may miss a signal, so it is repeated.
func (w *world) reload(t *testing.T) {
	t.Helper()
	loads := func() int { return strings.Count(w.haproxy.Output(), "Loading success") }
	before, last := loads(), time.Time{}
	proxytest.Eventually(t, "the configuration was read again", func() bool {
		if time.Since(last) > time.Second/2 {
			last = time.Now()
			w.haproxy.Signal(syscall.SIGUSR2)
		}
		return loads() > before
	})
}

func TestHAProxy(t *testing.T) {
	w := start(t)
	t.Run("pass", func(t *testing.T) {
		r := proxytest.Send(t, w.web, "POST", "/some%2Fwhere?a=1&b", "hello", "Host: Shop.example:8443",
			"X-Forwarded-For: 198.51.100.20", "X-Forwarded-For: 203.0.113.66", "X-Real-IP: 198.51.100.20",
			"X-Ipwarden-Verdict: allow", "X-Ipwarden-Verdict: flag", "x-ipwarden-clearance: 1", "CF-Connecting-IP: 198.51.100.20",
			"True-Client-IP: 198.51.100.20", "Forwarded: for=198.51.100.20")
		if r.Status != 200 || r.Seen == nil {
			t.Fatalf("%+v", r)
		}
		for name, want := range map[string]string{
			"X-Ipwarden-Verdict": "allow", "X-Ipwarden-Decision": "d-some%2Fwhere", "X-Ipwarden-Country": "SE",
			"X-Ipwarden-Asn": "64500", "X-Ipwarden-Risk": "12", "X-Forwarded-For": "203.0.113.66",
			"X-Ipwarden-Traits": `127.0.0.1 http shop.example POST /some%2Fwhere a=1&b ["198.51.100.20" "203.0.113.66"]`,
		} {
			if got := r.Seen.Header.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("the application sees %s: %q, want %q", name, got, want)
			}
		}
		for _, name := range []string{"X-Ipwarden-Clearance", "X-Real-Ip", "Cf-Connecting-Ip", "True-Client-Ip", "Forwarded"} {
			if got := r.Seen.Header.Values(name); got != nil {
				t.Errorf("the application sees %s: %q", name, got)
			}
		}
		if r.Seen.Body != "hello" || r.Seen.Method != "POST" || r.Seen.Query != "a=1&b" {
			t.Errorf("%+v", r.Seen)
		}
		if r.Header.Get("RateLimit") != `"ip";r=49;t=1` || r.Header.Get("RateLimit-Policy") != `"ip";q=50;w=60` {
			t.Errorf("the client sees %v", r.Header)
		}
	})
	// C2, C10: whatever could be taken for the client's address, or for ours, in
	// any spelling; and with an agent that is away (TestAgentKilled).
	t.Run("strip", func(t *testing.T) {
		if left := forged(t, w.web, "/"); len(left) > 0 {
			t.Errorf("the application sees what the client said: %q", left)
		}
	})
	t.Run("refusals", func(t *testing.T) {
		before := w.app.Hits()
		for _, c := range []struct {
			path        string
			status      int
			name, value string
			body        string
		}{
			{"/block", 403, "Content-Type", "application/problem+json", `{"title":"Blocked","status":403}`},
			{"/block-page", 403, "Content-Type", "text/html; charset=utf-8", `<h1>Blocked, "100%" sure: %[src]</h1>`},
			{"/throttle", 429, "Retry-After", "17", `{"title":"Too many requests","status":429}`},
			{"/closed", 503, "Content-Type", "application/problem+json", "{}"},
			{"/bodiless", 403, "Content-Length", "0", ""},
			{"/challenge", 302, "Location", "/.ipwarden/challenge?to=%2Fchallenge", ""},
		} {
			r := proxytest.Get(t, w.web, c.path)
			if r.Status != c.status || r.Header.Get(c.name) != c.value || r.Body != c.body || r.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d, %s: %q, %q; want %+v", c.path, r.Status, c.name, r.Header.Get(c.name), r.Body, c)
			}
		}
		if w.app.Hits() != before {
			t.Error("the application was asked")
		}
	})
	t.Run("outcome", func(t *testing.T) {
		if r := proxytest.Get(t, w.web, "/status/401"); r.Status != 401 {
			t.Fatalf("%+v", r)
		}
		select {
		case got := <-w.outcomes:
			if got != (outcome{"d-status", 401}) {
				t.Errorf("%+v", got)
			}
		case <-time.After(10 * time.Second):
			t.Error("the agent heard nothing of a 401")
		}
		proxytest.Get(t, w.web, "/status/200")
		select {
		case got := <-w.outcomes:
			t.Errorf("it heard of %+v", got)
		default:
		}
	})
	// C14, F6: the host that is decided about is the one that the application sees.
	t.Run("absolute form", func(t *testing.T) {
		for _, c := range []struct{ target, host, want string }{
			{"http://evil.example/x", "evil.example", "evil.example"},
			{"http://evil.example/x", "good.example", ""}, // refused, or both see one
		} {
			r := raw(t, w.web, "GET "+c.target+" HTTP/1.1\r\nHost: "+c.host+"\r\nConnection: close\r\n\r\n")
			if strings.HasPrefix(r, "HTTP/1.1 400") && c.want == "" {
				continue
			}
			_, body, _ := strings.Cut(r, "\r\n\r\n")
			var seen proxytest.Seen
			if err := json.Unmarshal([]byte(body), &seen); err != nil {
				t.Fatalf("%v: %s", err, r)
			}
			if told := strings.Fields(seen.Header.Get("X-Ipwarden-Traits"))[2]; told != seen.Host || seen.Path != "/x" || c.want != "" && seen.Host != c.want {
				t.Errorf("%s with Host %s: decided about %s, and the application saw %s%s", c.target, c.host, told, seen.Host, seen.Path)
			}
		}
	})
	// No request is so large that the agent is not asked about it.
	t.Run("large requests", func(t *testing.T) {
		for _, size := range []int{1000, 8000, 13000, 14000, 14500, 14800, 15000, 15100, 15200, 15300, 16000, 20000} {
			pad := strings.Repeat("x", size)
			many := make([]string, 0, 90)
			for i := range 90 {
				many = append(many, fmt.Sprintf("H%d: %s", i, strings.Repeat("x", size/90)))
			}
			for what, ask := range map[string]func() (*proxytest.Reply, error){
				"a field line":     func() (*proxytest.Reply, error) { return proxytest.Try(t, w.web, "GET", "/block", "", "X-Pad: "+pad) },
				"a query":          func() (*proxytest.Reply, error) { return proxytest.Try(t, w.web, "GET", "/block?"+pad, "") },
				"many field lines": func() (*proxytest.Reply, error) { return proxytest.Try(t, w.web, "GET", "/block", "", many...) },
			} {
				// Beyond its buffer HAProxy refuses the request itself, and may
				// close the connection before it has read all of it.
				r, err := ask()
				if size <= 14000 && (err != nil || r.Status != 403) || err == nil && (r.Status < 400 || r.Seen != nil) {
					t.Errorf("%s of %d bytes: %+v, %v", what, size, r, err)
				}
			}
		}
		if s := w.agent.Stats(); s.Breaches != 0 || s.Dropped != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// forged sends every header that must not go on, and returns those that did.
func forged(t *testing.T, addr, path string) (left []string) {
	t.Helper()
	const mark = "198.51.100.20"
	names := append(clientip.SourceHeaders(), "X-Ipwarden-Verdict", "X-Ipwarden-Anything", "X-Middleware-Subrequest", "X-Middleware-Subrequest-Id")
	var lines []string
	for _, name := range names {
		lines = append(lines, name+": "+mark)
		if under := strings.ReplaceAll(name, "-", "_"); under != name {
			lines = append(lines, under+": "+mark)
		}
	}
	// HAProxy takes 101 field lines at most (tune.http.maxhdr).
	for chunk := range slices.Chunk(lines, 40) {
		r := proxytest.Get(t, addr, path, chunk...)
		if r.Seen == nil {
			t.Fatalf("%+v", r)
		}
		for name, values := range r.Seen.Header {
			if slices.Contains(values, mark) {
				left = append(left, name)
			}
		}
	}
	return left
}

// raw sends bytes and returns what comes.
func raw(t *testing.T, addr, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// An agent that takes too long: the request passes once "timeout processing" is
// over, and the application is told.
func TestSlowAgent(t *testing.T) {
	w := start(t)
	r := proxytest.Get(t, w.web, "/slow", "X-Ipwarden-Verdict: allow", "X-Ipwarden-Country: SE")
	if r.Status != 200 || r.Seen == nil || r.Seen.Header.Get("X-Ipwarden-Verdict") != "unavailable" || r.Seen.Header.Get("X-Ipwarden-Country") != "" {
		t.Errorf("%+v", r)
	}
	if r.Took >= proxytest.Slow {
		t.Errorf("it took %v", r.Took)
	}
	// It does not stand in the way of others, even on the same connection.
	if r := proxytest.Get(t, w.web, "/block"); r.Status != 403 && r.Status != 200 {
		t.Errorf("%+v", r)
	}
	w.answers(t)
}

// An agent that is gone: requests pass and the application is told; when it is
// back, it is asked again.
func TestAgentKilled(t *testing.T) {
	w := start(t)
	w.stopAgent()
	if left := forged(t, w.web, "/"); len(left) > 0 {
		t.Errorf("the application sees what the client said: %q", left)
	}
	for range 5 {
		r := proxytest.Get(t, w.web, "/block", "X-Ipwarden-Verdict: allow", "X-Forwarded-For: 198.51.100.20")
		if r.Status != 200 || r.Seen == nil || r.Seen.Header.Get("X-Ipwarden-Verdict") != "unavailable" || r.Seen.Header.Get("X-Forwarded-For") != "127.0.0.1" {
			t.Fatalf("%+v", r)
		}
		if r.Took > 5*time.Second {
			t.Errorf("it took %v", r.Took)
		}
	}
	w.agent, w.stopAgent = startAgent(t, w.agentAddr, w.outcomes)
	w.answers(t)
}

// A reload of HAProxy under load: every request is answered, and every one that
// should be refused is.
func TestReload(t *testing.T) {
	w := start(t)
	// Closed, that is: what the agent has not answered is refused.
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	const open = `http-request set-header X-Ipwarden-Verdict  unavailable                     if !answered`
	if !strings.Contains(string(text), open) {
		t.Fatalf("the configuration does not have %q", open)
	}
	if err := os.WriteFile(w.config, []byte(strings.Replace(string(text), open, "http-request deny deny_status 503 if !answered", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var mu sync.Mutex
	seen := map[int]int{}
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, err := proxytest.Try(t, w.web, "GET", "/block", "")
				mu.Lock()
				if err == nil {
					seen[r.Status]++
				}
				mu.Unlock()
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 3 {
		w.reload(t)
	}
	close(stop)
	clients.Wait()
	t.Logf("statuses: %v", seen)
	if seen[403] == 0 || seen[200] != 0 {
		t.Errorf("statuses: %v", seen)
	}
	w.stopAgent()
	if r := proxytest.Get(t, w.web, "/"); r.Status != 503 || r.Seen != nil {
		t.Errorf("closed, and the agent is gone: %+v", r)
	}
}
