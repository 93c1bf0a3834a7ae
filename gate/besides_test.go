package gate_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/policy"
)

// However many limits an address is counted under, none makes another be
// forgotten: a place of the limiter's memory has room for eight keys.
func TestManyLimitsOfOneAddress(t *testing.T) {
	const many, few = 30, 3
	path := func(i int) string { return "/" + strconv.Itoa(i) }
	on := func(i int) policy.Expr {
		return policy.Expr{Op: policy.OpEqual, Type: policy.Bool, Args: []policy.Expr{
			{Op: policy.OpPath, Type: policy.String}, {Op: policy.OpConst, Type: policy.String, Text: path(i)},
		}}
	}
	for name, add := range map[string]func(cfg *policy.Config, i int){
		"of rules, all at once": func(cfg *policy.Config, i int) {
			cfg.Rules = append(cfg.Rules, policy.Rule{Name: path(i), Action: ipwarden.Flag, Limit: i + 1})
		},
		"of one tier": func(cfg *policy.Config, i int) {
			if i == 0 {
				cfg.Tiers = []policy.Tier{{Name: "all"}}
			}
			cfg.Tiers[0].Limits = append(cfg.Tiers[0].Limits, i)
		},
		"of many tiers, in turn": func(cfg *policy.Config, i int) {
			cfg.Tiers = append(cfg.Tiers, policy.Tier{Name: path(i), When: on(i), Limits: []int{i}})
		},
	} {
		var cfg policy.Config
		for i := range many {
			l := perMinute(path(i), 1000)
			if i == many-1 {
				l.Limit = few
			}
			l.FromTier = true
			cfg.Limits = append(cfg.Limits, l)
			add(&cfg, i)
		}
		for _, peer := range []string{"8.8.8.8", "2606:4700:4700::1111"} { // the latter is under 90 limits
			g := newGate(t, cfg, nil)
			var d gate.Decision
			passed := 0
			for i := range 10 * many {
				q := request(peer)
				q.Path = path(i % many)
				g.Decide(context.Background(), q, &d)
				if q.Path == path(many-1) && d.Passes() {
					passed++
				}
			}
			if want := few; name == "of rules, all at once" || name == "of one tier" {
				if passed != 0 { // the few were used up on the way
					t.Errorf("limits %s, %s: %d pass, want none", name, peer, passed)
				}
			} else if passed != want {
				t.Errorf("limits %s, %s: %d pass, want %d", name, peer, passed, want)
			}
		}
	}
}
