package gate_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
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
	c.Source = ipwarden.SourceFunc(func(context.Context, netip.Addr) (ipwarden.Record, error) { return rec, nil })
}

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
