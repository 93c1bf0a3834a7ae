package play

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// guarded lets three log-ins an hour fail. The budgets are those of a busy machine,
// and no attempt's time is up while the test runs.
const guarded = `version: 1
defaults: {budget: 10s}
rules:
  - {name: hosting, when: ip.security.is_hosting, action: block}
limits:
  - name: log-ins
    when: request.path == "/login"
    rate: 3/hour
    count: response.status == 401 || outcome == "login_failed"
    pending: 1m
`

// A doorman is an application that lets nobody know whether a log-in failed until
// it opens, and then all of them have. What became of one it tells a node before it
// answers, unless its proxy does that.
type doorman struct {
	addr            string
	inside, reached atomic.Int64
	opened          chan struct{}
	open            func()
}

func newDoorman(t *testing.T, tell *node) *doorman {
	t.Helper()
	d := &doorman{opened: make(chan struct{})}
	d.open = sync.OnceFunc(func() { close(d.opened) })
	says := func(r *http.Request, event string) {
		if tell == nil {
			return
		}
		status, text, err := tell.post("/v1/outcome", `{"decision":"`+r.Header.Get("X-Ipwarden-Decision")+`","event":"`+event+`"}`)
		if err != nil || status != 200 || !strings.Contains(text, `"counted":true`) {
			t.Errorf("%s: %d %s %v", event, status, text, err)
		}
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "right" {
			says(r, "login_ok")
			return
		}
		d.reached.Add(1)
		d.inside.Add(1)
		defer d.inside.Add(-1)
		<-d.opened
		says(r, "login_failed")
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(s.Close)
	t.Cleanup(d.open)
	d.addr = s.Listener.Addr().String()
	return d
}

// storm sends many attempts at once, by turns through the proxies. Those that are
// refused are so before one of those that were let in has failed.
func (d *doorman) storm(t *testing.T, client string, most int64, proxies ...*proxy) {
	t.Helper()
	const many = 90
	var refused atomic.Int64
	var all sync.WaitGroup
	for i := range many {
		p := proxies[i%len(proxies)]
		all.Go(func() {
			switch r, err := p.try(t, "POST", "/login", client); {
			case err != nil:
				t.Error(p.name, err)
			case r.Status == 429 && r.Header.Get("Retry-After") == "1":
				refused.Add(1)
			case r.Status != 401:
				t.Errorf("%s: %d %v", p.name, r.Status, r.Header)
			}
		})
	}
	proxytest.Eventually(t, "all but those inside are refused", func() bool { return refused.Load()+d.inside.Load() == many })
	if n := d.inside.Load(); n != most {
		t.Errorf("%d of %d are inside, want %d", n, many, most)
	}
	d.open()
	all.Wait()
	if n := d.reached.Load(); n != most {
		t.Errorf("%d of %d reached the application, want %d", n, many, most)
	}
	for _, p := range proxies {
		if r := p.send(t, "POST", "/login?right", client); r.Status != 429 {
			t.Errorf("%s: after %d failures: %d", p.name, most, r.Status)
		}
		if r := p.send(t, "POST", "/login?right", reader()); r.Status != 200 {
			t.Errorf("%s: somebody else: %d", p.name, r.Status)
		}
	}
}

// TestAttemptsAtOnce sends many log-ins at once through real proxies, to an
// application that takes its time: no more reach it than may fail.
func TestAttemptsAtOnce(t *testing.T) {
	n := startNode(t, guarded)
	for _, name := range []string{"nginx", "haproxy", "caddy"} {
		t.Run(name, func(t *testing.T) {
			tell := n
			if name == "haproxy" {
				tell = nil
			}
			app := newDoorman(t, tell)
			p := oneProxy(t, name, n, app.addr)
			client := reader()
			for i := range 10 { // those that are right are in nobody's way
				if r := p.send(t, "POST", "/login?right", client); r.Status != 200 {
					t.Fatalf("log-in %d: %d %s", i+1, r.Status, r.Body)
				}
			}
			app.storm(t, client, 3, p)
		})
	}
}
