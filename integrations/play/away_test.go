package play

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// An outage is a node whose Redis is about to be lost, behind all proxies.
type outage struct {
	addr    string // of Redis
	redis   *proxytest.Process
	wire    *proxytest.Wire // the node reaches Redis through it
	node    *node
	proxies []*proxy
}

// budget is larger than the default one, as busy cores may take that for what is
// well, and margin is what a proxy and these cores add to it.
const (
	budget = 40 * time.Millisecond
	margin = 200 * time.Millisecond
)

// TestRedisAway plays a Redis that is stopped, paused or slow while requests come: each is answered in time, by the fail mode of its route, and
// the application hears of it. When it is back it is used again, nobody storms
// it, and what was counted meanwhile is told.
func TestRedisAway(t *testing.T) {
	o := &outage{addr: proxytest.FreeAddr(t)}
	o.redis = proxytest.Redis(t, o.addr)
	o.wire = proxytest.NewWire(t, o.addr)
	patient := strings.Replace(read(t, "../../examples/policy.yaml"), "budget: 5ms", "budget: "+budget.String(), 1)
	o.node = startNode(t, patient, "--redis", "redis://"+o.wire.Addr, "--limit-budget", budget.String())
	o.proxies = proxies(t, o.node, proxytest.NewApp(t))
	all := t
	t.Run("stopped", func(t *testing.T) {
		o.lose(t, func() { o.redis.Stop(); o.wire.Refuse() }, func() { o.redis = proxytest.Redis(all, o.addr); o.wire.Accept() })
	})
	t.Run("paused", func(t *testing.T) {
		o.lose(t, func() { o.redis.Signal(syscall.SIGSTOP) }, func() { o.redis.Signal(syscall.SIGCONT) })
	})
	t.Run("slow", func(t *testing.T) {
		o.lose(t, func() { o.wire.SetDelay(time.Second) }, func() { o.wire.SetDelay(0) })
	})
}

// whole waits until decisions at each proxy are made with Redis, and says how
// long that took.
func (o *outage) whole(t *testing.T) time.Duration {
	t.Helper()
	begun := time.Now()
	for _, p := range o.proxies {
		proxytest.Eventually(t, p.name+" has decisions that are not degraded", func() bool {
			r := p.send(t, "GET", "/assets/x.css", reader())
			return r.Seen != nil && r.Seen.Header.Get("X-Ipwarden-Degraded") == ""
		})
	}
	return time.Since(begun)
}

func (o *outage) lose(t *testing.T, away, back func()) {
	o.whole(t)
	// Others come all the time: their answers are wanted too.
	load := o.load(t)
	away()
	// The first requests find out, each within its budget.
	proxytest.Eventually(t, "the loss is noticed", func() bool {
		r := o.proxies[0].send(t, "GET", "/assets/x.css", reader())
		return r.Seen != nil && r.Seen.Header.Get("X-Ipwarden-Degraded") == "true"
	})
	counted := map[string]bool{}
	asked, connected, since := o.wire.Sent(), o.wire.Connections(), time.Now()
	for _, p := range o.proxies {
		client := abroad.next()
		counted[client] = true
		o.fails(t, p, client)
	}
	// Nobody but the probe asks while it is away: four times a second at first.
	if n, c, most := o.wire.Sent()-asked, o.wire.Connections()-connected, 10+int64(10*time.Since(since).Seconds()); n > most || c > most {
		t.Errorf("while it was away it was sent to %d times, and connected to %d times, in %v", n, c, time.Since(since))
	}
	asked, connected, since = o.wire.Sent(), o.wire.Connections(), time.Now()
	decided := load.answered.Load()
	back()
	took := o.whole(t)
	// What comes to it is at most what is decided, and the backlog; not more
	// connections than it takes.
	n, c, most := o.wire.Sent()-asked, o.wire.Connections()-connected, load.answered.Load()-decided+int64(20*time.Since(since).Seconds())+50
	if n > most || c > 4 {
		t.Errorf("when it was back it was sent to %d times, and connected to %d times, for %d decisions in %v", n, c, most, time.Since(since))
	}
	t.Logf("used again after %v; sent to %d times over %d connections; %d requests meanwhile", took.Round(time.Millisecond), n, c, load.answered.Load()-decided)
	load.end(t)
	o.told(t, counted, since)
}

// fails wants of a proxy what the policy says of each route.
func (o *outage) fails(t *testing.T, p *proxy, client string) {
	t.Helper()
	// Open: this node's own counts, below those of the tier, and all pass.
	if a := p.spend(t, 30, "/assets/x.css", client); a.n[200] != 30 || a.degraded != 30 {
		t.Errorf("%s, open: %v, %d of them degraded", p.name, a.n, a.degraded)
	}
	// Safe: 20 a minute, of which none is used yet.
	a := p.spend(t, 25, "/", home.next())
	a.holds(t, p.name+", safe", 20, time.Minute)
	if a.degraded != a.n[200] {
		t.Errorf("%s, safe: %v, %d of them degraded", p.name, a.n, a.degraded)
	}
	// Closed.
	quickest := time.Hour
	for range 3 {
		r := p.send(t, "GET", "/admin/users", home.next())
		if r.Status != 503 || r.Header.Get("Retry-After") == "" {
			t.Errorf("%s, closed: %d %v in %v", p.name, r.Status, r.Header, r.Took)
		}
		quickest = min(quickest, r.Took)
	}
	if quickest > budget+margin {
		t.Errorf("%s, closed: the quickest of three took %v", p.name, quickest)
	}
	// What needs no count is as ever.
	if r := p.send(t, "GET", "/", dataCentre.next()); r.Status != 403 {
		t.Errorf("%s: a data centre: %d", p.name, r.Status)
	}
	if r := p.send(t, "GET", "/", crawler.next()); r.Status != 200 || r.Seen.Header.Get("X-Ipwarden-Degraded") != "" {
		t.Errorf("%s: a crawler: %+v", p.name, r)
	}
}

// told wants another node to hear of the 30 requests of each client.
func (o *outage) told(t *testing.T, clients map[string]bool, since time.Time) {
	t.Helper()
	other := startNode(t, onlyLooks, "--redis", "redis://"+o.addr, "--limit-budget", "2s")
	for client := range clients {
		left := 0
		proxytest.Eventually(t, "another node knows of what was admitted", func() bool {
			left = other.left(t, client)
			// Of 50 a minute, what came back, and what was in doubt when it was lost.
			return left <= 50-30+int(time.Since(since).Seconds()*50/60)+3
		})
		if left < 50-30-6 {
			t.Errorf("%d of 50 are left: more than the 30 are counted", left)
		}
	}
	other.Stop()
}

// onlyLooks has the standard tier's limit, and charges it with nothing.
const onlyLooks = `version: 1
defaults: {budget: 10s}
tiers:
  - name: standard
    limits: {rate: 50/min, algorithm: gcra, count: outcome == "never", pending: off}
`

// left is what the standard tier has left for a client.
func (n *node) left(t *testing.T, client string) int {
	t.Helper()
	var got struct {
		Limits []struct {
			Name             string
			Limit, Remaining int
		}
	}
	text := n.ask(t, "/v1/decide", `{"ip":"`+client+`","method":"GET","host":"a.example","path":"/"}`)
	if err := json.Unmarshal([]byte(text), &got); err != nil || len(got.Limits) != 1 || got.Limits[0].Name != "standard" || got.Limits[0].Limit != 50 {
		t.Fatalf("%v: %s", err, text)
	}
	return got.Limits[0].Remaining
}

// A load is clients that ask all the time.
type load struct {
	answered atomic.Int64
	stop     chan struct{}
	clients  sync.WaitGroup
	mu       sync.Mutex // guards took
	took     []time.Duration
}

// load starts two clients a proxy.
func (o *outage) load(t *testing.T) *load {
	l := &load{stop: make(chan struct{})}
	for _, p := range o.proxies {
		for range 2 {
			l.clients.Go(func() {
				for {
					select {
					case <-l.stop:
						return
					default:
					}
					r, err := p.try(t, "GET", "/assets/x.css", reader())
					if err != nil || r.Status != 200 && r.Status != 429 {
						t.Errorf("%s: under load: %+v, %v", p.name, r, err)
						return
					}
					l.answered.Add(1)
					l.mu.Lock()
					l.took = append(l.took, r.Took)
					l.mu.Unlock()
				}
			})
		}
	}
	return l
}

// end stops the clients; all were answered in time.
func (l *load) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.clients.Wait()
	slices.Sort(l.took)
	if len(l.took) < 100 {
		t.Fatalf("only %d requests were answered", len(l.took))
	}
	half, most, last := l.took[len(l.took)/2], l.took[len(l.took)*99/100], l.took[len(l.took)-1]
	t.Logf("%d requests took %v in the median, 99 of 100 less than %v, and %v at most", len(l.took), half.Round(time.Microsecond), most.Round(time.Microsecond), last.Round(time.Microsecond))
	// The last ones are what the scheduler of a busy machine adds.
	if half > budget+margin || most > 5*(budget+margin) || last > 50*(budget+margin) {
		t.Errorf("half took up to %v, 99 of 100 %v, the last %v; the budget is %v", half, most, last, budget)
	}
}
