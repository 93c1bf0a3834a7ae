package compile

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

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

// threeParts is a condition as policies have them.
const threeParts = `ip.security.is_vpn && ip.location.country_code in ["US", "CA"] && request.path.startsWith("/login")`

func threePartsInput() *policy.Input {
	addr := netip.MustParseAddr("192.0.2.1")
	return &policy.Input{
		Request: &ipwarden.Request{Method: "GET", Path: "/login/form"}, Client: addr, Now: defaultTestTime,
		Record: ipwarden.NewRecord(addr, ipwarden.Full{Traits: ipwarden.VPN, Location: ipwarden.Location{CountryCode: "CA"}}),
	}
}

// BenchmarkConditionLowered is a decision with one rule of three parts that hold.
func BenchmarkConditionLowered(b *testing.B) {
	p := load(b, "rules: [{name: it, action: flag, when: '"+threeParts+"'}]")
	in := threePartsInput()
	var d policy.Decision
	p.Program.Decide(in, &d)
	b.ReportAllocs()
	for b.Loop() {
		if !p.Program.RuleHolds(0, in) {
			b.Fatal("it does not hold")
		}
	}
}

// BenchmarkConditionOnCEL is the same condition on CEL's interpreter, with a
// bound on its cost.
func BenchmarkConditionOnCEL(b *testing.B) {
	c, err := newConditions(nil)
	if err != nil {
		b.Fatal(err)
	}
	checked, issues := c.env.Compile(threeParts)
	if issues.Err() != nil {
		b.Fatal(issues.Err())
	}
	tree := checked.NativeRep()
	run, err := c.plan(c.env, tree, tree.Expr())
	if err != nil {
		b.Fatal(err)
	}
	in := threePartsInput()
	p := load(b, "version: 1")
	p.Program.Decide(in, &policy.Decision{})
	b.ReportAllocs()
	for b.Loop() {
		if v, ok := run(in); !ok || !v.Bool {
			b.Fatal("it does not hold")
		}
	}
}

// Every variable that is declared is there when a condition runs on CEL.
func TestRootsAreThere(t *testing.T) {
	w := &world{threePartsInput()}
	for name, r := range roots() {
		v, ok := w.ResolveName(name)
		if s, isStruct := v.(structValue); !ok || !isStruct || s.name != r.typ {
			t.Errorf("%s: got %v", name, v)
		}
		for field := range r.fields {
			if v := rootValue(w, r.typ, field); types.IsError(v.(ref.Val)) {
				t.Errorf("%s.%s: %v", name, field, v)
			}
		}
	}
}
