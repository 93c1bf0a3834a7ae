package compile

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden/examples"
)

// nthPolicy has each kind of limit.
const nthPolicy = `
lists: {shadowed: {values: [x]}}
tiers: [{name: all, limits: {rate: 100/min, burst: 7, name: rate}}]
limits:
  - {name: fixed, rate: 5/min, algorithm: fixed, when: request.path == "/fixed"}
  - {name: cost, rate: 10/min, cost: 3, when: request.path == "/cost"}
  - {name: watched, rate: 1/min, mode: shadow}
  - {name: keyed, rate: 1/min, key: account.id}
  - {name: failed, rate: 2/hour, count: response.status == 401, when: request.path == "/login"}
  - {name: raised, rate: 1/min, shared: 3, when: request.path == "/shared"}
tests:
`

// The nth request is refused by the limit that it is over, and the one before it is not.
func TestNth(t *testing.T) {
	for name, c := range map[string]struct {
		test string
		last int // that passes
		over string
	}{
		"the burst of a rate":          {"request: {path: /}", 7, "rate"},
		"a fixed window":               {"request: {path: /fixed}", 5, "fixed"},
		"what one costs":               {"request: {path: /cost}", 3, "cost"},
		"a key that is there":          {"account: {id: ann}", 1, "keyed"},
		"failures":                     {"request: {path: /login}, status: 401", 2, "failed"},
		"no failures":                  {"request: {path: /login}, status: 200", 7, "rate"},
		"many behind an address":       {"request: {path: /shared}, shared: true", 3, "raised"},
		"failures, as many as come in": {"request: {path: /login}, account: {id: ann}, status: 401", 1, "keyed"},
	} {
		t.Run(name, func(t *testing.T) {
			p := load(t, nthPolicy+fmt.Sprintf("  - {%s, nth: %d, expect: allow}\n  - {%s, nth: %d, expect: {verdict: throttle, reason: limit, over: %s}}\n", c.test, c.last, c.test, c.last+1, c.over))
			if rs := p.RunTests(); len(rs) != 2 || rs[1].Over != c.over {
				t.Errorf("%+v", rs)
			}
		})
	}
	_, err := Read("policy.yaml", []byte(nthPolicy+"  - {nth: 8, expect: allow}\n"), Options{})
	if err == nil || !strings.Contains(err.Error(), `the verdict is throttle, not allow (by limit "rate")`) {
		t.Errorf("a test that fails says %v", err)
	}
}

// What the example says of its partners is so, when they are filled in.
func TestPartnersOfTheExample(t *testing.T) {
	text := examples.Policies()["policy.yaml"]
	filled := strings.Replace(text, "Salesforce)\n    asns: []", "Salesforce)\n    asns: [14340]", 1)
	commented := regexp.MustCompile(`(?m)^  #   (- name: a partner|  facts: {asn|  nth: 1000|  expect: {verdict: allow, reason: operator_asn)`)
	if filled == text || len(commented.FindAllString(filled, -1)) != 4 {
		t.Fatal("the example has no partners, or no test of them")
	}
	p := load(t, commented.ReplaceAllString(filled, "  $1"))
	before := load(t, text)
	if len(p.Tests) != len(before.Tests)+1 {
		t.Errorf("%d tests, and %d without", len(p.Tests), len(before.Tests))
	}
}
