package compile

import (
	"net/netip"
	"strings"
	"testing"
	"time"

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

// Leaving a list is a change too: of an operator's entries, and of what conditions
// ask; nothing else about the client changes with it.
func TestExplainLeavesLists(t *testing.T) {
	p := load(t, `
lists:
  banned: {networks: [203.0.113.0/24, 203.0.113.7], action: block}
  ended: {networks: [{network: 203.0.113.7, expires: 2020-01-01}]}
  partners: {asns: [64500], action: throttle}
  home: {countries: [SE]}
rules:
  - {name: abroad, when: "!(ip in lists.home)", action: challenge}
`)
	ask := func(ip string, full ipwarden.Full) *Explanation {
		a := netip.MustParseAddr(ip)
		return p.Explain(&policy.Input{Client: a, Record: ipwarden.NewRecord(a, full), Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
	}
	se := ipwarden.Full{Location: ipwarden.Location{CountryCode: "SE"}}
	partner := se
	partner.ASN.Number = 64500
	for name, c := range map[string]struct {
		ip   string
		full ipwarden.Full
		want string
	}{
		"by address":   {"203.0.113.7", se, `203.0.113.0/24, 203.0.113.7 out of the list "banned" (line 3) → allow`},
		"by AS":        {"192.0.2.1", partner, `AS64500 out of the list "partners" (line 5) → allow`},
		"in condition": {"192.0.2.1", se, `SE out of the list "home" (line 6) → challenge`},
	} {
		found := false
		all := ""
		for _, f := range ask(c.ip, c.full).Flips {
			got := f.Change + " → " + f.Verdict.String()
			found, all = found || got == c.want, all+got+"; "
		}
		if !found {
			t.Errorf("%s: %q is not in %s", name, c.want, all)
		}
	}
	if p.Program.Lists()[0].Prefixes[1].String() != "203.0.113.7/32" {
		t.Error("the policy itself was changed")
	}
}

// What gets past a limit that is used up: another key, another limit, or none.
func TestPast(t *testing.T) {
	p := load(t, `
lists: {office: {networks: [192.0.2.0/24], action: allow}}
tiers:
  - {name: slow, when: ip.security.is_vpn, limits: 5/min}
  - {name: all, limits: 50/min}
`)
	a := netip.MustParseAddr("203.0.113.7")
	full := ipwarden.Full{}
	full.Traits |= ipwarden.VPN
	in := &policy.Input{Client: a, Record: ipwarden.NewRecord(a, full), Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	p.Explain(in)
	flips := p.Past(in, []string{"slow"})
	if len(flips) != 1 || flips[0].Change != "not security.is_vpn" || flips[0].Verdict != ipwarden.Allow {
		t.Errorf("past the tier's limit: %+v", flips)
	}
	if flips = p.Past(in, []string{"another"}); len(flips) == 0 || flips[0].Verdict != ipwarden.Allow {
		t.Errorf("past a limit that is not used: %+v", flips)
	}
	if in.Client != a || !in.Record.Traits().Has(ipwarden.VPN) {
		t.Error("the question was changed")
	}
}
