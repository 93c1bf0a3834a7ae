package haproxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

type world struct {
	*proxytest.Proxy
	config  string
	http2   string // where it speaks HTTP/2
	gate    *proxytest.Gate
	haproxy *proxytest.Process
}

// As it stands HAProxy waits 50 ms for an answer, which a busy machine may take;
// where that is not what a test is about, it is more.
var patient = []string{"timeout     processing 50ms", "timeout     processing 1s"}

// start starts HAProxy with the configuration, ipwarden-spoe.cfg changed by
// oldnew if given.
func start(t *testing.T, oldnew ...string) *world {
	t.Helper()
	w := &world{
		Proxy: &proxytest.Proxy{
			Addr: proxytest.FreeAddr(t), App: proxytest.NewApp(t), Words: true,
			MaxLines: 40, // of 101, tune.http.maxhdr
		},
		gate: proxytest.NewGate(t), http2: proxytest.FreeAddr(t),
	}
	w.haproxy, w.config = proxytest.HAProxy(t, ".", proxytest.Link{
		Addr: w.Addr, HTTP2: w.http2, App: w.App.Addr, Unix: w.gate.Unix(), SPOA: w.gate.SPOP(),
	}, oldnew...)
	w.answers(t)
	return w
}

// answers waits until the agent is asked.
func (w *world) answers(t *testing.T) {
	t.Helper()
	proxytest.Eventually(t, "the agent is asked", func() bool {
		r, err := proxytest.Try(t, w.Addr, "GET", "/block", "")
		return err == nil && r.Status == 403
	})
}

// reload makes HAProxy read its configuration again, and waits until it has. A
// master process that has only just begun may miss a signal, so it is repeated.
func (w *world) reload(t *testing.T) {
	t.Helper()
	loads := func() int { return strings.Count(w.haproxy.Output(), "Loading success") }
	// It answers before it says so, and before it would take the signal.
	proxytest.Eventually(t, "the configuration was read", func() bool { return loads() > 0 })
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
	w := start(t, patient...)
	if out := w.haproxy.Output(); strings.Contains(out, "WARNING") || strings.Contains(out, "ALERT") {
		t.Errorf("HAProxy is not happy with its configuration:\n%s", out)
	}
	w.Cases(t)

	t.Run("HTTP/2", func(t *testing.T) { w.HTTP2Cases(t, w.http2) })

	// HAProxy tells the agent what became of log-ins: two may fail, and those that
	// did not are in nobody's way.
	t.Run("outcomes", func(t *testing.T) {
		const from = "X-Forwarded-For: 126.1.2.3"
		for range 4 {
			if r := proxytest.Get(t, w.Addr, "/status/200", from); r.Status != 200 {
				t.Fatalf("a good one: %d", r.Status)
			}
		}
		for i, want := range []int{401, 401, 429} {
			if r := proxytest.Get(t, w.Addr, "/status/401", from); r.Status != want {
				t.Errorf("failure %d: %d, want %d", i+1, r.Status, want)
			}
		}
		if r := proxytest.Get(t, w.Addr, "/", from); r.Status != 200 {
			t.Errorf("elsewhere: %d", r.Status)
		}
	})
	// C14, F6: the path that is decided about is the one that the application
	// sees, and there is one host.
	t.Run("absolute form", func(t *testing.T) {
		for _, c := range []struct {
			target, host string
			want         []string
		}{
			{"http://shop.example/block", "shop.example", []string{"HTTP/1.1 403"}},
			{"http://shop.example/x", "shop.example", []string{"HTTP/1.1 200"}},
			{"http://shop.example/x", "other.example", []string{"HTTP/1.1 400", "HTTP/1.1 200"}},
		} {
			r := raw(t, w.Addr, "GET "+c.target+" HTTP/1.1\r\nHost: "+c.host+"\r\nX-Forwarded-For: 8.8.8.8\r\nConnection: close\r\n\r\n")
			ok := false
			for _, want := range c.want {
				ok = ok || strings.HasPrefix(r, want)
			}
			if !ok {
				t.Errorf("%s with Host %s: %.40q", c.target, c.host, r)
			}
			var seen proxytest.Seen
			if _, body, _ := strings.Cut(r, "\r\n\r\n"); strings.HasPrefix(r, "HTTP/1.1 200") {
				if err := json.Unmarshal([]byte(body), &seen); err != nil || seen.Host != "shop.example" || seen.Path != "/x" {
					t.Errorf("%s with Host %s: the application sees %s%s, %v", c.target, c.host, seen.Host, seen.Path, err)
				}
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
				"a field line":     func() (*proxytest.Reply, error) { return proxytest.Try(t, w.Addr, "GET", "/block", "", "X-Pad: "+pad) },
				"a query":          func() (*proxytest.Reply, error) { return proxytest.Try(t, w.Addr, "GET", "/block?"+pad, "") },
				"many field lines": func() (*proxytest.Reply, error) { return proxytest.Try(t, w.Addr, "GET", "/block", "", many...) },
			} {
				// Beyond its buffer HAProxy refuses the request itself, and may
				// close the connection before it has read all of it.
				r, err := ask()
				if size <= 14000 && (err != nil || r.Status != 403) || err == nil && (r.Status < 400 || r.Seen != nil) {
					t.Errorf("%s of %d bytes: %+v, %v", what, size, r, err)
				}
			}
		}
		if s := w.gate.Agent.Stats(); s.Breaches != 0 || s.Dropped != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// raw sends bytes and returns what comes.
func raw(t *testing.T, addr, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// unasked wants a request that passed without the agent: the application is
// told, and sees nothing that the client forged.
func (w *world) unasked(t *testing.T) {
	t.Helper()
	r := proxytest.Get(t, w.Addr, "/block", "X-Ipwarden-Verdict: allow", "X-Ipwarden-Country: SE", "X-Forwarded-For: 198.51.100.20")
	if r.Status != 200 || r.Seen == nil {
		t.Fatalf("%+v", r)
	}
	for name, want := range map[string]string{"X-Ipwarden-Verdict": "unavailable", "X-Ipwarden-Country": "", "X-Forwarded-For": "127.0.0.1"} {
		if got := strings.Join(r.Seen.Header.Values(name), ", "); got != want {
			t.Errorf("the application sees %s: %q, want %q", name, got, want)
		}
	}
	if r.Took > 5*time.Second {
		t.Errorf("it took %v", r.Took)
	}
}

// An agent that takes too long: the request passes once "timeout processing" is
// over.
func TestSlowAgent(t *testing.T) {
	w := start(t)
	w.gate.SetSlow(true)
	for range 3 {
		w.unasked(t)
	}
	w.gate.SetSlow(false)
	w.answers(t)
}

// An agent that is gone: requests pass. When it is back, it is asked again.
func TestAgentKilled(t *testing.T) {
	w := start(t)
	w.gate.Kill()
	for range 5 {
		w.unasked(t)
	}
	if left := w.Forged(t, "/"); len(left) > 0 {
		t.Errorf("the application sees what the client said: %q", left)
	}
	w.gate.Start()
	w.answers(t)
}

// A reload of HAProxy under load: every request is answered, and each that
// should be refused is, with a configuration that is closed.
func TestReload(t *testing.T) {
	w := start(t, patient...)
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	const acls = "    acl page     path_beg /.ipwarden/\n"
	if !strings.Contains(string(text), acls) {
		t.Fatalf("the configuration does not have %q", acls)
	}
	if err := os.WriteFile(w.config, []byte(strings.Replace(string(text), acls, acls+"    http-request deny deny_status 503 if !answered !page\n", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	w.reload(t)
	proxytest.Eventually(t, "the process before has ended", func() bool { return strings.Contains(w.haproxy.Output(), "exited with code 0") })
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
				r, err := proxytest.Try(t, w.Addr, "GET", "/block", "")
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
	w.gate.Kill()
	if r := proxytest.Get(t, w.Addr, "/"); r.Status != 503 || r.Seen != nil {
		t.Errorf("closed, and the agent is gone: %+v", r)
	}
}
