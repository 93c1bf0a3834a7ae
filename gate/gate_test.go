package gate_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/policy"
)

func newGate(t testing.TB, cfg policy.Config, change func(*gate.Config)) *gate.Gate {
	t.Helper()
	p, err := policy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	// A clock that stands still: what is counted does not depend on how fast the
	// test runs.
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	counts, err := limit.NewMemory(limit.MemoryConfig{Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	c := gate.Config{Source: ipwardentest.Sample(), Program: p, Limiter: counts}
	if change != nil {
		change(&c)
	}
	g, err := gate.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// perMinute is a limit by address.
func perMinute(name string, n uint32) policy.Limit {
	return policy.Limit{Name: name, Limit: n, Window: time.Minute}
}

func request(peer string) *ipwarden.Request {
	return &ipwarden.Request{
		Peer: netip.MustParseAddr(peer), Header: http.Header{}, Method: "GET", Scheme: "http", Host: "example.org", Path: "/",
	}
}

func TestLimitHolds(t *testing.T) {
	g := newGate(t, policy.Config{Limits: []policy.Limit{perMinute("all", 3)}}, nil)
	var d gate.Decision
	for i := range 5 {
		g.Decide(context.Background(), request("8.8.8.8"), &d)
		want := ipwarden.Allow
		if i >= 3 {
			want = ipwarden.Throttle
		}
		if d.Verdict != want {
			t.Fatalf("request %d: %s by %s, want %s", i+1, d.Verdict, d.Reason, want)
		}
	}
	if d.Status() != 429 || d.RetryAfter <= 0 || d.By() != "all" {
		t.Errorf("status %d, retry after %v, by %q; want 429, some time, all", d.Status(), d.RetryAfter, d.By())
	}
	g.Decide(context.Background(), request("8.8.4.4"), &d)
	if d.Verdict != ipwarden.Allow {
		t.Errorf("another address: %s by %s", d.Verdict, d.Reason)
	}
}

func TestHandler(t *testing.T) {
	g := newGate(t, policy.Config{Limits: []policy.Limit{perMinute("all", 1)}}, nil)
	h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, ok := gate.FromContext(r.Context())
		if !ok || s.Client.String() != "8.8.8.8" || s.Verdict != ipwarden.Allow {
			t.Errorf("in the context: %v, %+v", ok, s)
		}
		for name, want := range map[string]string{
			gate.HeaderVerdict: "allow", gate.HeaderIP: "8.8.8.8", gate.HeaderCountry: s.Record.CountryCode(),
			"X-Forwarded-For": "8.8.8.8", "X-Real-Ip": "8.8.8.8", "True-Client-Ip": "", "X-Ipwarden-Nonsense": "",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if got := r.Header.Values(gate.HeaderRisk); len(got) != 1 || got[0] == "forged" {
			t.Errorf("the risk is %q", got)
		}
	}))
	for i := range 2 {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "8.8.8.8:1234"
		for _, name := range []string{"X-Forwarded-For", "True-Client-Ip", "x-ipwarden-risk", "X-Ipwarden-Nonsense"} {
			r.Header.Set(name, "forged")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if want := []int{200, 429}[i]; w.Code != want {
			t.Errorf("request %d: %d, want %d: %s", i+1, w.Code, want, w.Body)
		}
		if i == 1 {
			t.Log(w.Header(), w.Body)
		}
	}
}

// known leaves the look-up out of what is measured.
func known(c *gate.Config) {
	rec, _ := ipwardentest.Sample().Lookup(context.Background(), netip.MustParseAddr("8.8.8.8"))
	c.Source = knownSource(rec)
}

// localFunc is a function that waits for nobody.
type localFunc func(context.Context, netip.Addr) (ipwarden.Record, error)

func (f localFunc) Lookup(ctx context.Context, a netip.Addr) (ipwarden.Record, error) {
	return f(ctx, a)
}

func (localFunc) Local() bool { return true }

type knownSource ipwarden.Record

func (s knownSource) Lookup(context.Context, netip.Addr) (ipwarden.Record, error) {
	return ipwarden.Record(s), nil
}

func (knownSource) Local() bool { return true }

func BenchmarkDecide(b *testing.B) {
	g := newGate(b, policy.Config{Limits: []policy.Limit{perMinute("all", 1<<30)}}, known)
	var d gate.Decision
	q := request("8.8.8.8")
	b.ReportAllocs()
	for b.Loop() {
		g.Decide(context.Background(), q, &d)
	}
}

func BenchmarkHandler(b *testing.B) {
	g := newGate(b, policy.Config{Limits: []policy.Limit{perMinute("all", 1<<30)}}, known)
	h := g.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "8.8.8.8:1234"
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}

// asked is a Source that a provider is behind.
type asked struct {
	how     ipwarden.Intelligence
	budget  time.Duration
	rec     ipwarden.Record
	pending bool
	err     error
}

func (a *asked) Lookup(ctx context.Context, addr netip.Addr) (ipwarden.Record, error) {
	rec, _, err := a.Ask(ctx, addr, 0, 0)
	return rec, err
}

func (a *asked) Ask(_ context.Context, addr netip.Addr, how ipwarden.Intelligence, budget time.Duration) (ipwarden.Record, bool, error) {
	a.how, a.budget = how, budget
	rec, _ := ipwardentest.Sample().Lookup(context.Background(), addr)
	if a.pending {
		rec = a.rec
	}
	return rec, a.pending, a.err
}

// A route says how a look-up waits, and a provider that is away does not take away
// what is known here.
func TestIntelligenceOfARoute(t *testing.T) {
	src := &asked{}
	sweden := policy.List{Name: "us", Action: ipwarden.Block, Countries: []string{"US"}}
	g := newGate(t, policy.Config{
		Lists:  []policy.List{sweden},
		Routes: []policy.Route{{Name: "in", Paths: []string{"/in"}, Intelligence: ipwarden.IntelligenceStrict, Budget: 70 * time.Millisecond}},
	}, func(c *gate.Config) { c.Source = src })
	var d gate.Decision
	q := request("8.8.8.8")
	g.Decide(context.Background(), q, &d)
	if src.how != ipwarden.IntelligenceDefault || d.Incomplete || d.Verdict != ipwarden.Block {
		t.Errorf("%v, incomplete %v, %v", src.how, d.Incomplete, d.Verdict)
	}
	q.Path, src.err = "/in", context.DeadlineExceeded
	g.Decide(context.Background(), q, &d)
	if src.how != ipwarden.IntelligenceStrict || src.budget != 70*time.Millisecond || d.Verdict != ipwarden.Block || d.Reason != policy.ByCountry || !d.Degraded {
		t.Errorf("%v within %v: %v by %v", src.how, src.budget, d.Verdict, d.Reason)
	}
	// Of an address of which nothing is known until the provider answers.
	src.pending, src.err = true, nil
	g.Decide(context.Background(), request("8.8.4.4"), &d)
	if !d.Incomplete || d.Verdict != ipwarden.Allow || len(d.Limits) != 1 || d.Limits[0].Name != "safe" {
		t.Errorf("incomplete %v, %v under %v", d.Incomplete, d.Verdict, d.Limits)
	}
	if json := string(d.AppendJSON(nil)); !strings.Contains(json, `"pending":true`) {
		t.Error(json)
	}
}
