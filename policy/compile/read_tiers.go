package compile

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/risk"
)

// when reads a condition and keeps its text, for explanations.
func (f *file) when(p yamldoc.Pair, line int) policy.Expr {
	if s, ok := p.Value.(*ast.StringNode); ok {
		f.sources[line] = s.Value
	} else if s, ok := p.Value.(*ast.LiteralNode); ok {
		f.sources[line] = s.Value.Value
	}
	return f.condition(p.Value, "when")
}

func (f *file) readTiers(n ast.Node) {
	seen := map[string]bool{"safe": true}
	for _, item := range f.items(n, "tiers") {
		t := policy.Tier{Line: line(item)}
		var limits yamldoc.Pair
		pairs, has, ok := f.each(item, "a tier", []key{
			{"name", func(p yamldoc.Pair) { t.Name = f.name(p.Value, "the tier", seen) }},
			{"when", func(p yamldoc.Pair) {
				t.When = f.when(p, t.Line)
				t.When.Walk(func(e *policy.Expr) {
					if e.Op == policy.OpTier {
						f.At(p.Value.GetToken(), "when of a tier decides which tier it is, and cannot ask for it")
					}
				})
			}},
			{"limits", func(p yamldoc.Pair) { limits = p }},
			{"action", func(p yamldoc.Pair) { t.Action = f.verdict(p.Value, "action", everyVerdict...) }},
			{"response", func(p yamldoc.Pair) { t.Response = f.response(p.Value) }},
		})
		if !ok || len(pairs) == 0 {
			continue
		}
		f.need(pairs[0], has, "a tier", "name")
		if limits.Value != nil {
			items := []ast.Node{limits.Value}
			if list, ok := limits.Value.(*ast.SequenceNode); ok {
				items = list.Values
			}
			for i, item := range items {
				name := t.Name
				if i > 0 {
					name += "-" + strconv.Itoa(i+1)
				}
				t.Limits = append(t.Limits, f.limit(item, &policy.Limit{Line: line(item)}, false, name)-1)
			}
		}
		f.cfg.Tiers = append(f.cfg.Tiers, t)
	}
}

// need reports keys that are missing.
func (f *file) need(at yamldoc.Pair, has map[string]bool, what string, keys ...string) {
	for _, k := range keys {
		if !has[k] {
			f.At(at.Token, fmt.Sprintf("%s needs %s", what, k))
		}
	}
}

func (f *file) readThresholds(n ast.Node) {
	seen := map[uint8]bool{}
	for _, item := range f.items(n, "thresholds") {
		t := policy.Threshold{Line: line(item)}
		var limit yamldoc.Pair
		pairs, has, ok := f.each(item, "a threshold", []key{
			{"score", func(p yamldoc.Pair) {
				if v, ok := f.Integer(p.Value, "score", 1, 100); ok {
					t.Score = uint8(v)
					if seen[t.Score] {
						f.At(p.Value.GetToken(), "there are two thresholds for this score")
					}
					seen[t.Score] = true
				}
			}},
			{"action", func(p yamldoc.Pair) { t.Action = f.verdict(p.Value, "action", everyVerdict...) }},
			{"limit", func(p yamldoc.Pair) { limit = p }},
			{"response", func(p yamldoc.Pair) { t.Response = f.response(p.Value) }},
		})
		if !ok || len(pairs) == 0 {
			continue
		}
		f.need(pairs[0], has, "a threshold", "score", "action")
		if limit.Value != nil {
			t.Limit = f.inlineLimit(limit.Value, "score-"+strconv.Itoa(int(t.Score)), &t.Response, t.Action)
		}
		f.cfg.Thresholds = append(f.cfg.Thresholds, t)
	}
}

func (f *file) readRisk(n ast.Node) {
	f.each(n, "risk", []key{
		{"weights", func(p yamldoc.Pair) {
			named := map[string]int{}
			pairs, _ := f.Mapping(p.Value, "weights")
			for _, kv := range pairs {
				if v, ok := f.Integer(kv.Value, kv.Key, math.MinInt16, math.MaxInt16); ok {
					named[kv.Key] = int(v)
				}
				if _, err := risk.ParseWeights(map[string]int{kv.Key: named[kv.Key]}); err != nil {
					f.At(kv.Token, strings.TrimPrefix(err.Error(), "risk: "))
				}
			}
			f.risk.Points, _ = risk.ParseWeights(named)
		}},
		{"half_lives", func(p yamldoc.Pair) {
			named := map[string]time.Duration{}
			pairs, _ := f.Mapping(p.Value, "half_lives")
			for _, kv := range pairs {
				named[kv.Key] = f.duration(kv.Value, kv.Key, 0, 10*365*24*time.Hour)
				if _, err := risk.ParseHalfLives(map[string]time.Duration{kv.Key: named[kv.Key]}); err != nil {
					f.At(kv.Token, strings.TrimPrefix(err.Error(), "risk: "))
				}
			}
			f.risk.HalfLives, _ = risk.ParseHalfLives(named)
		}},
		{"floor", func(p yamldoc.Pair) {
			if v, ok := f.Integer(p.Value, "floor", 1, 100); ok {
				f.risk.Floor = int(v)
			}
		}},
	})
}
