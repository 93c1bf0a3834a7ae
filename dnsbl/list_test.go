package dnsbl

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/ipwardentest"
)

// world is a DNS of the test's making, in a bubble: names and what they answer.
type world struct {
	mu    sync.Mutex
	names map[string]answer // guarded by mu
	all   *answer           // guarded by mu: of each name that is not in names
	fail  error             // guarded by mu
	delay time.Duration     // guarded by mu
	slow  string            // guarded by mu: names that end with it take a second
	asked map[string]int    // guarded by mu
	txt   int               // guarded by mu
}

func newWorld(zones ...string) *world {
	w := &world{names: map[string]answer{}, asked: map[string]int{}}
	for _, z := range zones {
		w.list("127.0.0.2", z, 300, "127.0.0.2")
		w.list("::ffff:7f00:2", z, 300, "127.0.0.2")
	}
	return w
}

func (w *world) list(addr, zone string, ttl uint32, codes ...string) {
	a := answer{ttl: ttl, known: true}
	for _, c := range codes {
		a.addrs = append(a.addrs, netip.MustParseAddr(c))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names[queryName(netip.MustParseAddr(addr), "."+zone+".")] = a
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) count(addr, zone string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[queryName(netip.MustParseAddr(addr), "."+zone+".")]
}

func (w *world) question(ctx context.Context, name string, qtype uint16) (answer, error) {
	w.mu.Lock()
	a, ok := w.names[name]
	if !ok && w.all != nil {
		a = *w.all
	}
	fail, delay := w.fail, w.delay
	if w.slow != "" && strings.HasSuffix(name, w.slow) {
		delay = time.Second
	}
	if qtype == dns.TypeTXT {
		w.txt++
		a = answer{text: "listed because"}
	} else {
		w.asked[name]++
	}
	w.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return answer{}, ctx.Err()
		}
	}
	return a, fail
}

// open starts a List on w in a bubble; it is closed at the bubble's end.
func open(t *testing.T, w *world, cfg Config) *List {
	t.Helper()
	cfg.Resolvers = []string{"127.0.0.1:1"}
	if cfg.Zones == nil {
		cfg.Zones = []Zone{{Name: "bl.example", Codes: codes(map[byte]Code{2: spam, 4: attack, 10: {}})}}
	}
	l, err := start(cfg, w.question)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func look(t *testing.T, l *List, addr string) (ipwarden.Record, error) {
	t.Helper()
	return l.Lookup(t.Context(), netip.MustParseAddr(addr))
}

// want looks an address up and compares traits and the error.
func want(t *testing.T, l *List, addr string, traits ipwarden.Traits, err error) {
	t.Helper()
	r, got := look(t, l, addr)
	if !errors.Is(got, err) || r.Traits() != traits {
		t.Errorf("%s is %v, %v; want %v, %v", addr, r.Traits().Names(), got, traits.Names(), err)
	}
}

// The first look-up is pending, the next knows; what is said has its evidence.
func TestBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("bl.example", "other.example")
		w.list("81.2.69.142", "bl.example", 900, "127.0.0.2", "127.0.0.4", "127.0.0.77")
		w.list("81.2.69.142", "other.example", 900, "127.0.0.10")
		l := open(t, w, Config{Zones: []Zone{
			{Name: "bl.example", Codes: codes(map[byte]Code{2: spam, 4: {Traits: ipwarden.Attacker, Type: "botnet", Listing: "B"}}), Listing: "The list", URL: "https://bl.example/", Terms: "free", Text: true},
			{Name: "other.example", Codes: codes(map[byte]Code{10: {}})},
		}})
		want(t, l, "81.2.69.142", 0, ErrPending)
		want(t, l, "81.2.69.142", 0, ErrPending)
		synctest.Wait()
		r, err := look(t, l, "81.2.69.142")
		if err != nil || r.Traits() != ipwarden.Abuser|ipwarden.Attacker || r.Network().String() != "81.2.69.142/32" {
			t.Fatalf("%v %v %v", r.Traits().Names(), r.Network(), err)
		}
		rows := r.Security().Listings
		if len(rows) != 2 || rows[0].Name != "The list" || rows[0].Type != "spam" || rows[0].URL != "https://bl.example/" || rows[0].Date.IsZero() || rows[1].Name != "B" {
			t.Errorf("%+v", rows)
		}
		said := map[string]string{}
		for _, e := range r.Evidence() {
			for _, c := range e.By {
				said[e.Field.String()] += c.Feed + " " + c.Match + " " + c.Licence + " " + c.Note + ";"
			}
		}
		if got, want := said["security.is_attacker"], "bl.example 81.2.69.142/32 free 127.0.0.4, TTL 15m0s: listed because;"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if len(said) != 4 || said["security.is_threat"] == "" || strings.Count(said["security.listings"], ";") != 2 {
			t.Errorf("%q", said)
		}
		if feed, at := r.Asserted(ipwarden.Attacker); feed != "bl.example" || !at.Equal(time.Now()) {
			t.Errorf("%s %s", feed, at)
		}
		if n := w.count("81.2.69.142", "bl.example"); n != 1 {
			t.Errorf("it was asked %d times", n)
		}
		want(t, l, "8.8.8.8", 0, ErrPending)
		synctest.Wait()
		want(t, l, "8.8.8.8", 0, nil)
		h := l.Health()
		if h[0].Listed != 1 || h[0].NotListed != 1 || h[0].Unknown != 1 || h[0].Asked != 2 || h[0].State != On || len(h[0].Controls) != 2 {
			t.Errorf("%+v", h[0])
		}
	})
}

// Spellings of one address are one question; what is nobody's is none.
func TestWhatIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("bl.example")
		l := open(t, w, Config{Zones: []Zone{{Name: "bl.example", Codes: codes(map[byte]Code{2: spam}), IPv6: true}}})
		w.list("81.2.69.142", "bl.example", 900, "127.0.0.2")
		w.list("2a02:6b8:1:2::", "bl.example", 900, "127.0.0.2")
		for _, s := range []string{"10.0.0.1", "192.0.2.1", "::1", "fe80::1%eth0", "64:ff9b::a00:1", "2002:c0a8:101::"} {
			want(t, l, s, 0, nil)
		}
		if _, err := l.Lookup(t.Context(), netip.Addr{}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		w.set(func() {
			if len(w.asked) != 4 {
				t.Errorf("asked: %v", w.asked)
			}
		})
		for _, s := range []string{"81.2.69.142", "::ffff:81.2.69.142", "64:ff9b::5102:458e"} {
			_, _ = look(t, l, s)
			synctest.Wait()
			want(t, l, s, ipwarden.Abuser, nil)
		}
		if n := w.count("81.2.69.142", "bl.example"); n != 1 {
			t.Errorf("asked %d times", n)
		}
		// Of IPv6 the network is asked about.
		for _, s := range []string{"2a02:6b8:1:2::77", "2a02:6b8:1:2:ffff::"} {
			_, _ = look(t, l, s)
			synctest.Wait()
			r, err := look(t, l, s)
			if err != nil || !r.Traits().Has(ipwarden.Abuser) || r.Network().String() != "2a02:6b8:1:2::/64" {
				t.Errorf("%s: %v %v %v", s, r.Traits().Names(), r.Network(), err)
			}
		}
		if n := w.count("2a02:6b8:1:2::", "bl.example"); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// A TTL has a floor and a ceiling; what has ended counts on while it is asked again.
func TestTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("bl.example")
		l := open(t, w, Config{MinTTL: time.Minute, MaxTTL: time.Hour, MaxNegative: 30 * time.Minute, Grace: 5 * time.Minute})
		w.list("81.2.69.1", "bl.example", 1, "127.0.0.2")
		w.list("81.2.69.2", "bl.example", 600, "127.0.0.2")
		w.list("81.2.69.3", "bl.example", 1e9, "127.0.0.2")
		w.list("81.2.69.4", "bl.example", 1e9)
		w.list("81.2.69.5", "bl.example", 120)
		addrs := map[string]time.Duration{"81.2.69.1": time.Minute, "81.2.69.2": 10 * time.Minute, "81.2.69.3": time.Hour, "81.2.69.4": 30 * time.Minute, "81.2.69.5": 2 * time.Minute}
		for a := range addrs {
			_, _ = look(t, l, a)
		}
		synctest.Wait()
		began := time.Now()
		for a := range addrs {
			if n := w.count(a, "bl.example"); n != 1 {
				t.Fatalf("%s was asked %d times", a, n)
			}
		}
		for _, a := range []string{"81.2.69.1", "81.2.69.5", "81.2.69.2", "81.2.69.4", "81.2.69.3"} {
			time.Sleep(time.Until(began.Add(addrs[a] - time.Second)))
			_, err := look(t, l, a)
			synctest.Wait()
			if n := w.count(a, "bl.example"); n != 1 || err != nil {
				t.Errorf("%s was asked again before its time, or is not known: %v", a, err)
			}
			time.Sleep(2 * time.Second)
			before, err := look(t, l, a)
			if err != nil {
				t.Errorf("%s does not count while it is asked again: %v", a, err)
			}
			synctest.Wait()
			if n := w.count(a, "bl.example"); n != 2 {
				t.Errorf("%s was asked %d times after its end", a, n)
			}
			if after, err := look(t, l, a); err != nil || after.Traits() != before.Traits() {
				t.Errorf("%s: %v, %v", a, after.Traits().Names(), err)
			}
		}
		time.Sleep(time.Hour + 6*time.Minute)
		want(t, l, "81.2.69.3", 0, ErrPending) // its grace is over as well
	})
}

// Waiting is until the context ends, and what came by then is in the Record.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("bl.example")
		w.list("81.2.69.142", "bl.example", 900, "127.0.0.4")
		l := open(t, w, Config{Wait: true})
		synctest.Wait()
		w.set(func() { w.delay = 100 * time.Millisecond })
		began := time.Now()
		want(t, l, "81.2.69.142", ipwarden.Attacker, nil)
		if d := time.Since(began); d != 100*time.Millisecond {
			t.Errorf("it took %v", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		began = time.Now()
		if _, err := l.Lookup(ctx, netip.MustParseAddr("8.8.8.8")); !errors.Is(err, ErrPending) {
			t.Error(err)
		}
		if d := time.Since(began); d != 30*time.Millisecond {
			t.Errorf("it took %v", d)
		}
		time.Sleep(time.Second) // its answer came behind
		began = time.Now()
		want(t, l, "8.8.8.8", 0, nil)
		if time.Since(began) != 0 {
			t.Error("it was asked again")
		}
		// Many who ask about one address at once are one question.
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { want(t, l, "9.9.9.9", 0, nil) })
		}
		wg.Wait()
		if n := w.count("9.9.9.9", "bl.example"); n != 1 {
			t.Errorf("%d questions", n)
		}
	})
}

// Who is listed is not hidden by a zone that is slow or silent.
func TestListedByOneOfTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("fast.example", "slow.example")
		w.list("81.2.69.142", "fast.example", 900, "127.0.0.4")
		w.list("81.2.69.142", "slow.example", 900, "127.0.0.2")
		m := codes(map[byte]Code{2: spam, 4: attack, 10: {}})
		l := open(t, w, Config{Wait: true, Zones: []Zone{{Name: "fast.example", Codes: m}, {Name: "slow.example", Codes: m}}})
		synctest.Wait()
		w.set(func() { w.slow = ".slow.example." })
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		r, err := l.Lookup(ctx, netip.MustParseAddr("81.2.69.142"))
		if err != nil || r.Traits() != ipwarden.Attacker {
			t.Errorf("%v %v", r.Traits().Names(), err)
		}
		if _, err := l.Lookup(ctx, netip.MustParseAddr("8.8.8.8")); !errors.Is(err, ErrPending) {
			t.Errorf("nobody knows that it is not listed: %v", err)
		}
		time.Sleep(10 * time.Second)
		want(t, l, "81.2.69.142", ipwarden.Attacker|ipwarden.Abuser, nil)
	})
}

// A silent zone holds nobody, is taken out, keeps what it said, and comes back.
func TestDeadZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("bl.example")
		w.list("81.2.69.142", "bl.example", 3600, "127.0.0.4")
		var log strings.Builder
		l := open(t, w, Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
		_, _ = look(t, l, "81.2.69.142")
		synctest.Wait()
		w.set(func() { w.fail = errors.New("silence") })
		for i, a := range []string{"9.0.0.1", "9.0.0.2", "9.0.0.3", "9.0.0.4", "9.0.0.5"} {
			want(t, l, a, 0, ErrPending)
			synctest.Wait()
			if i == 0 {
				want(t, l, a, 0, ErrUnanswered)
			}
		}
		time.Sleep(11 * time.Second) // five in a row have it checked
		synctest.Wait()
		if h := l.Health()[0]; h.State != Off || !strings.Contains(h.Reason, "silence") || h.Unanswered != 5 {
			t.Fatalf("%+v", h)
		}
		want(t, l, "81.2.69.142", ipwarden.Attacker, nil)
		want(t, l, "9.0.0.9", 0, ErrNoZone)
		w.set(func() { w.fail = nil })
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if h := l.Health()[0]; h.State != On || h.Reason != "" {
			t.Fatalf("%+v", h)
		}
		want(t, l, "9.0.0.9", 0, ErrPending)
		synctest.Wait()
		want(t, l, "9.0.0.9", 0, nil)
		if s := log.String(); strings.Count(s, "\n") != 2 || !strings.Contains(s, "is not asked any more") || !strings.Contains(s, "asked again") {
			t.Errorf("%s", s)
		}
	})
}

// E6: a zone that refuses, or answers what no list answers, lists nobody: nor do
// its answers from before, which may have been the first of those.
func TestE6RefusingAndLyingZones(t *testing.T) {
	for code, reason := range map[string]string{
		"127.255.255.252": "misspelled", "127.255.255.254": "public resolver", "127.255.255.255": "too often", "127.0.0.1": "refuses",
		"93.184.216.34": "parked",
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld("bl.example", "good.example")
			w.list("81.2.69.142", "bl.example", 3600, "127.0.0.4")
			w.list("81.2.69.142", "good.example", 3600, "127.0.0.2")
			l := open(t, w, Config{Zones: []Zone{
				{Name: "bl.example", Codes: codes(map[byte]Code{2: spam, 4: attack})},
				{Name: "good.example", Codes: codes(map[byte]Code{2: spam})},
			}})
			_, _ = look(t, l, "81.2.69.142")
			synctest.Wait()
			want(t, l, "81.2.69.142", ipwarden.Attacker|ipwarden.Abuser, nil)
			w.list("9.0.0.1", "bl.example", 3600, code)
			_, _ = look(t, l, "9.0.0.1")
			synctest.Wait()
			if h := l.Health()[0]; h.State != Off || !strings.Contains(h.Reason, reason) || h.Refused+h.Lied != 1 {
				t.Errorf("%s: %+v", code, h)
			}
			want(t, l, "9.0.0.1", 0, nil)
			want(t, l, "81.2.69.142", ipwarden.Abuser, nil)
			// It comes back by itself, and what it says is asked anew.
			w.list("9.0.0.1", "bl.example", 3600)
			time.Sleep(time.Minute)
			synctest.Wait()
			if h := l.Health()[0]; h.State != On {
				t.Errorf("%s: %+v", code, h)
			}
			_, _ = look(t, l, "81.2.69.142")
			synctest.Wait()
			want(t, l, "81.2.69.142", ipwarden.Attacker|ipwarden.Abuser, nil)
			if n := w.count("81.2.69.142", "bl.example"); n != 2 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// A zone that begins to list everything is noticed long before its next check.
func TestEverythingListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("bl.example")
		l := open(t, w, Config{CheckEvery: time.Hour})
		synctest.Wait()
		time.Sleep(20 * time.Minute)
		w.set(func() {
			w.all = &answer{addrs: []netip.Addr{netip.MustParseAddr("127.0.0.2")}, ttl: 60, known: true}
		})
		a := netip.MustParseAddr("9.0.0.1")
		for range suspectListed {
			_, _ = l.Lookup(t.Context(), a)
			a = a.Next()
			synctest.Wait()
		}
		if h := l.Health()[0]; h.State != Off || !strings.Contains(h.Reason, "127.0.0.1") || !strings.Contains(h.Reason, "everything") {
			t.Fatalf("%+v", h)
		}
		want(t, l, "9.0.0.1", 0, ErrNoZone)
	})
}

// A zone is not believed before it has passed, nor one that is wrong from the start.
func TestControlAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("good.example", "everything.example", "refuses.example")
		w.list("127.0.0.1", "everything.example", 60, "127.0.0.2")
		w.list("127.0.0.2", "refuses.example", 60, "127.255.255.254")
		w.list("::ffff:7f00:2", "good.example", 60)
		for _, z := range []string{"good.example", "everything.example", "empty.example", "refuses.example"} {
			w.list("81.2.69.142", z, 3600, "127.0.0.2")
		}
		m := codes(map[byte]Code{2: attack})
		l := open(t, w, Config{Zones: []Zone{
			{Name: "good.example", Codes: codes(map[byte]Code{2: spam})},
			{Name: "everything.example", Codes: m},
			{Name: "empty.example", Codes: m},
			{Name: "refuses.example", Codes: m},
		}})
		synctest.Wait()
		for i, want := range []string{"", "127.0.0.1: it answers what no list answers", "the list is empty, or gone", "public resolver"} {
			if h := l.Health()[i]; (h.State == On) != (want == "") || !strings.Contains(h.Reason, want) {
				t.Errorf("%s is %v: %s", h.Zone, h.State, h.Reason)
			}
		}
		_, _ = look(t, l, "81.2.69.142")
		synctest.Wait()
		want(t, l, "81.2.69.142", ipwarden.Abuser, nil)
		if w.count("81.2.69.142", "everything.example") != 0 {
			t.Error("a zone was asked that has not passed")
		}
		six := open(t, w, Config{Zones: []Zone{{Name: "good.example", Codes: m, IPv6: true}}})
		synctest.Wait()
		if h := six.Health()[0]; h.State != Off || !strings.Contains(h.Reason, "::ffff:127.0.0.2") || len(h.Controls) != 4 {
			t.Errorf("%+v", h)
		}
		// Of a zone that goes on being wrong, less and less is asked: no flood.
		before := w.count("127.0.0.2", "empty.example")
		time.Sleep(24 * time.Hour)
		if n := w.count("127.0.0.2", "empty.example") - before; n < 200 || n > 400 {
			t.Errorf("%d checks in a day", n)
		}
	})
}

// While its control addresses are asked for the first time, a zone's answers are
// waited for.
func TestChecking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("bl.example")
		w.delay = time.Second
		w.list("81.2.69.142", "bl.example", 3600, "127.0.0.4")
		l := open(t, w, Config{Wait: true})
		if h := l.Health()[0]; h.State != Checking {
			t.Errorf("%v", h.State)
		}
		began := time.Now()
		want(t, l, "81.2.69.142", ipwarden.Attacker, nil)
		if d := time.Since(began); d != 2*time.Second {
			t.Errorf("%v", d)
		}
	})
}

// One that turns out to be wrong meanwhile is not asked at all.
func TestCheckingAWrongZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("bl.example")
		w.delay = time.Second
		w.list("127.0.0.1", "bl.example", 60, "127.0.0.2")
		l := open(t, w, Config{Wait: true})
		want(t, l, "81.2.69.142", 0, ErrNoZone)
		if n := w.count("81.2.69.142", "bl.example"); n != 0 {
			t.Errorf("asked %d times", n)
		}
	})
}

// What was put together before the last zone answered is not taken for the whole.
func TestRememberedIsTheLast(t *testing.T) {
	c, a := newCache(16), netip.MustParseAddr("8.8.8.8")
	c.settle(a, 0, 2, result{ok: true, until: 100}, 1)
	_, version := c.results(a)
	c.settle(a, 1, 2, result{ok: true, until: 100, listed: 1}, 1)
	store := ipwarden.NewStore(&said{}, nil)
	c.remember(a, version, store, 7, 100)
	if _, ok := c.last(a, 2, 7); ok {
		t.Error("it hides what came after it")
	}
	_, version = c.results(a)
	c.remember(a, version, store, 7, 100)
	if got, ok := c.last(a, 2, 7); !ok || got != store {
		t.Error("nothing is remembered")
	}
	for _, c2 := range []struct {
		now   int64
		epoch uint64
	}{{100, 7}, {2, 8}} {
		if _, ok := c.last(a, c2.now, c2.epoch); ok {
			t.Errorf("%+v: it is over", c2)
		}
	}
}

// A million addresses take bounded memory and drive out listed ones last; who finds
// no room is asked about later.
func TestSprayIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("bl.example")
		l := open(t, w, Config{Entries: 256, Queue: 8, Workers: 2})
		synctest.Wait()
		listed := netip.MustParseAddr("81.2.69.0")
		for a := listed; a != netip.MustParseAddr("81.2.69.64"); a = a.Next() {
			w.list(a.String(), "bl.example", 1e9, "127.0.0.2")
			_, _ = l.Lookup(t.Context(), a)
			synctest.Wait()
		}
		a := netip.MustParseAddr("9.0.0.0")
		for i := range 20_000 {
			_, _ = l.Lookup(t.Context(), a)
			a = a.Next()
			if i%4 == 0 {
				synctest.Wait()
			}
		}
		w.set(func() { w.delay = time.Hour })
		for range 100 {
			_, _ = l.Lookup(t.Context(), a)
			a = a.Next()
		}
		synctest.Wait()
		s := l.Stats()
		if s.Entries > 256+16 || s.Dropped == 0 || s.TurnedAway < 80 || s.Waiting > 8+2 {
			t.Errorf("%+v", s)
		}
		still := 0
		for a := listed; a != netip.MustParseAddr("81.2.69.64"); a = a.Next() {
			if r, err := l.Lookup(t.Context(), a); err == nil && r.Traits() != 0 {
				still++
			}
		}
		if still < 56 {
			t.Errorf("of 64 listed addresses %d are left", still)
		}
	})
}

func TestSourceContract(t *testing.T) {
	w := newWorld("bl.example")
	l := open(t, w, Config{Wait: true, Zones: []Zone{{Name: "bl.example", Codes: codes(map[byte]Code{2: spam}), IPv6: true}}})
	w.list("81.2.69.142", "bl.example", 3600, "127.0.0.2")
	w.list("2a02:6b8:1:2::", "bl.example", 3600, "127.0.0.2")
	ipwardentest.TestSource(t, l, netip.MustParseAddr("81.2.69.142"), netip.MustParseAddr("2a02:6b8:1:2::5"), netip.MustParseAddr("8.8.8.8"))
}

// What is remembered costs no memory, listed or not.
func TestRememberedDoesNotAllocate(t *testing.T) {
	w := newWorld("bl.example")
	l := open(t, w, Config{Wait: true})
	w.list("81.2.69.142", "bl.example", 3600, "127.0.0.2")
	for _, s := range []string{"81.2.69.142", "8.8.8.8"} {
		a, ctx := netip.MustParseAddr(s), t.Context()
		if _, err := l.Lookup(ctx, a); err != nil {
			t.Fatal(err)
		}
		_, _ = l.Lookup(ctx, a)
		if n := testing.AllocsPerRun(100, func() { _, _ = l.Lookup(ctx, a) }); n != 0 {
			t.Errorf("%s: %v allocations", s, n)
		}
	}
}

func BenchmarkRemembered(b *testing.B) {
	w := newWorld("bl.example")
	l, err := start(Config{Wait: true, Resolvers: []string{"127.0.0.1:1"}, Zones: []Zone{{Name: "bl.example", Codes: codes(map[byte]Code{2: spam})}}}, w.question)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	a, ctx := netip.MustParseAddr("8.8.8.8"), b.Context()
	if _, err := l.Lookup(ctx, a); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = l.Lookup(ctx, a)
	}
}
