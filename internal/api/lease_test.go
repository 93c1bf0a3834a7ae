package api

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/gate/ban"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/policy"
)

// leaseWorld is an API with a policy: /shop is limited to three a minute, /admin is
// blocked, and curl is.
type leaseWorld struct {
	*API
	t    *testing.T
	now  time.Time
	bans *ban.Table
	gate *gate.Gate
}

func newLeaseWorld(t *testing.T, limited time.Duration) *leaseWorld {
	t.Helper()
	w := &leaseWorld{t: t, now: noon}
	now := func() time.Time { return w.now }
	path := policy.Expr{Op: policy.OpPath, Type: policy.String}
	text := func(s string) policy.Expr { return policy.Expr{Op: policy.OpConst, Type: policy.String, Text: s} }
	begins := func(s string) policy.Expr {
		return policy.Expr{Op: policy.OpStartsWith, Type: policy.Bool, Args: []policy.Expr{path, text(s)}}
	}
	curl := policy.Expr{Op: policy.OpContains, Type: policy.Bool, Args: []policy.Expr{{Op: policy.OpHeader, Type: policy.String, Text: "User-Agent"}, text("curl")}}
	failed := policy.Expr{Op: policy.OpEqual, Type: policy.Bool, Args: []policy.Expr{{Op: policy.OpOutcome, Type: policy.String}, text("login_failed")}}
	p, err := policy.New(policy.Config{
		Lists: []policy.List{{Name: "banned", Action: ipwarden.Block, Prefixes: []netip.Prefix{netip.MustParsePrefix("8.8.8.64/26")}}},
		Rules: []policy.Rule{
			{Name: "admin", When: begins("/admin"), Action: ipwarden.Block},
			{Name: "curl", When: curl, Action: ipwarden.Block},
		},
		Limits: []policy.Limit{
			{Name: "shop", Limit: 3, Window: time.Minute, When: begins("/shop")},
			{Name: "failures", Limit: 3, Window: time.Hour, When: begins("/login"), Count: failed},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	counts, err := limit.NewMemory(limit.MemoryConfig{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if w.bans, err = ban.New(t.Context(), ban.Config{Now: now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.bans.Close() })
	if w.gate, err = gate.New(gate.Config{Source: ipwardentest.Sample(), Program: p, Limiter: counts, Bans: w.bans, Now: now}); err != nil {
		t.Fatal(err)
	}
	w.API = newAPI(t, func(c *Config) {
		c.Now = now
		c.Gate = &GateConfig{Gate: w.gate, Token: serviceToken, Bans: w.bans, LimitedLease: limited}
	})
	return w
}

// told is what an answer says.
type told struct {
	Decision   string
	Verdict    string
	Status     int
	RetryAfter int `json:"retry_after"`
	Lease      struct {
		Seconds, Stale int
		Network        string
		Reads          []string
	}
	Limits []struct{ Remaining int }
}

// ask asks about a path under the name of a lease; more are members.
func (w *leaseWorld) ask(lease, ip, path string, more ...string) (d told) {
	w.t.Helper()
	body := fmt.Sprintf(`{"lease":%q,"ip":%q,"path":%q%s}`, lease, ip, path, strings.Join(append([]string{""}, more...), ","))
	r := askGate(w.API, "@", "POST", "/v1/decide", body)
	text := textOf(w.t, r)
	if err := json.Unmarshal([]byte(text), &d); err != nil || r.StatusCode != 200 {
		w.t.Fatalf("%s: %d %s", body, r.StatusCode, text)
	}
	return d
}

// TestLeaseKeysAreTuples checks that what a client sends is not taken for what the
// application says of it: with as many lines of Cookie, say (contract C11).
func TestLeaseKeysAreTuples(t *testing.T) {
	w := newLeaseWorld(t, 0)
	seen := make(map[string]string)
	for i, more := range []string{
		``, `"account":{"id":"7"}`, `"account":{"i":"d7"}`, `"headers":{"Cookie":["id","7"]}`, `"headers":{"Cookie":"id7"}`,
		`"headers":{"Cookie":["id"]},"account":{"7":""}`, `"headers":{"User-Agent":["id","7"]}`, `"headers":{"User-Agent":"id","Cookie":"7"}`,
	} {
		var parts []string
		if more != "" {
			parts = append(parts, more)
		}
		d := w.ask(fmt.Sprintf("tuple-%d", i), "8.8.8.8", "/", parts...)
		if other, ok := seen[d.Decision]; ok {
			t.Errorf("%q has the answer of %q", more, other)
		}
		seen[d.Decision] = more
	}
}

func TestVerdictLease(t *testing.T) {
	w := newLeaseWorld(t, 0)
	// It says for whom and for what it holds.
	a := w.ask("a", "8.8.8.8", "/")
	if l := a.Lease; l.Seconds != 60 || l.Stale != 60 || l.Network != "8.8.8.0/26" || !reflect.DeepEqual(l.Reads, []string{"path^/admin", "path^/login", "path^/shop", "header:user-agent"}) {
		t.Errorf("%+v", l)
	}
	// The list tells the addresses behind apart.
	if b := w.ask("b", "8.8.8.100", "/"); b.Verdict != "block" || b.Lease.Network != "8.8.8.64/26" {
		t.Errorf("%+v", b)
	}
	// Another question that agrees in what is read is answered by the same lease, as
	// long as it runs.
	w.now = w.now.Add(10 * time.Second)
	if b := w.ask("c", "8.8.8.8", "/other?x=1"); b.Decision != a.Decision || b.Lease.Seconds != 50 {
		t.Errorf("%+v, want the decision of %+v", b, a)
	}
	for i, more := range []struct{ path, also string }{
		{"/admin", ""}, {"/%61dmin", ""}, {"//", ""}, {"/", `"headers":{"user-agent":"curl/8"}`}, {"/", `"account":{"id":"1"}`},
	} {
		members := []string{}
		if more.also != "" {
			members = append(members, more.also)
		}
		if b := w.ask(fmt.Sprint("d", i), "8.8.8.8", more.path, members...); b.Decision == a.Decision {
			t.Errorf("%+v: it has the decision of another", more)
		}
	}
	// Nor is one used for another address, which may be in another list.
	if b := w.ask("e", "8.8.8.9", "/"); b.Decision == a.Decision {
		t.Errorf("%+v", b)
	}
	w.now = w.now.Add(50 * time.Second)
	if b := w.ask("f", "8.8.8.8", "/"); b.Decision == a.Decision || b.Lease.Seconds != 60 {
		t.Errorf("%+v, after a minute", b)
	}
}

func TestLeaseChargesOnce(t *testing.T) {
	w := newLeaseWorld(t, 0)
	// A limit is charged by each question, and by none that is repeated.
	first := w.ask("a", "8.8.8.8", "/shop")
	if first.Lease.Seconds != 0 || first.Limits[0].Remaining != 2 {
		t.Fatalf("%+v", first)
	}
	for range 5 {
		if again := w.ask("a", "8.8.8.8", "/shop"); again.Decision != first.Decision || again.Limits[0].Remaining != 2 {
			t.Fatalf("%+v", again)
		}
	}
	// The same name for another question is no repetition.
	if b := w.ask("a", "8.8.8.8", "/shop/2"); b.Decision == first.Decision || b.Limits[0].Remaining != 1 {
		t.Errorf("%+v", b)
	}
	// Those that come at once are one.
	var wg sync.WaitGroup
	ids := make([]string, 8)
	for i := range ids {
		wg.Go(func() {
			r := askGate(w.API, "@", "POST", "/v1/decide", `{"lease":"b","ip":"8.8.8.8","path":"/shop"}`)
			var d told
			if err := json.NewDecoder(r.Body).Decode(&d); err == nil {
				ids[i] = d.Decision
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("%q", ids)
		}
	}
	// Who is over it is out until there is room, and it is said anew by how long.
	over := w.ask("c", "8.8.8.8", "/shop")
	if over.Verdict != "throttle" || over.RetryAfter == 0 || over.Lease.Seconds == 0 || over.Lease.Seconds > over.RetryAfter || over.Lease.Stale != 0 || over.Lease.Network != "8.8.8.8/32" {
		t.Fatalf("%+v", over)
	}
	w.now = w.now.Add(5 * time.Second)
	if b := w.ask("d", "8.8.8.8", "/shop"); b.Decision != over.Decision || b.RetryAfter != over.RetryAfter-5 {
		t.Errorf("%+v after %+v", b, over)
	}
	w.now = w.now.Add(time.Duration(over.RetryAfter) * time.Second)
	if b := w.ask("e", "8.8.8.8", "/shop"); b.Verdict != "allow" {
		t.Errorf("%+v", b)
	}
	// What becomes of a log-in is awaited of each.
	if b := w.ask("f", "8.8.8.8", "/login"); b.Lease.Seconds != 0 {
		t.Errorf("%+v", b)
	}
}

// An operator may let a charge count for a while.
func TestLimitedLease(t *testing.T) {
	w := newLeaseWorld(t, 2*time.Second)
	a := w.ask("a", "8.8.8.8", "/shop")
	if l := a.Lease; l.Seconds != 2 || l.Stale != 0 || l.Network != "8.8.8.8/32" || a.Limits[0].Remaining != 2 {
		t.Fatalf("%+v", a)
	}
	for i := range 5 {
		if b := w.ask(fmt.Sprint("b", i), "8.8.8.8", "/shop"); b.Decision != a.Decision {
			t.Fatalf("%+v", b)
		}
	}
	w.now = w.now.Add(2 * time.Second)
	if b := w.ask("c", "8.8.8.8", "/shop"); b.Decision == a.Decision || b.Limits[0].Remaining != 1 {
		t.Errorf("%+v", b)
	}
	if b := w.ask("d", "2001:4860::1", "/shop"); b.Lease.Network != "2001:4860::/64" {
		t.Errorf("%+v", b)
	}
}

func TestLeaseAndBans(t *testing.T) {
	w := newLeaseWorld(t, 0)
	if _, err := w.bans.Add(ban.Ban{Network: netip.MustParsePrefix("8.8.8.5/32"), Action: ipwarden.Block, Until: w.now.Add(20 * time.Second), Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	if a := w.ask("a", "8.8.8.8", "/"); a.Lease.Network != "8.8.8.8/32" {
		t.Errorf("%+v: it has who is banned", a.Lease)
	}
	if a := w.ask("b", "8.8.8.5", "/"); a.Lease.Network != "8.8.8.5/32" || a.Lease.Seconds != 20 || a.Lease.Stale != 0 {
		t.Errorf("%+v: it outlives the ban", a.Lease)
	}
	if a := w.ask("c", "1.1.1.1", "/"); a.Lease.Network != "1.1.1.0/24" {
		t.Errorf("%+v", a.Lease)
	}
	// What came wrapped was asked for as it is.
	if a := w.ask("d", "64:ff9b::101:101", "/"); a.Lease.Network != "1.1.1.1/32" {
		t.Errorf("%+v", a.Lease)
	}
}

// Another policy decides anew.
func TestLeaseOfAnotherPolicy(t *testing.T) {
	w := newLeaseWorld(t, 0)
	a := w.ask("a", "8.8.8.8", "/")
	p, err := policy.New(policy.Config{Default: ipwarden.Block})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.gate.Use(p, nil); err != nil {
		t.Fatal(err)
	}
	if b := w.ask("b", "8.8.8.8", "/"); b.Verdict != "block" || len(b.Lease.Reads) != 0 {
		t.Errorf("%+v after %+v", b, a)
	}
}

func TestLeaseMistakes(t *testing.T) {
	w := newLeaseWorld(t, 0)
	for _, name := range []string{"a b", "ä", strings.Repeat("x", 129)} {
		r := askGate(w.API, "@", "POST", "/v1/decide", fmt.Sprintf(`{"lease":%q,"ip":"8.8.8.8"}`, name))
		if text := textOf(t, r); r.StatusCode != 400 || !strings.Contains(text, "bad-lease") {
			t.Errorf("%q: %d %s", name, r.StatusCode, text)
		}
	}
	// Who wants to know is told no lease, and one that is nothing is none.
	for _, body := range []string{`{"ip":"8.8.8.8"}`, `{"ip":"8.8.8.8","lease":""}`, `{"ip":"8.8.8.8","lease":"x","dry_run":true}`} {
		if text := textOf(t, askGate(w.API, "@", "POST", "/v1/decide", body)); strings.Contains(text, "lease") {
			t.Errorf("%s: %s", body, text)
		}
	}
	if _, err := newGateRoutes(&GateConfig{Gate: w.gate, Lease: 2 * time.Hour}); err == nil || !strings.Contains(err.Error(), "hour") {
		t.Error(err)
	}
}

// What is remembered is bounded, whoever asks for what.
func TestLeasesAreBounded(t *testing.T) {
	var l leases
	good := func(a *answer) bool { return a.body != nil }
	key := func(i int) (k leaseKey) {
		k[0], k[1], k[2] = byte(i), byte(i>>8), byte(i>>16)
		return k
	}
	for i := range 4 * maxLeases {
		_, mine := l.find(t.Context(), key(i), noon, time.Minute, good)
		l.settle(key(i), mine, &answer{body: make([]byte, i%(2*maxLeased))})
	}
	if n := len(l.by); n > maxLeases || l.bytes > maxLeaseBytes || len(l.queue) > 2*maxLeases+1 {
		t.Errorf("%d leases, %d bytes, %d places", n, l.bytes, len(l.queue))
	}
	if _, mine := l.find(t.Context(), key(1), noon.Add(2*time.Minute), time.Minute, good); mine == nil || len(l.by) != 1 {
		t.Errorf("%d leases are there after their time", len(l.by))
	}
	sum := 0
	for _, p := range l.queue[l.from:] {
		sum += p.of.size
	}
	if sum != l.bytes {
		t.Errorf("%d bytes, counted %d", sum, l.bytes)
	}
}

// The account that asks is charged once for a lease, too.
func TestLeaseAndQuota(t *testing.T) {
	p, err := policy.New(policy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gate.New(gate.Config{Source: ipwardentest.Sample(), Program: p, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	a, s := withAccounts(t, func(c *Config) { c.Gate = &GateConfig{Gate: g} })
	ask := func(body string) int {
		t.Helper()
		r := askGate(a, "203.0.113.9:1234", "POST", "/v1/decide", body, "X-Api-Key: "+s.keys["DECIDES"])
		return r.StatusCode
	}
	// Two a day: a lease and its repetitions, by name and by what it is about, are one.
	for i, body := range []string{
		`{"lease":"a","ip":"8.8.8.8"}`, `{"lease":"a","ip":"8.8.8.8"}`, `{"lease":"b","ip":"8.8.8.8","path":"/x"}`, `{"ip":"nonsense"}`, `{"lease":"c","ip":"1.1.1.1"}`, `{"lease":"c","ip":"1.1.1.1"}`,
	} {
		want := 200
		if i == 3 {
			want = 400
		}
		if got := ask(body); got != want {
			t.Errorf("%s: %d", body, got)
		}
	}
	if got := ask(`{"lease":"d","ip":"81.2.69.1"}`); got != 429 {
		t.Errorf("the third: %d", got)
	}
}
