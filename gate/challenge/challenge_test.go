package challenge

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/policy"
)

var (
	_ gate.Challenges = (*Challenges)(nil)

	start  = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)
	client = netip.MustParseAddr("198.51.100.20")
	easy   = []Choice{{0, ProofOfWork{Bits: 8, PerBit: -1}}}
)

// clock is a time that a test sets.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func challenges(t testing.TB, cfg Config) (*Challenges, *clock) {
	t.Helper()
	now := &clock{t: start}
	cfg.Now = now.now
	if cfg.Key == nil {
		cfg.Key = []byte(strings.Repeat("k", 32))
	}
	if cfg.Kinds == nil {
		cfg.Kinds = easy
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c, now
}

// send is what the gate does: it sends the client of a request to the page.
func send(t testing.TB, c *Challenges, now *clock, addr netip.Addr, score uint8, req *ipwarden.Request) url.Values {
	t.Helper()
	loc := string(c.AppendLocation(nil, req, addr, score, now.now()))
	u, err := url.Parse(loc)
	if err != nil || u.Path != c.Path() || u.Host != "" {
		t.Fatalf("%q: %v", loc, err)
	}
	return u.Query()
}

func get(c *Challenges, q url.Values) Answer {
	return c.Answer(context.Background(), &Ask{Method: http.MethodGet, Query: q})
}

func post(c *Challenges, q url.Values) Answer {
	return c.Answer(context.Background(), &Ask{Method: http.MethodPost, Form: q})
}

// solve does what the page's script does.
func solve(t testing.TB, ticket string, bits int) string {
	t.Helper()
	for n := range 1 << 24 {
		s := strconv.Itoa(n)
		if zeroBits(sha256.Sum256([]byte(ticket+"."+s))) >= bits {
			return s
		}
	}
	t.Fatal("no solution")
	return ""
}

func solved(t testing.TB, q url.Values) url.Values {
	t.Helper()
	return url.Values{"t": q["t"], "to": q["to"], "kind": {"proof_of_work"}, "n": {solve(t, q.Get("t"), 8)}}
}

// cookieOf is the clearance as the browser sends it.
func cookieOf(t testing.TB, a Answer) string {
	t.Helper()
	if a.Status != http.StatusSeeOther {
		t.Fatalf("status %d: %s", a.Status, a.Body)
	}
	cookie, _, _ := strings.Cut(a.Header.Get("Set-Cookie"), ";")
	if cookie == "" {
		t.Fatal("no cookie")
	}
	return cookie
}

func with(cookie string) *ipwarden.Request {
	return &ipwarden.Request{Header: http.Header{"Cookie": {cookie}}, Path: "/shop", Query: "a=b&c=ü"}
}

func clearedBy(t testing.TB, c *Challenges, now *clock, score uint8) string {
	t.Helper()
	return cookieOf(t, post(c, solved(t, send(t, c, now, client, score, with("")))))
}

func TestSolved(t *testing.T) {
	c, now := challenges(t, Config{})
	q := send(t, c, now, client, 50, with(""))
	if a := get(c, q); a.Status != 200 || !strings.Contains(string(a.Body), q.Get("t")) {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	a := post(c, solved(t, q))
	if to := a.Header.Get("Location"); to != "/shop?a=b&c=%C3%BC" {
		t.Errorf("it returns to %q", to)
	}
	full := a.Header.Get("Set-Cookie")
	for _, want := range []string{"; Path=/", "; Max-Age=3600", "; HttpOnly", "; SameSite=Lax"} {
		if !strings.Contains(full, want) {
			t.Errorf("%s has no %s", full, want)
		}
	}
	cookie := cookieOf(t, a)
	for _, x := range []struct {
		what   string
		cookie string
		addr   string
		score  uint8
		after  time.Duration
		want   bool
	}{
		{"the client", cookie, "198.51.100.20", 50, 0, true},
		{"its neighbour", cookie, "198.51.100.99", 50, 0, true},
		{"among other cookies", "a=b; " + cookie + " ; c", "198.51.100.20", 50, 0, true},
		{"beside an invalid one", "ipwarden_clearance=x; " + cookie, "198.51.100.20", 50, 0, true},
		{"a little riskier", cookie, "198.51.100.20", 60, 0, true},
		{"riskier", cookie, "198.51.100.20", 61, 0, false},
		{"H2: another /24", cookie, "198.51.101.20", 50, 0, false},
		{"another family", cookie, "2001:db8::1", 50, 0, false},
		{"H3: the same address without the cookie", "", "198.51.100.20", 50, 0, false},
		{"another name", "x" + cookie, "198.51.100.20", 50, 0, false},
		{"cut short", cookie[:len(cookie)-1], "198.51.100.20", 50, 0, false},
		{"too late", cookie, "198.51.100.20", 50, time.Hour, false},
		{"just in time", cookie, "198.51.100.20", 50, time.Hour - time.Second, true},
	} {
		if got := c.Cleared(with(x.cookie), netip.MustParseAddr(x.addr), x.score, start.Add(x.after)); got != x.want {
			t.Errorf("%s: %v", x.what, got)
		}
	}
	elsewhere, other := with(cookie), challengesOfAnotherKey(t)
	elsewhere.Host = "another.example"
	if !c.Cleared(elsewhere, client, 50, start) || other.Cleared(elsewhere, client, 50, start) {
		t.Error("a clearance is for all hosts of one key, and for no other key")
	}
	if c.Cleared(nil, client, 0, start) || c.Cleared(&ipwarden.Request{}, client, 0, start) || c.Cleared(with(cookie), netip.Addr{}, 0, start) {
		t.Error("nothing is cleared")
	}
}

func challengesOfAnotherKey(t *testing.T) *Challenges {
	t.Helper()
	c, _ := challenges(t, Config{Key: []byte("another key, which is 32 bytes or more")})
	return c
}

func TestNetworksOfIPv6(t *testing.T) {
	c, now := challenges(t, Config{})
	a := post(c, solved(t, send(t, c, now, netip.MustParseAddr("2001:db8:1:2::3"), 0, with(""))))
	cookie := cookieOf(t, a)
	for addr, want := range map[string]bool{"2001:db8:1:2:ffff::9": true, "2001:db8:1:3::3": false, "::ffff:198.51.100.20": false} {
		if got := c.Cleared(with(cookie), netip.MustParseAddr(addr), 0, start); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
}

// H1 of the catalogue.
func TestSolutionCountsOnce(t *testing.T) {
	c, now := challenges(t, Config{})
	form := solved(t, send(t, c, now, client, 0, with("")))
	cookieOf(t, post(c, form))
	for range 3 {
		if a := post(c, form); a.Status != http.StatusForbidden || a.Header.Get("Set-Cookie") != "" {
			t.Errorf("replayed: %d", a.Status)
		}
	}
	now.pass(9 * time.Minute)
	if a := post(c, form); a.Status != http.StatusForbidden {
		t.Errorf("replayed later: %d", a.Status)
	}
	now.pass(2 * time.Minute)
	if a := post(c, form); a.Status != http.StatusGone {
		t.Errorf("replayed too late: %d", a.Status)
	}
	if s := c.Stats(); s.Replayed != 4 || s.Old != 1 || s.Attempts["proof_of_work"]["solved"] != 5 {
		t.Errorf("%+v", s)
	}
}

// At once, on many connections: one wins.
func TestRaceForOneSolution(t *testing.T) {
	c, now := challenges(t, Config{})
	form := solved(t, send(t, c, now, client, 0, with("")))
	won := make(chan int, 50)
	var wait sync.WaitGroup
	for range cap(won) {
		wait.Go(func() { won <- post(c, form).Status })
	}
	wait.Wait()
	close(won)
	n := 0
	for status := range won {
		if status == http.StatusSeeOther {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d clearances for one solution", n)
	}
}

// spender is a store that nodes share.
type spender struct {
	mu   sync.Mutex
	seen map[[16]byte]bool
	err  error
}

func (s *spender) Spend(_ context.Context, id [16]byte, _ time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.seen[id]
	s.seen[id] = true
	return first, s.err
}

func TestNodesShareWhatWasSolved(t *testing.T) {
	s := &spender{seen: map[[16]byte]bool{}}
	one, now := challenges(t, Config{Spender: s})
	two, _ := challenges(t, Config{Spender: s})
	form := solved(t, send(t, one, now, client, 0, with("")))
	cookie := cookieOf(t, post(one, form))
	if a := post(two, form); a.Status != http.StatusForbidden {
		t.Errorf("the other node takes it: %d", a.Status)
	}
	if !two.Cleared(with(cookie), client, 0, start) {
		t.Error("the other node does not know the clearance")
	}
	s.err = errors.New("away")
	form = solved(t, send(t, one, now, client, 0, with("")))
	cookieOf(t, post(one, form))
	if a := post(one, form); a.Status != http.StatusForbidden || one.Stats().ShareErrors != 1 {
		t.Errorf("without the store: %d", a.Status)
	}
}

// When what nodes share is away, the fail mode of the route says what a solution
// is worth.
func TestSpenderAway(t *testing.T) {
	for mode, want := range map[policy.FailMode]string{
		policy.FailSafe: "Max-Age=600;", policy.FailOpen: "Max-Age=3600;", policy.FailClosed: "",
	} {
		c, now := challenges(t, Config{
			Spender:  &spender{seen: map[[16]byte]bool{}, err: errors.New("away")},
			FailMode: func(string) policy.FailMode { return mode },
		})
		form := solved(t, send(t, c, now, client, 0, with("")))
		a := post(c, form)
		if cookie := a.Header.Get("Set-Cookie"); (cookie == "") != (want == "") || !strings.Contains(cookie, want) {
			t.Errorf("%s: %d, the cookie is %q, want %q in it", mode, a.Status, cookie, want)
		}
		if closed := a.Status == http.StatusServiceUnavailable && a.Header.Get("Retry-After") != ""; closed != (mode == policy.FailClosed) {
			t.Errorf("%s: status %d", mode, a.Status)
		}
		if again := post(c, form); again.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: the same solution counts twice", mode)
		}
	}
}

func TestWrongSolutions(t *testing.T) {
	c, now := challenges(t, Config{})
	q := send(t, c, now, client, 0, with(""))
	good := solve(t, q.Get("t"), 8)
	other, _ := challenges(t, Config{Key: []byte(strings.Repeat("x", 32))})
	n, _ := strconv.Atoi(good)
	for what, form := range map[string]url.Values{
		"nothing":            {"t": q["t"], "kind": {"proof_of_work"}},
		"no number":          {"t": q["t"], "kind": {"proof_of_work"}, "n": {good + "x"}},
		"a sign":             {"t": q["t"], "kind": {"proof_of_work"}, "n": {"+" + good}},
		"another number":     {"t": q["t"], "kind": {"proof_of_work"}, "n": {strconv.Itoa(n + 1<<40)}},
		"a very long number": {"t": q["t"], "kind": {"proof_of_work"}, "n": {strings.Repeat("0", 1000) + good}},
		"another kind":       {"t": q["t"], "kind": {"captcha"}, "n": {good}},
		"no kind":            {"t": q["t"], "n": {good}},
		"no ticket":          {"kind": {"proof_of_work"}, "n": {good}},
		"a ticket of others": {"t": send(t, other, now, client, 0, nil)["t"], "kind": {"proof_of_work"}, "n": {good}},
		"a clearance":        {"t": {strings.TrimPrefix(clearedBy(t, c, now, 0), "ipwarden_clearance=")}, "kind": {"proof_of_work"}, "n": {good}},
	} {
		a := post(c, form)
		if a.Header.Get("Set-Cookie") != "" || a.Status < 400 {
			if what == "another number" && a.Status == http.StatusSeeOther {
				return // one of 256 is right, and the ticket is spent
			}
			t.Errorf("%s: %d", what, a.Status)
		}
	}
	// The page after a failure has a ticket of its own and does not start by itself.
	a := post(c, url.Values{"t": q["t"], "to": {"/shop"}, "kind": {"proof_of_work"}, "n": {"x"}})
	if body := string(a.Body); strings.Contains(body, q.Get("t")) || !strings.Contains(body, `id="start"`) {
		t.Errorf("%s", body)
	}
	if a := post(c, solved(t, q)); a.Status != http.StatusSeeOther {
		t.Errorf("the ticket is lost by a wrong solution: %d", a.Status)
	}
}

// Every byte of a ticket and of a clearance counts.
func TestTampering(t *testing.T) {
	c, now := challenges(t, Config{})
	ticket := send(t, c, now, client, 0, with("")).Get("t")
	_, clear, _ := strings.Cut(clearedBy(t, c, now, 0), "=")
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range ticket {
		for _, r := range alphabet {
			if forged := ticket[:i] + string(r) + ticket[i+1:]; forged != ticket {
				if _, ok := c.seal.openTicket(forged); ok {
					t.Fatalf("%q is taken for %q", forged, ticket)
				}
			}
		}
	}
	for i := range clear {
		for _, r := range alphabet {
			if forged := clear[:i] + string(r) + clear[i+1:]; forged != clear {
				if _, ok := c.seal.openClearance(forged); ok {
					t.Fatalf("%q is taken for %q", forged, clear)
				}
			}
		}
	}
	if _, ok := c.seal.openClearance(ticket); ok {
		t.Error("a ticket is taken for a clearance")
	}
}

// Who comes back cleared and is challenged again is not sent round and round.
func TestNoLoop(t *testing.T) {
	c, now := challenges(t, Config{})
	cookie := clearedBy(t, c, now, 10)
	now.pass(2 * time.Second)
	q := send(t, c, now, netip.MustParseAddr("198.51.101.1"), 10, with(cookie))
	if body := string(get(c, q).Body); !strings.Contains(body, `id="start"`) || !strings.Contains(body, "your network has changed") {
		t.Errorf("it starts by itself: %s", body)
	}
	now.pass(2 * time.Minute)
	q = send(t, c, now, netip.MustParseAddr("198.51.101.1"), 10, with(cookie))
	if body := string(get(c, q).Body); strings.Contains(body, `id="start"`) {
		t.Error("it does not start by itself")
	}
}

func TestMoreWorkForMoreRisk(t *testing.T) {
	p := ProofOfWork{}
	if p.For(0) != 15 || p.For(50) != 16 || p.For(100) != 17 || (ProofOfWork{Bits: 99}).For(0) != 24 || (ProofOfWork{Bits: 1}).For(0) != 8 {
		t.Error(p.For(0), p.For(50), p.For(100))
	}
	more := 2
	if p := (ProofOfWork{Raise: func() int { return more }}); p.For(0) != 17 || p.For(100) != 19 || (ProofOfWork{Bits: 24, Raise: p.Raise}).For(0) != 24 {
		t.Error("raised bits")
	} else if more = 0; p.For(0) != 15 {
		t.Error("bits stay raised")
	}
	w := Wait{}
	if w.For(0) != 5*time.Second || w.For(100) != 15*time.Second || w.For(1) != 6*time.Second {
		t.Error(w.For(0), w.For(100), w.For(1))
	}
}

// H5 of the catalogue: wait, and press a button.
func TestWithoutScript(t *testing.T) {
	c, now := challenges(t, Config{WithoutScriptLimit: 3})
	q := send(t, c, now, client, 50, with(""))
	page := string(get(c, q).Body)
	want := `<noscript><meta http-equiv="refresh" content="10;url=` + c.Path() + `?t=` + q.Get("t") + `&amp;to=%2Fshop`
	if !strings.Contains(strings.ReplaceAll(page, "&amp;to=/shop", "&amp;to=%2Fshop"), want) {
		t.Errorf("%s\nhas no %s", page, want)
	}
	form := url.Values{"t": q["t"], "to": q["to"], "kind": {"wait"}}
	early := post(c, form)
	if early.Status != http.StatusForbidden || early.Header.Get("Set-Cookie") != "" {
		t.Errorf("too early: %d", early.Status)
	}
	q.Set("wait", "1")
	if body := string(get(c, q).Body); strings.Contains(body, "<button") || strings.Contains(body, "<script") || !strings.Contains(body, "10 seconds") {
		t.Errorf("too early: %s", body)
	}
	now.pass(9 * time.Second)
	if body := string(get(c, q).Body); !strings.Contains(body, "1 seconds") {
		t.Errorf("%s", body)
	}
	now.pass(time.Second)
	body := string(get(c, q).Body)
	if !strings.Contains(body, "<button") || strings.Contains(body, "<script") || strings.Contains(body, "http-equiv") {
		t.Errorf("%s", body)
	}
	a := post(c, form)
	cookie := cookieOf(t, a)
	if !strings.Contains(a.Header.Get("Set-Cookie"), "Max-Age=600;") {
		t.Error(a.Header.Get("Set-Cookie"))
	}
	if !c.Cleared(with(cookie), client, 50, now.now()) || c.Cleared(with(cookie), client, 50, now.now().Add(10*time.Minute)) {
		t.Error("the clearance is not short")
	}
	if a := post(c, form); a.Status != http.StatusForbidden && a.Status != http.StatusTooManyRequests {
		t.Errorf("replayed: %d", a.Status)
	}
	// A machine waits once for a thousand tickets: the network's limit holds.
	var many []url.Values
	for range 10 {
		many = append(many, send(t, c, now, netip.MustParseAddr("203.0.113.9"), 0, with("")))
	}
	now.pass(30 * time.Second)
	got := 0
	for _, q := range many {
		a := post(c, url.Values{"t": q["t"], "kind": {"wait"}})
		if a.Status == http.StatusSeeOther {
			got++
		} else if a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" {
			t.Errorf("%d", a.Status)
		}
	}
	if got != 3 {
		t.Errorf("%d clearances in a moment, and 3 is the limit", got)
	}
	// So does that of a /48.
	got = 0
	many = nil
	for i := range 100 {
		many = append(many, send(t, c, now, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 1, 0, byte(i), 15: 1}), 0, with("")))
	}
	now.pass(30 * time.Second)
	for _, q := range many {
		if post(c, url.Values{"t": q["t"], "kind": {"wait"}}).Status == http.StatusSeeOther {
			got++
		}
	}
	if got != 24 {
		t.Errorf("%d clearances in a moment for a /48, and 24 is the limit", got)
	}
}

func TestWithoutScriptUpToAScore(t *testing.T) {
	c, now := challenges(t, Config{WithoutScriptUpTo: 40})
	for score, want := range map[uint8]int{40: http.StatusSeeOther, 41: http.StatusBadRequest} {
		q := send(t, c, now, client, score, with(""))
		page := string(get(c, q).Body)
		if strings.Contains(page, "<noscript>") != (want == http.StatusSeeOther) {
			t.Errorf("%d: %s", score, page)
		}
		now.pass(time.Minute)
		if a := post(c, url.Values{"t": q["t"], "kind": {"wait"}}); a.Status != want {
			t.Errorf("%d: %d", score, a.Status)
		}
	}
	c, now = challenges(t, Config{WithoutScriptUpTo: -1})
	q := send(t, c, now, client, 0, with(""))
	now.pass(time.Minute)
	if a := post(c, url.Values{"t": q["t"], "kind": {"wait"}}); a.Status != http.StatusBadRequest {
		t.Errorf("%d", a.Status)
	}
}

func TestConfigMistakes(t *testing.T) {
	_, err := New(Config{
		Key: []byte("short"), Path: "//evil.example", Cookie: "a b", Life: time.Millisecond, Solved: -1,
		Kinds: []Choice{{10, ProofOfWork{}}, {5, ProofOfWork{}}, {20, nil}},
	})
	for _, want := range []string{"Key has 5 bytes", `Path "//evil.example"`, `Cookie "a b"`, "Life is 1ms", "Solved is -1", "from a score of 10", "choice 1 is from a score of 5", "choice 2 has no Kind"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v has no %s", err, want)
		}
	}
}

// Of many cookies 16 are looked at: what a site below the same domain sets besides
// hides a clearance only in such numbers.
func TestCookiesBesides(t *testing.T) {
	c, now := challenges(t, Config{})
	good := clearedBy(t, c, now, 0)
	for n, want := range map[int]bool{0: true, maxCookies - 1: true, maxCookies: false} {
		if got := c.Cleared(with(strings.Repeat("ipwarden_clearance=x; ", n)+good), client, 0, start); got != want {
			t.Errorf("behind %d others: %v", n, got)
		}
	}
}

func TestClearedDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	c, now := challenges(t, Config{})
	r := with("a=b; " + clearedBy(t, c, now, 0))
	if n := testing.AllocsPerRun(200, func() {
		if !c.Cleared(r, client, 0, start) {
			t.Fatal("not cleared")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCleared(b *testing.B) {
	c, now := challenges(b, Config{})
	for name, r := range map[string]*ipwarden.Request{"cleared": with("a=b; " + clearedBy(b, c, now, 0)), "no cookie": with("")} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Cleared(r, client, 0, start)
			}
		})
	}
}

func TestResults(t *testing.T) {
	for r, want := range map[Result]string{Unsolved: "unsolved", Solved: "solved", Unavailable: "unavailable", Busy: "busy", 99: ""} {
		if r.String() != want {
			t.Errorf("%d is %q", r, r.String())
		}
	}
}
