package caddy

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

type world struct {
	*proxytest.Proxy
	program, config string
	gate            *proxytest.Gate
}

// As it stands Caddy waits 50 ms for an answer, which a busy machine may take;
// where that is not what a test is about, it is more.
var patient = []string{"timeout 50ms", "timeout 5s"}

// start starts Caddy with the configuration, changed by oldnew if given.
func start(t *testing.T, oldnew ...string) *world {
	t.Helper()
	w := &world{
		program: proxytest.Need(t, "caddy", "caddy"),
		Proxy: &proxytest.Proxy{
			Addr: proxytest.FreeAddr(t), App: proxytest.NewApp(t), Words: true, Underscores: true, MaxLines: 200,
		},
		gate: proxytest.NewGate(t),
	}
	_, w.config = proxytest.Caddy(t, ".", proxytest.Link{Addr: w.Addr, App: w.App.Addr, Unix: w.gate.Unix()}, oldnew...)
	return w
}

func TestCaddy(t *testing.T) {
	w := start(t, patient...)
	w.Cases(t)

	t.Run("HTTP/2", func(t *testing.T) { w.HTTP2Cases(t, w.Addr) })

	// The application's own refusals are its own, and it is asked once.
	t.Run("refused by the application", func(t *testing.T) {
		for i, path := range []string{"/status/403", "/status/502", "/status/404"} {
			before := w.App.Hits()
			client := fmt.Sprint("X-Forwarded-For: 126.1.2.", i) // nobody says what became of it
			if r := proxytest.Get(t, w.Addr, path, client); r.Seen == nil || w.App.Hits() != before+1 {
				t.Errorf("%s: %+v, asked %d times", path, r, w.App.Hits()-before)
			}
		}
	})
	// F2, F3: what the client says of the question is not believed.
	t.Run("the question is Caddy's", func(t *testing.T) {
		r := proxytest.Get(t, w.Addr, "/block", "X-Forwarded-For: 8.8.8.8", "X-Forwarded-Uri: /public", "X-Forwarded-Method: HEAD",
			"X-Forwarded-Host: other.example", "X-Forwarded-Prefix: /public", "X-Original-URI: /public", "X-Original-Method: GET")
		if r.Status != 403 {
			t.Errorf("%+v", r)
		}
		if r := proxytest.Get(t, w.Addr, "/challenge", "X-Forwarded-For: 8.8.8.8", "X-Forwarded-Host: evil.example"); strings.Contains(r.Header.Get("Location"), "evil") {
			t.Errorf("sent to %s", r.Header.Get("Location"))
		}
	})
}

// An application that is away is its own error: it is not asked again without
// the gate.
func TestApplicationAway(t *testing.T) {
	w := start(t, patient...)
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	nobody := proxytest.FreeAddr(t)
	if err := os.WriteFile(w.config, []byte(strings.ReplaceAll(string(text), w.App.Addr, nobody)), 0o644); err != nil {
		t.Fatal(err)
	}
	w.reload(t)
	proxytest.Eventually(t, "the application is away", func() bool {
		return proxytest.Get(t, w.Addr, "/", "X-Forwarded-For: 8.8.8.8").Status == 502
	})
	if r := proxytest.Get(t, w.Addr, "/block", "X-Forwarded-For: 8.8.8.8"); r.Status != 403 {
		t.Errorf("%+v", r)
	}
}

// unasked wants a request that passed without the gate: the application is told,
// and sees nothing that the client forged.
func (w *world) unasked(t *testing.T) {
	t.Helper()
	before := w.App.Hits()
	r := proxytest.Send(t, w.Addr, "POST", "/block", "hello", "X-Ipwarden-Verdict: allow", "X-Ipwarden-Country: SE", "X-Forwarded-For: 198.51.100.20")
	if r.Status != 200 || r.Seen == nil || w.App.Hits() != before+1 || r.Seen.Body != "hello" || r.Seen.Method != "POST" {
		t.Fatalf("%+v %+v", r, r.Seen)
	}
	for name, want := range map[string]string{"X-Ipwarden-Verdict": "unavailable", "X-Ipwarden-Country": "", "X-Forwarded-For": "127.0.0.1"} {
		if got := strings.Join(r.Seen.Header.Values(name), ", "); got != want {
			t.Errorf("the application sees %s: %q, want %q", name, got, want)
		}
	}
}

// A gate that takes too long, and one that is gone: requests pass. When it is
// back, it is asked again.
func TestGateAway(t *testing.T) {
	w := start(t)
	asked := func() bool { return proxytest.Get(t, w.Addr, "/block", "X-Forwarded-For: 8.8.8.8").Status == 403 }
	w.gate.SetSlow(true)
	w.unasked(t)
	w.gate.SetSlow(false)
	proxytest.Eventually(t, "the gate is asked again", asked)
	w.gate.Kill()
	for range 5 {
		w.unasked(t)
	}
	if left := w.Forged(t, "/"); len(left) > 0 {
		t.Errorf("the application sees what the client said: %q", left)
	}
	w.gate.Start()
	proxytest.Eventually(t, "the gate is asked again", asked)
}

// The other way: without handle_errors, nothing passes unasked.
func TestClosed(t *testing.T) {
	text, err := os.ReadFile("Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(text), "\n\thandle_errors {")
	if !ok {
		t.Fatal("there is no handle_errors")
	}
	block, _, _ = strings.Cut(block, "\n\t}\n")
	w := start(t, "\n\thandle_errors {"+block+"\n\t}\n", "\n")
	if r := proxytest.Get(t, w.Addr, "/block", "X-Forwarded-For: 8.8.8.8"); r.Status != 403 && r.Status != 504 {
		t.Fatalf("%+v", r)
	}
	w.gate.SetSlow(true)
	if r := proxytest.Get(t, w.Addr, "/", "X-Forwarded-For: 8.8.8.8"); r.Status != 504 || r.Seen != nil {
		t.Errorf("slow: %+v", r)
	}
	w.gate.SetSlow(false)
	w.gate.Kill()
	if r := proxytest.Get(t, w.Addr, "/", "X-Forwarded-For: 8.8.8.8"); r.Status != 502 || r.Seen != nil {
		t.Errorf("gone: %+v", r)
	}
}

// reload makes Caddy read its configuration again.
func (w *world) reload(t *testing.T) {
	t.Helper()
	cmd := exec.Command(w.program, "reload", "--force", "--config", w.config, "--adapter", "caddyfile")
	cmd.Dir = filepath.Dir(w.config)
	cmd.Env = append(os.Environ(), "HOME="+cmd.Dir, "XDG_DATA_HOME="+cmd.Dir, "XDG_CONFIG_HOME="+cmd.Dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// A reload under load: each answer is a refusal. Caddy 2.6 resets connections
// that it has not accepted yet when it changes listeners.
func TestReload(t *testing.T) {
	w := start(t, patient...)
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
				r, err := proxytest.Try(t, w.Addr, "GET", "/block", "", "X-Forwarded-For: 8.8.8.8")
				mu.Lock()
				if err == nil {
					seen[r.Status]++
				}
				mu.Unlock()
				if err != nil && !errors.Is(err, syscall.ECONNRESET) {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 2 {
		w.reload(t)
	}
	close(stop)
	clients.Wait()
	t.Logf("statuses: %v", seen)
	if seen[403] == 0 || len(seen) != 1 {
		t.Errorf("statuses: %v", seen)
	}
}
