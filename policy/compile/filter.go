package compile

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/risk"
)

// A Filter is one condition about an address alone, for the rows of files and for
// events: it sees ip and risk as a policy does, and no request. It is immutable
// and safe for concurrent use.
type Filter struct {
	program *policy.Program
	scored  bool     // it asks for risk
	members []string // of the event that it asks for
}

// NewFilter checks a condition, such as
// `ip.location.country_code == "SE" && !ip.security.is_hosting`. The error names
// every mistake in it with its column.
func NewFilter(text string) (*Filter, error) { return newFilter(text, false) }

// NewEventFilter is NewFilter for conditions that see the event too: event.type and
// event["request.path"] are its members, as text, "" when they are not there or
// neither text nor number.
func NewEventFilter(text string) (*Filter, error) { return newFilter(text, true) }

func newFilter(text string, events bool) (*Filter, error) {
	c, err := newConditions(nil)
	if err != nil {
		return nil, err
	}
	if events {
		if c.env, err = c.env.Extend(cel.Variable("event", textMap)); err != nil {
			return nil, err
		}
	}
	x, problems := c.compile(text, policy.Bool, false)
	scored := false
	var members []string
	if len(problems) == 0 {
		checked, _ := c.env.Compile(text)
		tree := checked.NativeRep()
		members, problems = eventMembers(tree, text)
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
	return &Filter{program, scored, members}, nil
}

// Func returns a function that asks the condition, as of now. It is not safe for
// concurrent use: take one for each goroutine.
func (f *Filter) Func(now time.Time) func(ipwarden.Record) bool { return f.ask(now, nil) }

func (f *Filter) ask(now time.Time, request *ipwarden.Request) func(ipwarden.Record) bool {
	in := policy.Input{Request: request}
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

// EventFunc is Func for a Filter of NewEventFilter: member returns a member of the
// event by its path.
func (f *Filter) EventFunc(now time.Time) func(r ipwarden.Record, member func(path string) string) bool {
	ask := f.Func(now)
	if len(f.members) == 0 {
		return func(r ipwarden.Record, _ func(string) string) bool { return ask(r) }
	}
	request := ipwarden.Request{Account: make(map[string]string, len(f.members))}
	ask = f.ask(now, &request)
	return func(r ipwarden.Record, member func(string) string) bool {
		for _, m := range f.members {
			if text := member(m); text != "" {
				request.Account[m] = text
			} else {
				delete(request.Account, m)
			}
		}
		return ask(r)
	}
}

// eventMembers are the members of the event that a condition asks for. They have to
// be named, so that they are known before.
func eventMembers(tree *ast.AST, text string) (names []string, problems []problem) {
	named := map[int64]bool{} // idents that are a part of a name
	is := func(e ast.Expr) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == "event" }
	add := func(of ast.Expr, name string) {
		named[of.ID()] = true
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	ast.PostOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.SelectKind:
			if of := e.AsSelect().Operand(); is(of) {
				add(of, e.AsSelect().FieldName())
			}
		case ast.CallKind:
			call := e.AsCall()
			if call.FunctionName() != operators.Index || len(call.Args()) != 2 || !is(call.Args()[0]) || call.Args()[1].Kind() != ast.LiteralKind {
				return
			}
			if name, ok := call.Args()[1].AsLiteral().Value().(string); ok {
				add(call.Args()[0], name)
			}
		}
	}))
	ast.PostOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if is(e) && !named[e.ID()] {
			problems = append(problems, problem{place(tree, text, e), `members of the event are asked by their names, such as event.type or event["request.path"]`})
		}
	}))
	return names, problems
}
