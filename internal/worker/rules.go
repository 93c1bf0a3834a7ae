package worker

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipwarden/ipwarden/internal/yamldoc"
	"github.com/ipwarden/ipwarden/policy/compile"
)

var ruleKeys = []string{"name", "when", "to", "emit", "instead"}

func (r *reader) rules(n ast.Node) {
	items := r.Sequence(n, "rules")
	if len(items) > maxRules {
		r.At(yamldoc.Start(n), fmt.Sprintf("there are more than %d rules", maxRules))
		return
	}
	names := map[string]bool{}
	for _, item := range items {
		pairs, ok := r.Mapping(item, "a rule")
		if !ok {
			continue
		}
		var rule Rule
		seen := map[string]yamldoc.Pair{}
		for _, p := range pairs {
			if r.twice(seen, p) {
				continue
			}
			switch p.Key {
			case "name":
				rule.Name, _ = r.Text(p.Value, p.Key)
				if !isName(rule.Name) || names[rule.Name] {
					r.At(yamldoc.Start(p.Value), "the name of a rule is its own, of small letters, digits, _ and -, such as tor-login")
				}
				names[rule.Name] = true
			case "when":
				text, ok := r.Text(p.Value, p.Key)
				if !ok {
					continue
				}
				when, err := compile.NewEventFilter(text)
				if err != nil {
					for line := range strings.Lines(err.Error()) {
						r.At(yamldoc.Start(p.Value), "when: "+strings.TrimSpace(line))
					}
				}
				rule.When = when
			case "to":
				rule.To = r.names(p.Value, p.Key)
			case "emit":
				rule.Emit, _ = r.Text(p.Value, p.Key)
				if rule.Emit == "" || len(rule.Emit) > 200 {
					r.At(yamldoc.Start(p.Value), "emit is the type of an event that is made, such as flag_user")
				}
			case "instead":
				rule.Instead, _ = r.Boolean(p.Value, p.Key)
			default:
				r.UnknownKey(p, "a rule", ruleKeys)
			}
		}
		for _, key := range []string{"name", "when"} {
			if _, ok := seen[key]; !ok {
				r.At(yamldoc.Start(item), "a rule has no "+key+"; it is like {name: tor-login, when: ip.security.is_tor, to: [review]}")
			}
		}
		if rule.Emit != "" && len(rule.To) == 0 {
			r.At(yamldoc.Start(item), "a rule that makes an event says where it goes: to")
		}
		r.f.Rules = append(r.f.Rules, rule)
	}
}
