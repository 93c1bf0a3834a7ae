package compile

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/examples"
	"github.com/ipwarden/ipwarden/policy"
)

// What is lowered does not allocate: not even where texts are put together.
func TestLoweredDoesNotAllocate(t *testing.T) {
	c, err := newConditions(differentialLists)
	if err != nil {
		t.Fatal(err)
	}
	w := &writer{rand.New(rand.NewPCG(7, 7)), false}
	checked := 0
	for range 400 {
		source := w.bool(3)
		lowered, problems := c.compile(source, policy.Bool, false)
		if len(problems) > 0 || raceDetector && strings.Contains(source, "matches") {
			continue
		}
		program, err := policy.New(policy.Config{
			Lists: []policy.List{{Name: "office", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, {Name: "nobody"}, {Name: "expired"}},
			Rules: []policy.Rule{{Name: "it", When: lowered, Action: ipwarden.Block}}, Tiers: []policy.Tier{{Name: "a"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		in := randomInput(w.r)
		var d policy.Decision
		program.Decide(in, &d)
		checked++
		if n := testing.AllocsPerRun(10, func() { program.Decide(in, &d) }); n != 0 {
			t.Errorf("%v allocations: %s", n, source)
		}
	}
	if checked < 100 {
		t.Errorf("%d conditions were compiled", checked)
	}
}

// BenchmarkExample is a decision of the policy that policy init writes, about an
// ordinary visitor.
func BenchmarkExample(b *testing.B) {
	p := load(b, examples.Policies()["policy.yaml"])
	in := &policy.Input{
		Request: &ipwarden.Request{Method: "GET", Host: "example.com", Path: "/articles/1", Scheme: "https"},
		Client:  netip.MustParseAddr("192.0.2.1"), Now: defaultTestTime, ClientStatus: "direct",
		Record: ipwarden.NewRecord(netip.MustParseAddr("192.0.2.1"), ipwarden.Full{Location: ipwarden.Location{CountryCode: "US"}}),
	}
	var d policy.Decision
	b.ReportAllocs()
	for b.Loop() {
		p.Program.Decide(in, &d)
	}
	if d.Verdict != ipwarden.Allow {
		b.Fatal(d.Verdict)
	}
}
