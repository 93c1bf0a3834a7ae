package compile

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/common/ast"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/risk"
)

// A Filter is one condition about an address alone, for the rows of files and for
// events: it sees ip and risk as a policy does, and no request. It is immutable
// and safe for concurrent use.
type Filter struct {
	program *policy.Program
	scored  bool // it asks for risk
}

// NewFilter checks a condition, such as
// `ip.location.country_code == "SE" && !ip.security.is_hosting`. The error names
// every mistake in it with its column.
func NewFilter(text string) (*Filter, error) {
	c, err := newConditions(nil)
	if err != nil {
		return nil, err
	}
	x, problems := c.compile(text, policy.Bool, false)
	scored := false
	if len(problems) == 0 {
		checked, _ := c.env.Compile(text)
		tree := checked.NativeRep()
		ast.PostOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
			if e.Kind() != ast.IdentKind {
				return
			}
			switch name := e.AsIdent(); name {
			case "risk":
				scored = true
			case "request", "client", "crawler", "lists", "account", "tier":
				problems = append(problems, problem{place(tree, text, e), "there is no request here, so no " + name + "; a condition about rows has ip and risk"})
			}
		}))
	}
	var errs []error
	for _, p := range problems {
		errs = append(errs, fmt.Errorf("column %d: %s", 1+utf8.RuneCountInString(text[:min(p.at, len(text))]), p.what))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	program, err := policy.New(policy.Config{
		Rules:   []policy.Rule{{Name: "filter", When: x, Action: ipwarden.Allow}},
		Default: ipwarden.Block, Foreign: c.foreign, Scores: risk.Scores,
	})
	if err != nil {
		return nil, err
	}
	return &Filter{program, scored}, nil
}

// Func returns a function that asks the condition, as of now. It is not safe for
// concurrent use: take one for each goroutine.
func (f *Filter) Func(now time.Time) func(ipwarden.Record) bool {
	var in policy.Input
	var d policy.Decision
	var a risk.Assessment
	model := risk.DefaultModel()
	return func(r ipwarden.Record) bool {
		in.Client, in.Record, in.Now = r.Addr(), r, now
		if f.scored {
			model.Assess(r, risk.Situation{}, now, &a)
			in.Score, in.Shared = a.Score, a.Shared
		}
		f.program.Decide(&in, &d)
		return d.Rule != nil
	}
}
