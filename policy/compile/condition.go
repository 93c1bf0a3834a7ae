package compile

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"github.com/ipwarden/ipwarden/policy"
)

// conditions compiles the conditions of one file.
type conditions struct {
	env, counts *cel.Env
	lists       []string
	foreign     []policy.Foreign
	folded      bool // paths are read in small letters
}

func newConditions(lists []string) (*conditions, error) {
	env, err := newEnv(lists, false)
	if err != nil {
		return nil, err
	}
	counts, err := newEnv(nil, true)
	return &conditions{env: env, counts: counts, lists: lists}, err
}

// A problem is something wrong in a condition's text.
type problem struct {
	at   int // bytes from its beginning
	what string
}

// compile checks a condition, or a value of another type, and lowers it.
func (c *conditions) compile(text string, want policy.Type, counts bool) (policy.Expr, []problem) {
	env := c.env
	if counts {
		env = c.counts
	}
	if strings.TrimSpace(text) == "" {
		return policy.Expr{}, []problem{{0, "is empty; leave the line out when it always holds"}}
	}
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		var ps []problem
		for _, e := range issues.Errors() {
			p := problem{offset(text, e.Location.Line(), e.Location.Column()), e.Message}
			p.what = c.explain(p, text, counts)
			ps = append(ps, p)
		}
		return policy.Expr{}, ps
	}
	tree := checked.NativeRep()
	if t := checked.OutputType(); !t.IsExactType(celType(want)) {
		return policy.Expr{}, []problem{{0, fmt.Sprintf("this must be %s, and is %s%s", article(want.String()), typeName(t), hint(want, t))}}
	}
	if ps := c.lint(tree, text); len(ps) > 0 {
		return policy.Expr{}, ps
	}
	var ps []problem
	l := &lowering{tree: tree, lists: c.lists}
	l.foreign = func(e ast.Expr) (int, bool) {
		f, err := c.plan(env, tree, e)
		if err != nil {
			ps = append(ps, problem{place(tree, text, e), err.Error()})
			return 0, false
		}
		c.foreign = append(c.foreign, f)
		return len(c.foreign) - 1, true
	}
	x := l.expr(tree.Expr())
	if l.failed && len(ps) == 0 {
		ps = append(ps, problem{0, "a part of this is of a type that a condition cannot hold; compare it with something"})
	}
	return x, ps
}

// offset turns CEL's line (from 1) and column (in characters, from 0) into
// bytes.
func offset(text string, line, column int) int {
	at := 0
	for ; line > 1; line-- {
		i := strings.IndexByte(text[at:], '\n')
		if i < 0 {
			break
		}
		at += i + 1
	}
	for ; column > 0 && at < len(text); column-- {
		_, n := utf8.DecodeRuneInString(text[at:])
		at += n
	}
	return at
}

func place(tree *ast.AST, text string, e ast.Expr) int {
	loc := tree.SourceInfo().GetStartLocation(e.ID())
	return offset(text, max(loc.Line(), 1), max(loc.Column(), 0))
}
