package compile

import (
	"net/netip"
	"regexp"
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"github.com/ipwarden/ipwarden/policy"
)

var comparisons = map[string]policy.Op{
	operators.Equals: policy.OpEqual, operators.NotEquals: policy.OpNotEqual, operators.Less: policy.OpLess,
	operators.LessEquals: policy.OpLessEqual, operators.Greater: policy.OpGreater, operators.GreaterEquals: policy.OpGreaterEqual,
}

func (l *lowering) call(e ast.Expr) (policy.Expr, bool) {
	c := e.AsCall()
	args := c.Args()
	boolean := func(op policy.Op, of ...policy.Expr) (policy.Expr, bool) {
		return policy.Expr{Op: op, Type: policy.Bool, Args: of}, true
	}
	switch name := c.FunctionName(); name {
	case operators.LogicalAnd, operators.LogicalOr:
		op := policy.OpAnd
		if name == operators.LogicalOr {
			op = policy.OpOr
		}
		x := policy.Expr{Op: op, Type: policy.Bool}
		for _, a := range args {
			if y := l.expr(a); y.Op == op { // a && (b && c)
				x.Args = append(x.Args, y.Args...)
			} else {
				x.Args = append(x.Args, y)
			}
		}
		return x, true
	case operators.LogicalNot:
		return boolean(policy.OpNot, l.expr(args[0]))
	case operators.Conditional:
		t := l.typeOf(e)
		if t == policy.NoType || t == policy.Strings {
			return policy.Expr{}, false
		}
		return policy.Expr{Op: policy.OpIf, Type: t, Args: []policy.Expr{l.expr(args[0]), l.expr(args[1]), l.expr(args[2])}}, true
	case operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		t := l.typeOf(args[0])
		if t == policy.NoType || t == policy.Strings || t != l.typeOf(args[1]) {
			return policy.Expr{}, false
		}
		if ordered := name != operators.Equals && name != operators.NotEquals; ordered && t == policy.Bool {
			return policy.Expr{}, false // false < true: CEL's business
		}
		x, y := l.expr(args[0]), l.expr(args[1])
		if x.Op == policy.OpConst && y.Op != policy.OpConst {
			return boolean(mirrored(comparisons[name]), y, x)
		}
		return boolean(comparisons[name], x, y)
	case operators.Add:
		if l.typeOf(e) != policy.String {
			return policy.Expr{}, false
		}
		x := policy.Expr{Op: policy.OpConcat, Type: policy.String}
		for _, a := range args {
			if y := l.expr(a); y.Op == policy.OpConcat {
				x.Args = append(x.Args, y.Args...)
			} else {
				x.Args = append(x.Args, y)
			}
		}
		return x, true
	case operators.Index:
		if key, ok := stringLiteral(args[1]); ok {
			return l.entry(args[0], key, false)
		}
		return policy.Expr{}, false
	case operators.In:
		return l.in(args[0], args[1])
	case "startsWith", "endsWith", "contains", "matches":
		return l.textTest(name, c)
	case "lowerAscii":
		return policy.Expr{Op: policy.OpLower, Type: policy.String, Args: []policy.Expr{l.expr(c.Target())}}, true
	case "size":
		of := c.Target()
		if !c.IsMemberFunction() {
			of = args[0]
		}
		switch l.typeOf(of) {
		case policy.String:
			return policy.Expr{Op: policy.OpSize, Type: policy.Int, Args: []policy.Expr{l.expr(of)}}, true
		case policy.Strings:
			if x, ok := l.try(of); ok {
				return policy.Expr{Op: policy.OpSize, Type: policy.Int, Args: []policy.Expr{x}}, true
			}
		}
	case "within":
		if text, ok := stringLiteral(args[0]); ok {
			if p, err := netip.ParsePrefix(text); err == nil && !p.Addr().Is4In6() {
				return policy.Expr{Op: policy.OpWithin, Type: policy.Bool, Prefixes: []netip.Prefix{p.Masked()}}, true
			}
		}
	}
	return policy.Expr{}, false
}

func mirrored(op policy.Op) policy.Op {
	switch op {
	case policy.OpLess:
		return policy.OpGreater
	case policy.OpLessEqual:
		return policy.OpGreaterEqual
	case policy.OpGreater:
		return policy.OpLess
	case policy.OpGreaterEqual:
		return policy.OpLessEqual
	}
	return op
}

// stringLiteral is the text of a literal.
func stringLiteral(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}

func (l *lowering) textTest(name string, c ast.CallExpr) (policy.Expr, bool) {
	x := policy.Expr{Type: policy.Bool}
	if name == "matches" {
		args := c.Args()
		of := c.Target()
		if !c.IsMemberFunction() {
			of, args = args[0], args[1:]
		}
		pattern, ok := stringLiteral(args[0])
		if !ok {
			return x, false
		}
		if _, err := regexp.Compile(pattern); err != nil {
			return x, false
		}
		x.Op, x.Text, x.Args = policy.OpMatches, pattern, []policy.Expr{l.expr(of)}
		return x, true
	}
	x.Op = map[string]policy.Op{"startsWith": policy.OpStartsWith, "endsWith": policy.OpEndsWith, "contains": policy.OpContains}[name]
	x.Args = []policy.Expr{l.expr(c.Target()), l.expr(c.Args()[0])}
	return x, true
}

// in lowers x in [..], in lists.NAME, in a list of the JSON, and in a map.
func (l *lowering) in(x, of ast.Expr) (policy.Expr, bool) {
	if p := path(of); len(p) == 2 && p[0] == "lists" {
		y := policy.Expr{Op: policy.OpInList, Type: policy.Bool, Int: int64(slices.Index(l.lists, p[1]))}
		if q := path(x); len(q) == 1 && q[0] == "ip" {
			return y, y.Int >= 0
		}
		y.Args = []policy.Expr{l.expr(x)}
		return y, y.Int >= 0
	}
	if of.Kind() == ast.ListKind {
		return l.oneOf(x, of.AsList().Elements())
	}
	if key, ok := stringLiteral(x); ok {
		if y, ok := l.entry(of, key, true); ok {
			return y, true
		}
	}
	if list, ok := l.try(of); ok && list.Type == policy.Strings && l.typeOf(x) == policy.String {
		return policy.Expr{Op: policy.OpHas, Type: policy.Bool, Args: []policy.Expr{l.expr(x), list}}, true
	}
	return policy.Expr{}, false
}

func (l *lowering) oneOf(x ast.Expr, elements []ast.Expr) (policy.Expr, bool) {
	t := l.typeOf(x)
	y := policy.Expr{Op: policy.OpOneOf, Type: policy.Bool}
	for _, e := range elements {
		v, ok := l.try(e)
		if !ok || v.Op != policy.OpConst || v.Type != t || t != policy.Int && t != policy.String {
			return y, false
		}
		if t == policy.Int {
			y.Ints = append(y.Ints, v.Int)
		} else {
			y.Texts = append(y.Texts, v.Text)
		}
	}
	if len(elements) == 0 {
		return policy.Expr{}, false
	}
	y.Args = []policy.Expr{l.expr(x)}
	return y, true
}
