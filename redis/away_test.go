package redis

import (
	"bytes"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/limit"
)

// lines collects what is logged.
type lines struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// An outage is a limiter whose store is about to be lost, with a sliding limit
// of 500 an hour of which 20 are used.
type outage struct {
	t    *testing.T
	fast bool
	l    *Limiter
	log  *lines
	rate *limit.Rate
	key  limit.Key
}

// outageBudget is larger than the default one, as other tests use these cores.
const outageBudget = 60 * time.Millisecond

func newOutage(t *testing.T, c Config) *outage {
	t.Helper()
	o := &outage{
		t: t, fast: c.Fast, log: &lines{}, key: key(t.Name()),
		rate: &limit.Rate{Name: "x", Limit: 500, Window: time.Hour, Algorithm: limit.Sliding},
	}
	c.Budget = outageBudget
	c.Logger = slog.New(slog.NewTextHandler(o.log, nil))
	o.l = limiter(t, c)
	return o
}

func (o *outage) take() limit.Result {
	o.t.Helper()
	return take(o.t, o.l, limit.Request{Rate: o.rate, Key: o.key, Cost: 1})[0]
}

func (o *outage) use(n int) {
	o.t.Helper()
	late := 0 // a busy machine may miss a budget
	for i := range n {
		r := o.take()
		if !r.Allowed {
			o.t.Fatalf("request %d, before the outage: %+v", i, r)
		}
		if r.Source == limit.Local {
			late++
		}
	}
	if late > n/5 || o.l.Stats().Away {
		o.t.Fatalf("%d of %d were decided by this node before the outage", late, n)
	}
}

// suffer takes 400 while the store is away: each within its budget, nearly all
// at once, most of them said to be local, and exactly as many allowed as the
// limit leaves.
func (o *outage) suffer() {
	o.t.Helper()
	runtime.GC()
	before := runtime.NumGoroutine()
	var took []time.Duration
	local, most := 0, 0
	for range 400 {
		begun := time.Now()
		r := o.take()
		took = append(took, time.Since(begun))
		if r.Source == limit.Local {
			local++
		}
		if !r.Allowed {
			o.t.Fatalf("denied below the limit: %+v", r)
		}
		most = max(most, runtime.NumGoroutine())
	}
	slices.Sort(took)
	// What is above a budget is what the scheduler of a busy machine adds to it.
	if late := took[len(took)-20]; late > 2*outageBudget || took[len(took)-1] > 50*outageBudget {
		o.t.Errorf("the slowest twentieth took more than %s, the slowest %s; the budget is %s", late, took[len(took)-1], outageBudget)
	}
	if m := took[len(took)/2]; m > outageBudget/4 {
		o.t.Errorf("half of all took longer than %s, though the store is left alone", m)
	}
	// What a slow store answers before it is left alone grants another lease.
	if local < 400-10-2*o.lease() {
		o.t.Errorf("%d of 400 were decided by this node, and said so", local)
	}
	if most > before+20 { // the client's own, of one connection at a time, and those of timers
		o.t.Errorf("%d goroutines, %d before", most, before)
	}
	if s := o.l.Stats(); !s.Away || s.Err == nil {
		o.t.Errorf("%+v", s)
	}
	proxytest.Eventually(o.t, "one line is logged", func() bool { return strings.Contains(o.log.String(), "this node alone") })
	if n := strings.Count(o.log.String(), "\n"); n != 1 {
		o.t.Errorf("%d lines logged:\n%s", n, o.log)
	}
}

// lease is what is admitted before the loss is noticed.
func (o *outage) lease() int {
	if o.fast {
		return 50
	}
	return 0
}

// recover waits until the store is used again, and until another node knows of
// what was admitted meanwhile.
func (o *outage) recover(addr string, least uint32) {
	o.t.Helper()
	least -= uint32(o.lease()) // what was on its way is in doubt, and not told twice
	proxytest.Eventually(o.t, "the store is used again", func() bool { return !o.l.Stats().Away })
	proxytest.Eventually(o.t, "its return is logged", func() bool { return strings.Contains(o.log.String(), "limits are shared") })
	other := limiter(o.t, Config{Addresses: []string{addr}})
	proxytest.Eventually(o.t, "another node knows of what was admitted", func() bool {
		r := take(o.t, other, limit.Request{Rate: o.rate, Key: o.key})[0]
		return r.Source == limit.Exact && 500-r.Remaining >= least
	})
	if r := take(o.t, other, limit.Request{Rate: o.rate, Key: o.key})[0]; 500-r.Remaining > least+40+uint32(o.lease()) {
		o.t.Errorf("%d are counted of about %d that were admitted", 500-r.Remaining, least)
	}
}

// modes runs a test in exact and in fast mode.
func modes(t *testing.T, f func(t *testing.T, fast bool)) {
	t.Run("exact", func(t *testing.T) { f(t, false) })
	t.Run("fast", func(t *testing.T) { f(t, true) })
}

func TestRefused(t *testing.T) {
	modes(t, func(t *testing.T, fast bool) {
		addr := proxytest.FreeAddr(t)
		o := newOutage(t, Config{Addresses: []string{addr}, Fast: fast})
		o.suffer()
		start(t, addr)
		o.recover(addr, 400)
	})
}

func TestStopped(t *testing.T) {
	modes(t, func(t *testing.T, fast bool) {
		addr := proxytest.FreeAddr(t)
		server := start(t, addr)
		o := newOutage(t, Config{Addresses: []string{addr}, Fast: fast})
		o.use(20)
		server.Signal(syscall.SIGSTOP)
		o.suffer()
		server.Signal(syscall.SIGCONT)
		o.recover(addr, 410) // some were in doubt, and are not told twice
	})
}

func TestSlow(t *testing.T) {
	modes(t, func(t *testing.T, fast bool) {
		addr := proxytest.FreeAddr(t)
		start(t, addr)
		w := proxytest.NewWire(t, addr)
		o := newOutage(t, Config{Addresses: []string{w.Addr}, Fast: fast})
		o.use(20)
		w.SetDelay(200 * time.Millisecond)
		o.suffer()
		w.SetDelay(0)
		o.recover(addr, 410)
	})
}

func TestKilledAndStartedAgain(t *testing.T) {
	modes(t, func(t *testing.T, fast bool) {
		addr := proxytest.FreeAddr(t)
		server := start(t, addr)
		o := newOutage(t, Config{Addresses: []string{addr}, Fast: fast})
		o.use(20)
		server.Signal(syscall.SIGKILL)
		server.Stop()
		o.suffer()
		start(t, addr) // it is empty: what came before is lost to others
		o.recover(addr, 390)
		if r := o.take(); r.Remaining > 100+uint32(o.lease()) {
			t.Errorf("%+v: this node has forgotten what it knew", r)
		}
	})
}

// Whatever answers come, none is believed and nothing breaks.
func TestJunk(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	start(t, addr)
	for name, junk := range map[string]string{
		"a status": "+OK\r\n", "a number": ":7\r\n", "a short string": "$5\r\nhello\r\n", "nothing": "$-1\r\n", "an error": "-ERR no\r\n",
		"loading": "-LOADING Redis is loading the dataset in memory\r\n", "read only": "-READONLY You can't write against a read only replica.\r\n",
		"out of memory": "-OOM command not allowed when used memory > 'maxmemory'.\r\n", "an array": "*2\r\n:1\r\n:2\r\n",
		"17 bytes": "$17\r\n\x01aaaaaaaaaaaaaaaa\r\n", "negative": "$17\r\n\x01\x00\x00\x00\x00\x00\x00\xf0\xbfaaaaaaaa\r\n",
		"another protocol": "HTTP/1.1 400 Bad Request\r\n\r\n", "bytes": "\x00\x01\x02\xff\xfe", "a huge length": "$999999999999\r\nx",
		"many answers": strings.Repeat("+OK\r\n", 50), "a push": ">2\r\n+x\r\n+y\r\n", "moved": "-MOVED 1 127.0.0.1:1\r\n", "empty": "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := proxytest.NewWire(t, addr)
			o := newOutage(t, Config{Addresses: []string{w.Addr}})
			o.use(20)
			w.SetJunk(&junk)
			o.suffer()
			w.SetJunk(nil)
			w.Cut()
			o.recover(addr, 400)
		})
	}
}

// A server that is emptied while nodes use it goes on, and what nodes know to be
// denied stays denied.
func TestEmptied(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	start(t, addr)
	l := limiter(t, Config{Addresses: []string{addr}})
	rate := &limit.Rate{Name: "x", Limit: 50, Window: time.Hour}
	for n := range 100 {
		if n%20 == 10 {
			cli(t, addr, "flushall")
			cli(t, addr, "script", "flush")
		}
		got := take(t, l, limit.Request{Rate: rate, Key: key(t.Name()), Cost: 1})[0]
		if got.Source == limit.Local {
			t.Fatalf("%d: %+v", n, got)
		}
	}
	// It was emptied at 10, 30, 50, 70 and 90: of each stretch all are counted.
	var denied limit.Result
	for range 50 {
		denied = take(t, l, limit.Request{Rate: rate, Key: key(t.Name()), Cost: 1})[0]
	}
	if denied.Allowed {
		t.Errorf("%+v", denied)
	}
	cli(t, addr, "flushall")
	if r := take(t, l, limit.Request{Rate: rate, Key: key(t.Name()), Cost: 1})[0]; r.Allowed || r.Source != limit.Fast {
		t.Errorf("%+v: what was denied is let in because the store was emptied", r)
	}
}

// When the master dies sentinels name another, which is used without anybody's
// doing.
func TestFailover(t *testing.T) {
	master, sentinels := startSentinels(t)
	o := newOutage(t, Config{Addresses: sentinels, Master: "limits"})
	o.use(20)
	master.Signal(syscall.SIGKILL)
	proxytest.Eventually(t, "the loss is noticed", func() bool { return o.take().Source == limit.Local })
	proxytest.Eventually(t, "the new master is used", func() bool { return o.take().Source == limit.Exact })
}

// What one node of a cluster charged, and another denied, is given back.
func TestClusterGivesBack(t *testing.T) {
	addrs, _ := startCluster(t)
	l := limiter(t, Config{Addresses: addrs, Cluster: true})
	a := limit.Request{Rate: &limit.Rate{Name: "a", Limit: 100, Window: time.Hour}, Key: key("a"), Cost: 1}
	b := limit.Request{Rate: &limit.Rate{Name: "b", Limit: 3, Window: time.Hour}, Key: key("b"), Cost: 1}
	if slotOf(string(appendKey(nil, defaultPrefix, a.Key))) == slotOf(string(appendKey(nil, defaultPrefix, b.Key))) {
		t.Fatal("the two keys are of one slot")
	}
	for n := range 10 {
		if got := take(t, l, a, b); limit.Allowed(got) != (n < 3) {
			t.Errorf("%d: %+v", n, got)
		}
	}
	// This node remembers the denial; another one has to ask.
	for range 3 {
		other := limiter(t, Config{Addresses: addrs, Cluster: true})
		if got := take(t, other, a, b); limit.Allowed(got) {
			t.Errorf("%+v", got)
		}
	}
	a.Cost = 0
	if got := take(t, limiter(t, Config{Addresses: addrs, Cluster: true}), a)[0]; got.Remaining != 97 || got.Source != limit.Exact {
		t.Errorf("%+v, want 97 left", got)
	}
}

// A cluster that loses a node costs no decision more than its budget.
func TestClusterNodeLost(t *testing.T) {
	addrs, nodes := startCluster(t)
	const budget = 3 * outageBudget
	l := limiter(t, Config{Addresses: addrs, Cluster: true, Budget: budget})
	rate := &limit.Rate{Name: "x", Limit: 1000, Window: time.Hour}
	ask := func(n int) limit.Result {
		return take(t, l, limit.Request{Rate: rate, Key: key(string(rune('a' + n%20))), Cost: 1})[0]
	}
	for n := range 40 {
		if r := ask(n); r.Source != limit.Exact {
			t.Fatalf("%+v", r)
		}
	}
	nodes[2].Signal(syscall.SIGKILL)
	nodes[2].Stop()
	local := 0
	for n := range 400 {
		begun := time.Now()
		r := ask(n)
		if took := time.Since(begun); took > 4*budget || !r.Allowed {
			t.Fatalf("%s: %+v", took, r)
		}
		if r.Source == limit.Local {
			local++
		}
	}
	if local < 50 {
		t.Errorf("%d of 400 were decided by this node, though a third of the keys are lost", local)
	}
}
