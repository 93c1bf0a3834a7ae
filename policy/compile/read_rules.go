package compile

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
	"github.com/ipwarden/ipwarden/policy"
)

func (f *file) readRules(n ast.Node) {
	seen := map[string]bool{}
	for _, item := range f.items(n, "rules") {
		r := policy.Rule{Line: line(item)}
		var limit yamldoc.Pair
		pairs, has, ok := f.each(item, "a rule", []key{
			{"name", func(p yamldoc.Pair) { r.Name = f.name(p.Value, "the rule", seen) }},
			{"when", func(p yamldoc.Pair) { r.When = f.when(p, r.Line) }},
			{"action", func(p yamldoc.Pair) { r.Action = f.verdict(p.Value, "action", everyVerdict...) }},
			{"continue", func(p yamldoc.Pair) { r.Continue, _ = f.Boolean(p.Value, "continue") }},
			{"limit", func(p yamldoc.Pair) { limit = p }},
			{"lift_limits", func(p yamldoc.Pair) { r.LiftLimits, _ = f.Boolean(p.Value, "lift_limits") }},
			{"even_shared", func(p yamldoc.Pair) { r.EvenShared, _ = f.Boolean(p.Value, "even_shared") }},
			{"mode", func(p yamldoc.Pair) { f.mode(p.Value, &r) }},
			{"response", func(p yamldoc.Pair) { r.Response = f.response(p.Value) }},
			{"tags", func(p yamldoc.Pair) { r.Tags = f.tags(p.Value) }},
		})
		if !ok || len(pairs) == 0 {
			continue
		}
		f.need(pairs[0], has, "a rule", "name")
		if limit.Value != nil {
			r.Limit = f.inlineLimit(limit.Value, r.Name, &r.Response, r.Action)
		}
		switch {
		case !has["action"] && !has["tags"] && !has["limit"]:
			f.At(pairs[0].Token, "a rule does something: give it an action, such as action: block, or tags")
		case r.LiftLimits && r.Action != ipwarden.Allow:
			f.At(pairs[0].Token, "only an allow lifts limits")
		case r.Continue && r.Action == ipwarden.Allow:
			f.At(pairs[0].Token, "an allow that goes on says nothing; leave continue out")
		case r.EvenShared && r.Action != ipwarden.Block:
			f.At(pairs[0].Token, "even_shared is about blocking, and this does not block")
		}
		f.cfg.Rules = append(f.cfg.Rules, r)
	}
}

// mode reads enforce, shadow, or sample 5%.
func (f *file) mode(n ast.Node, r *policy.Rule) {
	s, ok := f.Text(n, "mode")
	if !ok {
		return
	}
	switch share, isSample := strings.CutPrefix(s, "sample "); {
	case s == "enforce":
	case s == "shadow":
		r.Shadow = true
	case isSample:
		number, percent := strings.CutSuffix(strings.TrimSpace(share), "%")
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err == nil && percent && v >= 0.001 && v < 100 {
			r.Share = uint32(v / 100 * (1 << 32))
			return
		}
		fallthrough
	default:
		f.At(n.GetToken(), fmt.Sprintf("mode %q is none of enforce, shadow and sample 5%%, from 0.001%% to less than 100%%", yamldoc.Clip(s, 32)))
	}
}

func (f *file) readCrawlers(n ast.Node) {
	c := &f.cfg.Crawlers
	f.each(n, "crawlers", []key{
		{"allow", func(p yamldoc.Pair) {
			if _, isList := p.Value.(*ast.SequenceNode); isList {
				c.Names = f.texts(p.Value, "allow")
				c.Allow = len(c.Names) > 0
				return
			}
			c.Allow = f.word(p.Value, "allow", "none", "all") == 1
		}},
		{"purposes", func(p yamldoc.Pair) {
			for _, item := range f.Sequence(p.Value, "purposes") {
				words := []string{"search", "ai_training", "user_triggered", "monitoring", "preview", "other"}
				c.Purposes = append(c.Purposes, words[f.word(item, "a purpose", words...)])
			}
		}},
		{"limit", func(p yamldoc.Pair) { c.Limit = f.inlineLimit(p.Value, "crawlers", nil, ipwarden.NoVerdict) }},
		{"pending", func(p yamldoc.Pair) {
			f.each(p.Value, "pending", []key{
				{"action", func(p yamldoc.Pair) {
					c.Pending = f.verdict(p.Value, "action", ipwarden.Challenge, ipwarden.Throttle)
				}},
				{"limit", func(p yamldoc.Pair) {
					c.PendingLimit = f.inlineLimit(p.Value, "crawlers-pending", nil, ipwarden.NoVerdict)
				}},
			})
		}},
	})
}

// sharePending puts crawlers that are being verified under the safe tier's rate
// where the policy does not say.
func (f *file) sharePending() {
	if f.cfg.Crawlers.PendingLimit != 0 || f.Count() > 0 {
		return
	}
	l := policy.Limit{
		Name: "crawlers-pending", Limit: policy.SafeLimit, Window: time.Minute, FromTier: true,
		SharedFactor: f.defaults.shared, Rollup: f.defaults.rollup,
	}
	f.cfg.Limits = append(f.cfg.Limits, l)
	f.cfg.Crawlers.PendingLimit = len(f.cfg.Limits)
}
