package compile

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/examples"
	"github.com/ipwarden/ipwarden/policy"
)

func inputOfTest(t *testing.T, p *Policy, name string) *policy.Input {
	t.Helper()
	for i := range p.Tests {
		if p.Tests[i].Name == name {
			in, err := p.input(&p.Tests[i])
			if err != nil {
				t.Fatal(err)
			}
			return in
		}
	}
	t.Fatalf("there is no test %q", name)
	return nil
}

// TestExplain: the parts that have something to say, in their order; which one
// decided; and the smallest change that would give another verdict.
func TestExplain(t *testing.T) {
	p := load(t, examples.Policies()["policy.yaml"])
	for name, c := range map[string]struct {
		decided string
		steps   []string
		flip    string
	}{
		"a reader at home":                          {"default", []string{"tier trusted", "default", "limit trusted"}, "a score of 40 instead of 0 → flag"},
		"a data centre is blocked":                  {"rule hosting", []string{"tier high_risk", "rule hosting"}, "not security.is_hosting → allow"},
		"a residential proxy is challenged":         {"rule residential proxy", []string{"tier high_risk", "rule residential proxy"}, "a challenge that was solved → allow"},
		"the bill is from another country":          {"rule geo mismatch", []string{"tier standard", "rule geo mismatch", "limit standard"}, "account.billing_country"},
		"a verified crawler goes before reputation": {"crawlers", []string{"crawlers"}, "no crawler → block"},
		"a foreign vpn logs in":                     {"rule public vpn", []string{"tier high_risk", "rule public vpn", "limit high_risk", "limit login from foreign vpn"}, "not security.is_vpn"},
	} {
		x := p.Explain(inputOfTest(t, p, name))
		decided, all := "", ""
		for _, s := range x.Steps {
			step := strings.TrimSpace(s.Part + " " + s.Name)
			if s.Decided {
				decided += step
			}
			all += step + "; "
			if s.Line == 0 && s.Part != "default" && s.Part != "crawlers" && s.Name != "safe" {
				t.Errorf("%s: %s has no line", name, step)
			}
			if s.Part == "rule" && s.When == "" {
				t.Errorf("%s: %s has no condition", name, step)
			}
		}
		if decided != c.decided {
			t.Errorf("%s: %q decided, not %q", name, decided, c.decided)
		}
		for _, s := range c.steps {
			if !strings.Contains(all, s) {
				t.Errorf("%s: nothing is said of %s: %s", name, s, all)
			}
		}
		if len(x.Flips) == 0 {
			t.Errorf("%s: no change would give another verdict", name)
			continue
		}
		if got := x.Flips[0].Change + " → " + x.Flips[0].Verdict.String(); !strings.Contains(got, c.flip) {
			t.Errorf("%s: the smallest change is %s, not %s", name, got, c.flip)
		}
	}
}

// Two changes together, where no single one is enough.
func TestExplainPairs(t *testing.T) {
	p := load(t, `
rules:
  - {name: both, action: block, when: 'request.method == "POST" && request.path.startsWith("/admin")'}
`)
	in := &policy.Input{Request: &ipwarden.Request{Method: "GET", Path: "/"}, Client: netip.MustParseAddr("192.0.2.1")}
	x := p.Explain(in)
	if len(x.Flips) != 1 || x.Flips[0].Change != "the method POST and the path /admin" || x.Flips[0].Verdict != ipwarden.Block {
		t.Errorf("got %+v", x.Flips)
	}
	if in.Request.Method != "GET" || in.Request.Path != "/" {
		t.Error("the question was changed")
	}
}
