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

// TestAttemptsOnTwoNodes is the same with two nodes that share a Redis, all proxies
// at once, and outcomes that are told to the node that has not decided.
func TestAttemptsOnTwoNodes(t *testing.T) {
	redis := proxytest.FreeAddr(t)
	server := proxytest.Redis(t, redis)
	var nodes []*node
	for range 2 {
		nodes = append(nodes, startNode(t, guarded, "--redis", "redis://"+redis, "--limit-budget", "10s"))
	}
	client := reader()
	app := newDoorman(t, nodes[1])
	all := []*proxy{
		oneProxy(t, "nginx", nodes[0], app.addr), oneProxy(t, "haproxy", nodes[1], app.addr), oneProxy(t, "caddy", nodes[0], app.addr),
	}
	for i := range 12 {
		if r := all[i%3].send(t, "POST", "/login?right", client); r.Status != 200 {
			t.Fatalf("log-in %d: %d %s", i+1, r.Status, r.Body)
		}
	}
	app.storm(t, client, 3, all...)

	t.Run("told to both, often, at once", func(t *testing.T) {
		client, line := reader(), nodes[0].dial(t)
		h, err := line.ask("/login", client)
		if err != nil || h.Get("X-Ipwarden-Status") != "200" {
			t.Fatalf("%v %v", h, err)
		}
		var counted atomic.Int64
		var reports sync.WaitGroup
		for i := range 20 {
			reports.Go(func() {
				status, text, err := nodes[i%2].post("/v1/outcome", `{"decision":"`+h.Get("X-Ipwarden-Decision")+`","event":"login_failed"}`)
				if err != nil || status != 200 {
					t.Errorf("%d %s %v", status, text, err)
				}
				if strings.Contains(text, `"counted":true`) {
					counted.Add(1)
				}
			})
		}
		reports.Wait()
		if n := counted.Load(); n != 1 {
			t.Errorf("it counted %d times", n)
		}
		if h, err := nodes[1].dial(t).ask("/login", client); err != nil || !strings.Contains(h.Get("RateLimit"), `"log-ins";r=2;`) {
			t.Errorf("of 3 are left: %v %v", h, err)
		}
	})
	t.Run("a decision that nobody made", func(t *testing.T) {
		status, text, err := nodes[0].post("/v1/outcome", `{"decision":"01ARYZ6S41TSV4RRFFQ69G5FAV","event":"login_failed"}`)
		if err != nil || status != 404 || !strings.Contains(text, "--outcome-window") {
			t.Errorf("%d %s %v", status, text, err)
		}
	})
	t.Run("Redis is away", func(t *testing.T) {
		h, err := nodes[0].dial(t).ask("/login", reader())
		if err != nil {
			t.Fatal(err)
		}
		server.Stop()
		report := `{"decision":"` + h.Get("X-Ipwarden-Decision") + `","event":"login_failed"}`
		if status, text, err := nodes[1].post("/v1/outcome", report); err != nil || status != 503 || !strings.Contains(text, "store-away") {
			t.Errorf("told to the other node: %d %s %v", status, text, err)
		}
		if status, text, err := nodes[0].post("/v1/outcome", report); err != nil || status != 200 {
			t.Errorf("told to the node that decided: %d %s %v", status, text, err)
		}
	})
}
