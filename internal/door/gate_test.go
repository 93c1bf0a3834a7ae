package door

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/policy"
)

// testGate blocks Tor, lets two requests a minute in, and counts failures.
func testGate(t testing.TB) *gate.Gate {
	t.Helper()
	return gateOf(t, ipwardentest.Sample())
}

func gateOf(t testing.TB, source ipwarden.Source) *gate.Gate {
	t.Helper()
	path := func(s string) policy.Expr {
		return policy.Expr{Op: policy.OpEqual, Type: policy.Bool, Args: []policy.Expr{
			{Op: policy.OpPath, Type: policy.String}, {Op: policy.OpConst, Type: policy.String, Text: s},
		}}
	}
	failed := policy.Expr{Op: policy.OpEqual, Type: policy.Bool, Args: []policy.Expr{
		{Op: policy.OpStatus, Type: policy.Int}, {Op: policy.OpConst, Type: policy.Int, Int: 401},
	}}
	p, err := policy.New(policy.Config{
		Rules: []policy.Rule{{Name: "no tor", When: policy.Expr{Op: policy.OpField, Type: policy.Bool, Field: ipwarden.FieldIsTor}, Action: ipwarden.Block}},
		Limits: []policy.Limit{
			{Name: "few", When: path("/few"), Limit: 2, Window: time.Minute},
			{Name: "failures", When: path("/login"), Limit: 1, Window: time.Hour, Algorithm: policy.Sliding, Count: failed},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	x, err := clientip.New(clientip.Config{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gate.New(gate.Config{Source: source, Program: p, Client: x})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// ask asks about a request of a client behind 10.0.0.5.
func ask(t testing.TB, g *Gate, client, path string, lines ...string) *Answer {
	t.Helper()
	var h ipwarden.Lines
	h.Add("x-forwarded-for", client)
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		h.Add(name, value)
	}
	a := &Answer{}
	g.Decide(t.Context(), &ipwarden.Request{
		Peer: netip.MustParseAddr("10.0.0.5"), Header: &h, Method: "GET", Scheme: "https", Host: "example.org", Path: path,
	}, a)
	return a
}

func fieldOf(list []Field, name string) string {
	for _, f := range list {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

func TestGatePasses(t *testing.T) {
	for _, forward := range []bool{false, true} {
		a := ask(t, NewGate(testGate(t), forward), "8.8.8.8", "/")
		if !a.Passes() || fieldOf(a.Upstream, "X-Ipwarden-Ip") != "8.8.8.8" || fieldOf(a.Upstream, "X-Ipwarden-Country") != "US" ||
			fieldOf(a.Upstream, "X-Ipwarden-Verdict") != "allow" || len(fieldOf(a.Upstream, "X-Ipwarden-Decision")) != 26 {
			t.Errorf("%+v", a)
		}
		if got := fieldOf(a.Upstream, "X-Forwarded-For") == "8.8.8.8"; got != forward {
			t.Errorf("forward %v: %+v", forward, a.Upstream)
		}
	}
}

func TestGateRefuses(t *testing.T) {
	g := NewGate(testGate(t), true)
	a := ask(t, g, "185.220.101.1", "/", "accept: text/html")
	if a.Passes() || a.Refusal() != 403 || !strings.HasPrefix(a.Type, "text/html") || !strings.Contains(string(a.Body), "Not allowed") {
		t.Errorf("%+v", a)
	}
	for _, f := range a.Upstream {
		if f.Name != gate.HeaderDecision {
			t.Errorf("a refusal tells %s", f.Name)
		}
	}
	for i := range 3 {
		a := ask(t, g, "8.8.8.8", "/few")
		if got := a.Refusal() == 429 && a.RetryAfter > 0; a.Passes() != (i < 2) || got != (i == 2) || !strings.HasPrefix(fieldOf(a.Reply, "Ratelimit"), `"few";r=`) {
			t.Errorf("request %d: %+v", i+1, a)
		}
		if fieldOf(a.Reply, "Retry-After") != "" {
			t.Error("Retry-After is said twice")
		}
	}
	if a := ask(t, g, "8.8.8.8", "/a%2fb"); a.Passes() || a.Refusal() != 400 {
		t.Errorf("an ambiguous path: %+v", a)
	}
}

// Only what failed counts, and what nobody knows is not an error.
func TestGateOutcome(t *testing.T) {
	g := NewGate(testGate(t), false)
	for range 3 {
		id := fieldOf(ask(t, g, "8.8.8.8", "/login").Upstream, gate.HeaderDecision)
		g.Outcome(t.Context(), id, 200)
	}
	a := ask(t, g, "8.8.8.8", "/login")
	if !a.Passes() {
		t.Fatalf("good ones count: %+v", a)
	}
	g.Outcome(t.Context(), fieldOf(a.Upstream, gate.HeaderDecision), 401)
	g.Outcome(t.Context(), "no id", 401)
	g.Outcome(t.Context(), "01ARYZ6S41TSV4RRFFQ69G5FAV", 401)
	if a := ask(t, g, "8.8.8.8", "/login"); a.Refusal() != 429 {
		t.Errorf("a failure does not count: %+v", a)
	}
}

func TestGateRemoves(t *testing.T) {
	g := NewGate(testGate(t), false)
	for name, want := range map[string]bool{"x-ipwarden-risk": true, "x_real_ip": true, "cookie": false} {
		if g.Removes(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

// oneRecord says the same of everybody, and allocates nothing, as a dataset does.
type oneRecord struct{ ipwarden.Record }

func (o oneRecord) Local() bool { return true }

func (o oneRecord) Lookup(context.Context, netip.Addr) (ipwarden.Record, error) { return o.Record, nil }

func TestGateDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	known, err := ipwardentest.Sample().Lookup(t.Context(), netip.MustParseAddr("8.8.8.8"))
	if err != nil {
		t.Fatal(err)
	}
	g := NewGate(gateOf(t, oneRecord{known}), false)
	var h ipwarden.Lines
	h.Add("x-forwarded-for", "8.8.8.8")
	req := &ipwarden.Request{Peer: netip.MustParseAddr("10.0.0.5"), Header: &h, Method: "GET", Scheme: "https", Host: "example.org", Path: "/"}
	var a Answer
	if n := testing.AllocsPerRun(200, func() {
		a.Reset()
		if g.Decide(t.Context(), req, &a); !a.Passes() {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkGate is one decision, as a door asks for it.
func BenchmarkGate(b *testing.B) {
	g := NewGate(testGate(b), false)
	var h ipwarden.Lines
	h.Add("x-forwarded-for", "8.8.8.8")
	h.Add("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
	req := &ipwarden.Request{Peer: netip.MustParseAddr("10.0.0.5"), Header: &h, Method: "GET", Scheme: "https", Host: "example.org", Path: "/"}
	var a Answer
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		a.Reset()
		g.Decide(ctx, req, &a)
	}
}
