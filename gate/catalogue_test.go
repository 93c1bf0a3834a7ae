package gate_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/policy"
)

// The tests of this file are attacks of the catalogue, docs/attacks.md, by their
// numbers. Trusted is 10.0.0.0/8, the peer 10.0.0.5 unless said; the attacker is
// 203.0.113.66, the victim 198.51.100.20; documentation ranges are public here.

const (
	attacker = "203.0.113.66"
	victim   = "198.51.100.20"
)

// plain answers that an address is in Sweden and otherwise ordinary; what is
// special-purpose, documentation ranges aside, is a bogon.
var plain = localFunc(func(_ context.Context, a netip.Addr) (ipwarden.Record, error) {
	f := ipwarden.Full{Network: netip.PrefixFrom(a, a.BitLen()), Location: ipwarden.Location{CountryCode: "SE"}}
	if a.IsPrivate() || a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() || a.IsMulticast() ||
		netip.MustParsePrefix("100.64.0.0/10").Contains(a) || netip.MustParsePrefix("240.0.0.0/4").Contains(a) {
		f = ipwarden.Full{Traits: ipwarden.Bogon}
	}
	return ipwarden.NewRecord(a, f), nil
})

func behindProxy(c *gate.Config) {
	x, err := clientip.New(clientip.Config{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	if err != nil {
		panic(err)
	}
	c.Client, c.Source = x, plain
}

// from is a request through the proxy with these header lines ("Name: value").
func from(peer string, lines ...string) *ipwarden.Request {
	q := request(peer)
	h := http.Header{}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		h.Add(name, value)
	}
	q.Header = h
	return q
}

func decide(g *gate.Gate, q *ipwarden.Request) gate.Summary {
	var d gate.Decision
	g.Decide(context.Background(), q, &d)
	return d.Summary()
}

func xff(value string) string { return "X-Forwarded-For: " + value }

func TestA3RandomFirstElementsAreOneKey(t *testing.T) {
	g := newGate(t, policy.Config{Limits: []policy.Limit{perMinute("all", 50)}}, behindProxy)
	passed := 0
	for i := range 1000 {
		if decide(g, from("10.0.0.5", xff(fmt.Sprintf("198.51.%d.%d, %s", i/250, i%250, attacker)))).Verdict == ipwarden.Allow {
			passed++
		}
	}
	if passed != 50 {
		t.Errorf("%d of 1000 passed, want 50", passed)
	}
}

func TestA4VictimIsNotLockedOut(t *testing.T) {
	g := newGate(t, policy.Config{Limits: []policy.Limit{perMinute("all", 5)}}, behindProxy)
	for range 100 {
		decide(g, from("10.0.0.5", xff(victim+", "+attacker)))
	}
	if s := decide(g, from("10.0.0.5", xff(victim))); s.Verdict != ipwarden.Allow {
		t.Errorf("the victim: %s by %s", s.Verdict, s.By)
	}
}

// A8, A9, A17: what another header says of the client or of its country changes
// nothing, and does not reach the application.
func TestA9OtherHeadersSayNothing(t *testing.T) {
	g := newGate(t, policy.Config{}, behindProxy)
	for _, name := range append(clientip.SourceHeaders(), "CF-IPCountry", "X-Country-Code", "X-Vercel-IP-Country") {
		if strings.EqualFold(name, "X-Forwarded-For") {
			continue
		}
		s := decide(g, from("10.0.0.5", xff(attacker), name+": "+victim))
		if s.Client.String() != attacker || s.Record.CountryCode() != "SE" {
			t.Errorf("with %s: %s in %s", name, s.Client, s.Record.CountryCode())
		}
	}
	if n := g.Stats().Conflicts; n == 0 {
		t.Error("A10: no conflict was counted")
	}
}

// A12, A14, A15, B12, F10: who cannot be known is in the safe tier, under the
// nearest hop, and never unlimited.
func TestSafeTier(t *testing.T) {
	for _, c := range []struct {
		name, line, client, status string
	}{
		{"A14: an element that is no address", xff(attacker + ", not-an-ip"), "10.0.0.5", "unresolved"},
		{"A14: nearer hops are verified", xff(attacker + ", not-an-ip, 10.0.0.9"), "10.0.0.9", "unresolved"},
		{"A15: no header", "Accept: */*", "10.0.0.5", "no_header"},
		{"B4: octal", xff("0203.0.113.66"), "10.0.0.5", "unresolved"},
		{"B12: link-local metadata", xff("169.254.169.254"), "169.254.169.254", "forwarded"},
		{"B12: shared address space", xff("100.64.0.1"), "100.64.0.1", "forwarded"},
		{"B12: unspecified", xff("::"), "::", "forwarded"},
		{"B12: loopback", xff("127.0.0.1"), "127.0.0.1", "forwarded"},
		{"B12: unique local", xff("fc00::1"), "fc00::1", "forwarded"},
		{"F10: 64 KB of elements", xff(strings.Repeat("x,", 32<<10) + "y"), "10.0.0.5", "unresolved"},
	} {
		g := newGate(t, policy.Config{DefaultRoute: policy.Route{FailMode: policy.FailOpen}}, behindProxy)
		passed := 0
		for i := range policy.SafeLimit + 10 {
			s := decide(g, from("10.0.0.5", c.line))
			if s.Verdict == ipwarden.Allow {
				passed++
			}
			if i == 0 && (s.Client.String() != c.client || s.ClientStatus != c.status || s.Tier != "safe") {
				t.Errorf("%s: %s (%s) in tier %q, want %s (%s)", c.name, s.Client, s.ClientStatus, s.Tier, c.client, c.status)
			}
		}
		if passed != policy.SafeLimit {
			t.Errorf("%s: %d passed, want %d", c.name, passed, policy.SafeLimit)
		}
		closed := newGate(t, policy.Config{DefaultRoute: policy.Route{FailMode: policy.FailClosed}}, behindProxy)
		if s := decide(closed, from("10.0.0.5", c.line)); c.status != "forwarded" && s.Verdict != ipwarden.Block {
			t.Errorf("%s on a route that fails closed: %s", c.name, s.Verdict)
		}
	}
}

// A14, A15 over a Unix socket, whose other end has no address: all whom nobody
// vouches for are one.
func TestSafeTierOfASocket(t *testing.T) {
	x, err := clientip.New(clientip.Config{TrustPeer: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{xff(attacker + ", not-an-ip"), "Accept: */*"} {
		g := newGate(t, policy.Config{}, func(c *gate.Config) { c.Client = x })
		passed := 0
		for i := range policy.SafeLimit + 10 {
			req := from("10.0.0.5", line)
			req.Peer = netip.Addr{}
			s := decide(g, req)
			if s.Verdict == ipwarden.Allow {
				passed++
			}
			if i == 0 && (s.Tier != "safe" || s.Degraded || s.Client.IsValid()) {
				t.Errorf("%s: %+v", line, s)
			}
		}
		if passed != policy.SafeLimit {
			t.Errorf("%s: %d passed, want %d", line, passed, policy.SafeLimit)
		}
	}
}

// A13: an address all of whose hops are trusted is ours, and no bogon.
func TestA13Internal(t *testing.T) {
	g := newGate(t, policy.Config{}, behindProxy)
	if s := decide(g, from("10.0.0.5", xff("10.1.1.1, 10.0.0.9"))); s.ClientStatus != "internal" || s.Client.String() != "10.1.1.1" || s.Tier != "" {
		t.Errorf("%s (%s) in tier %q", s.Client, s.ClientStatus, s.Tier)
	}
}

// B1, B2, B13: a deny entry holds for every spelling of the address.
func TestB1DenyHoldsForEverySpelling(t *testing.T) {
	g := newGate(t, policy.Config{Lists: []policy.List{{
		Name: "denied", Action: ipwarden.Block, Prefixes: []netip.Prefix{netip.MustParsePrefix(attacker + "/32"), netip.MustParsePrefix("2001:db8::/32")},
	}}}, behindProxy)
	for _, spelling := range []string{
		attacker, "::ffff:" + attacker, "::ffff:cb00:7142", "0:0:0:0:0:ffff:203.0.113.66", "64:ff9b::cb00:7142", "2002:cb00:7142::1",
		attacker + ":51234", "[2001:db8::9]:51234", "[2001:db8::9]", "2001:db8:1:2::1%eth0", "2001:DB8:1:2:0:0:0:1",
	} {
		if s := decide(g, from("10.0.0.5", xff(spelling))); s.Verdict != ipwarden.Block || s.By != "denied" {
			t.Errorf("%s: %s by %q", spelling, s.Verdict, s.By)
		}
	}
	if s := decide(g, request("::ffff:"+attacker)); s.Verdict != ipwarden.Block {
		t.Errorf("B13, over a dual-stack listener: %s", s.Verdict)
	}
}

// B3, B5, B6, B7, B9: which spellings are one key.
func TestB6KeysAreBits(t *testing.T) {
	for _, c := range []struct {
		name string
		one  []string
		two  bool // they are different keys
	}{
		{"B3", []string{"2001:DB8:1:2:0:0:0:1", "2001:db8:1:2::1"}, false},
		{"B5", []string{attacker + ":1", attacker}, false},
		{"B6", []string{"64:ff9b::cb00:7142", attacker}, false},
		{"B6", []string{"64:ff9b::cb00:7142", "64:ff9b::cb00:7143"}, true},
		{"B7", []string{"2002:cb00:7142:1::1", "2002:cb00:7142:ffff::9"}, false},
		{"B9", []string{"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"}, false},
		{"B9", []string{"2001:db8:1:2::1", "2001:db8:1:3::1"}, true},
	} {
		g := newGate(t, policy.Config{Limits: []policy.Limit{perMinute("all", 1)}}, behindProxy)
		decide(g, from("10.0.0.5", xff(c.one[0])))
		if s := decide(g, from("10.0.0.5", xff(c.one[1]))); (s.Verdict == ipwarden.Allow) != c.two {
			t.Errorf("%s: %s after %s: %s", c.name, c.one[1], c.one[0], s.Verdict)
		}
	}
}

// B10: a spray through one /48 trips the limit of the /48.
func TestB10SprayTripsTheRollup(t *testing.T) {
	l := perMinute("all", 10)
	l.Rollup = [2]uint32{4, 16}
	g := newGate(t, policy.Config{Limits: []policy.Limit{l}}, behindProxy)
	passed := 0
	for i := range 1 << 16 {
		if decide(g, request(fmt.Sprintf("2001:db8:1:%x::1", i))).Verdict == ipwarden.Allow {
			passed++
		}
	}
	if passed != 160 {
		t.Errorf("%d of 65,536 passed, want 160", passed)
	}
	if s := decide(g, request("2001:db8:2::1")); s.Verdict != ipwarden.Allow {
		t.Errorf("the next /48: %s", s.Verdict)
	}
}

// C8: of a log-in only failures count, and a failure that is reported twice
// counts once.
func TestC8OnlyFailuresCount(t *testing.T) {
	failed := policy.Expr{Op: policy.OpEqual, Type: policy.Bool, Args: []policy.Expr{
		{Op: policy.OpStatus, Type: policy.Int}, {Op: policy.OpConst, Type: policy.Int, Int: 401},
	}}
	g := newGate(t, policy.Config{Limits: []policy.Limit{
		{Name: "failures", Algorithm: policy.Sliding, Limit: 3, Window: time.Hour, Count: failed},
	}}, behindProxy)
	status := 0
	h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	try := func(s int) int {
		status = s
		r := httptest.NewRequest("POST", "/login", nil)
		r.RemoteAddr = attacker + ":1"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	for i, s := range []int{200, 401, 200, 200, 401, 200, 401} {
		if got := try(s); got != s {
			t.Fatalf("log-in %d: %d, want %d", i+1, got, s)
		}
	}
	if got := try(200); got != 429 {
		t.Errorf("after three failures: %d, want 429", got)
	}
}

// C12, D7: a Source that fails or hangs ends in the route's fail mode, within the
// route's budget.
func TestD7SourceAway(t *testing.T) {
	for _, c := range []struct {
		mode policy.FailMode
		want ipwarden.Verdict
		tier string
	}{
		{policy.FailSafe, ipwarden.Allow, "safe"}, {policy.FailOpen, ipwarden.Allow, ""}, {policy.FailClosed, ipwarden.Block, "safe"},
	} {
		for name, src := range map[string]ipwarden.SourceFunc{
			"fails": func(context.Context, netip.Addr) (ipwarden.Record, error) {
				return ipwarden.Record{}, errors.New("away")
			},
			"hangs": func(ctx context.Context, _ netip.Addr) (ipwarden.Record, error) {
				<-ctx.Done()
				return ipwarden.Record{}, ctx.Err()
			},
			"minds nothing": func(context.Context, netip.Addr) (ipwarden.Record, error) {
				<-t.Context().Done()
				return ipwarden.Record{}, nil
			},
		} {
			g := newGate(t, policy.Config{DefaultRoute: policy.Route{FailMode: c.mode, Budget: 20 * time.Millisecond}}, func(cfg *gate.Config) { cfg.Source = src })
			start := time.Now()
			var d gate.Decision
			g.Decide(context.Background(), request(attacker), &d)
			told := false
			for name, value := range d.Enriched() {
				told = told || name == gate.HeaderDegraded && value == "true"
			}
			if !told {
				t.Errorf("%s, %s: no header says so", name, c.mode)
			}
			s := d.Summary()
			if s.Verdict != c.want || s.Tier != c.tier || !s.Degraded {
				t.Errorf("%s, %s: %s in tier %q, degraded %v", name, c.mode, s.Verdict, s.Tier, s.Degraded)
			}
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("%s, %s: it took %v", name, c.mode, took)
			}
		}
	}
}

// E1 to E4: what a user agent says is believed when it is verified, and neither
// let in nor shut out before.
func TestE1Crawlers(t *testing.T) {
	claims := crawlers{}
	g := newGate(t, policy.Config{
		Crawlers: policy.Crawlers{Allow: true}, Default: ipwarden.Block,
	}, func(c *gate.Config) { behindProxy(c); c.Crawlers = claims })
	for state, want := range map[policy.Crawler]ipwarden.Verdict{
		policy.Verified: ipwarden.Allow, policy.Pending: ipwarden.Challenge, policy.Failed: ipwarden.Block, policy.NotCrawler: ipwarden.Block,
	} {
		if s := decide(g, from(attacker, "User-Agent: "+state.String())); s.Verdict != want {
			t.Errorf("%s: %s by %s, want %s", state, s.Verdict, s.Reason, want)
		}
	}
	if s := decide(g, from("10.0.0.5", "User-Agent: verified")); s.Verdict == ipwarden.Allow {
		t.Error("a client that is not known is let in as a crawler")
	}
}

// crawlers believes what the user agent says of itself.
type crawlers struct{}

func (crawlers) Check(agent string, _ netip.Addr, _ time.Time) (string, policy.Crawler) {
	for s := policy.NotCrawler; s <= policy.Failed; s++ {
		if s.String() == agent {
			return "Some bot", s
		}
	}
	return "", policy.NotCrawler
}

func (crawlers) Purpose(string) string { return "search" }

// Crawlers that are verified by name have a purpose too, by which a policy may
// let them in.
func TestPurposesOfCrawlers(t *testing.T) {
	for purpose, want := range map[string]ipwarden.Verdict{"search": ipwarden.Allow, "ai_training": ipwarden.Block} {
		g := newGate(t, policy.Config{
			Crawlers: policy.Crawlers{Allow: true, Purposes: []string{purpose}}, Default: ipwarden.Block,
		}, func(c *gate.Config) { behindProxy(c); c.Crawlers = crawlers{} })
		if s := decide(g, from(attacker, "User-Agent: verified")); s.Verdict != want {
			t.Errorf("where %s may come in: %s by %s, want %s", purpose, s.Verdict, s.Reason, want)
		}
	}
}

// F7, C10: what only the gate may say is taken off, in every spelling.
func TestF7ForgedHeadersAreRemoved(t *testing.T) {
	g := newGate(t, policy.Config{}, behindProxy)
	var seen http.Header
	h := g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header }))
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = attacker + ":1"
	r.Header = http.Header{
		"X-Ipwarden-Verdict": {"block"}, "x-ipwarden-risk": {"0"}, "X_ipwarden_Traits": {"none"}, "X-Middleware-Subrequest": {"middleware"},
		"True-Client-Ip": {victim}, "Connection": {"close, X-Ipwarden-Verdict, X-Forwarded-For"},
	}
	h.ServeHTTP(httptest.NewRecorder(), r)
	for name, want := range map[string]string{
		"X-Ipwarden-Verdict": "allow", "X-Ipwarden-Ip": attacker, "X-Forwarded-For": attacker, "X-Ipwarden-Country": "SE", "Connection": "close",
	} {
		if got := seen.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"x-ipwarden-risk", "X_ipwarden_Traits", "X-Middleware-Subrequest", "True-Client-Ip"} {
		if v, ok := seen[name]; ok {
			t.Errorf("%s: %q reaches the application", name, v)
		}
	}
}

// C14: a path that can be read in two ways is refused; one that can be read in
// one way is judged as the upstream reads it.
func TestC14OneReading(t *testing.T) {
	admin := policy.Expr{Op: policy.OpStartsWith, Type: policy.Bool, Args: []policy.Expr{
		{Op: policy.OpPath, Type: policy.String}, {Op: policy.OpConst, Type: policy.String, Text: "/admin"},
	}}
	g := newGate(t, policy.Config{Rules: []policy.Rule{{Name: "admin", When: admin, Action: ipwarden.Block}}}, behindProxy)
	for path, want := range map[string]int{
		"/": 0, "/admin": 403, "//admin": 403, "/a/../admin": 403, "/%61dmin": 403, "/a/%2e%2e/admin": 400, "/a%2fadmin": 400, "/admin%00": 400, "/%2561dmin": 400, "/admin#x": 400,
	} {
		q := request(attacker)
		q.Path = path
		if s := decide(g, q); s.Status != want {
			t.Errorf("%s: %d by %s, want %d", path, s.Status, s.Reason, want)
		}
	}
}

// G8: what is decided of one client says nothing of another whose header has the
// same text elsewhere.
func TestG8NothingIsKeptByHeaderText(t *testing.T) {
	g := newGate(t, policy.Config{Limits: []policy.Limit{perMinute("all", 1)}}, behindProxy)
	decide(g, from(attacker, xff(victim)))
	if s := decide(g, from("10.0.0.5", xff(victim))); s.Verdict != ipwarden.Allow {
		t.Errorf("the victim: %s", s.Verdict)
	}
}

// A method is judged as it is written in capitals: not all upstreams tell it apart.
func TestMethodsInAnyCase(t *testing.T) {
	g := newGate(t, policy.Config{Rules: []policy.Rule{{
		Name: "delete", Action: ipwarden.Block,
		When: policy.Expr{Op: policy.OpEqual, Type: policy.Bool, Args: []policy.Expr{
			{Op: policy.OpMethod, Type: policy.String}, {Op: policy.OpConst, Type: policy.String, Text: "DELETE"},
		}},
	}}}, nil)
	var d gate.Decision
	for method, want := range map[string]ipwarden.Verdict{
		"DELETE": ipwarden.Block, "delete": ipwarden.Block, "DeLeTe": ipwarden.Block, "deletE": ipwarden.Block, "GET": ipwarden.Allow, "": ipwarden.Allow, "DELETE2": ipwarden.Allow,
	} {
		q := request("8.8.8.8")
		q.Method = method
		if g.Decide(context.Background(), q, &d); d.Verdict != want || q.Method != method {
			t.Errorf("%q: %s, want %s", method, d.Verdict, want)
		}
	}
}
