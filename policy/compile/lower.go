package compile

import (
	"net/netip"
	"net/textproto"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/policy"
)

// lowering turns a checked condition into an expression of package policy. What
// has no form there becomes a foreign one, as little of the condition as can be.
type lowering struct {
	tree  *ast.AST
	lists []string
	// foreign plans a part of the condition on CEL and returns its number.
	foreign func(ast.Expr) (int, bool)
	failed  bool // a part can run nowhere; a mistake was noted
}

// expr lowers e, or what is possible of it.
func (l *lowering) expr(e ast.Expr) policy.Expr {
	if x, ok := l.try(e); ok {
		return x
	}
	t := l.typeOf(e)
	n, ok := l.foreign(e)
	if !ok || t == policy.NoType || t == policy.Strings {
		l.failed = true
		return policy.Expr{Op: policy.OpConst, Type: policy.Bool}
	}
	return policy.Expr{Op: policy.OpForeign, Type: t, Int: int64(n), Bool: l.reputation(e)}
}

// typeOf is the type of a node as policy has it; NoType when it has none.
func (l *lowering) typeOf(e ast.Expr) policy.Type {
	switch t := l.tree.GetType(e.ID()); {
	case t == nil:
		return policy.NoType
	case t.IsExactType(types.BoolType):
		return policy.Bool
	case t.IsExactType(types.IntType):
		return policy.Int
	case t.IsExactType(types.DoubleType):
		return policy.Double
	case t.IsExactType(types.StringType):
		return policy.String
	case t.Kind() == types.ListKind && t.Parameters()[0].IsExactType(types.StringType):
		return policy.Strings
	}
	return policy.NoType
}

// try lowers e when it has a form, its parts as far as they have one.
func (l *lowering) try(e ast.Expr) (policy.Expr, bool) {
	switch e.Kind() {
	case ast.LiteralKind:
		return literal(e)
	case ast.IdentKind:
		return variable(e.AsIdent())
	case ast.SelectKind:
		return l.selected(e)
	case ast.CallKind:
		return l.call(e)
	}
	return policy.Expr{}, false
}

func literal(e ast.Expr) (policy.Expr, bool) {
	x := policy.Expr{Op: policy.OpConst}
	switch v := e.AsLiteral().(type) {
	case types.Bool:
		x.Type, x.Bool = policy.Bool, bool(v)
	case types.Int:
		x.Type, x.Int = policy.Int, int64(v)
	case types.Double:
		x.Type, x.Double = policy.Double, float64(v)
	case types.String:
		x.Type, x.Text = policy.String, string(v)
	default:
		return x, false
	}
	return x, true
}

func variable(name string) (policy.Expr, bool) {
	switch name {
	case "tier":
		return policy.Expr{Op: policy.OpTier, Type: policy.String}, true
	case "outcome":
		return policy.Expr{Op: policy.OpOutcome, Type: policy.String}, true
	}
	return policy.Expr{}, false
}

// path is a chain of fields, from a variable on: ip, location, country_code.
func path(e ast.Expr) []string {
	switch e.Kind() {
	case ast.IdentKind:
		return []string{e.AsIdent()}
	case ast.SelectKind:
		if s := e.AsSelect(); !s.IsTestOnly() {
			if p := path(s.Operand()); p != nil {
				return append(p, s.FieldName())
			}
		}
	}
	return nil
}

// leaves are the fields that are no field of the JSON.
var leaves = map[string]policy.Expr{
	"request.method":   {Op: policy.OpMethod, Type: policy.String},
	"request.host":     {Op: policy.OpHost, Type: policy.String},
	"request.path":     {Op: policy.OpPath, Type: policy.String},
	"request.query":    {Op: policy.OpQuery, Type: policy.String},
	"request.scheme":   {Op: policy.OpScheme, Type: policy.String},
	"risk.score":       {Op: policy.OpScore, Type: policy.Int},
	"risk.shared":      {Op: policy.OpShared, Type: policy.Bool},
	"client.status":    {Op: policy.OpClientStatus, Type: policy.String},
	"crawler.verified": {Op: policy.OpCrawlerVerified, Type: policy.Bool},
	"crawler.pending":  {Op: policy.OpCrawlerPending, Type: policy.Bool},
	"crawler.failed":   {Op: policy.OpCrawlerFailed, Type: policy.Bool},
	"crawler.name":     {Op: policy.OpCrawlerName, Type: policy.String},
	"response.status":  {Op: policy.OpStatus, Type: policy.Int},
	"ip.address":       {Op: policy.OpField, Type: policy.String, Field: ipwarden.FieldIP},
}

func (l *lowering) selected(e ast.Expr) (policy.Expr, bool) {
	s := e.AsSelect()
	if s.IsTestOnly() {
		return l.present(s)
	}
	p := path(e)
	if len(p) < 2 {
		return policy.Expr{}, false
	}
	if x, ok := leaves[strings.Join(p, ".")]; ok && x.Op != policy.NoOp {
		return x, true
	}
	if p[0] == "ip" {
		f, ok := ipwarden.FieldNamed(strings.Join(p[1:], "."))
		return policy.Expr{Op: policy.OpField, Type: policy.TypeOf(f), Field: f}, ok
	}
	return l.entry(s.Operand(), s.FieldName(), false)
}

// entry is a key of the account, the headers or the cookies, or whether it is
// there.
func (l *lowering) entry(of ast.Expr, key string, has bool) (policy.Expr, bool) {
	x := policy.Expr{Type: policy.String, Text: key}
	switch strings.Join(path(of), ".") {
	case "account":
		x.Op = policy.OpAccount
	case "request.headers":
		x.Op, x.Text = policy.OpHeader, textproto.CanonicalMIMEHeaderKey(key)
	case "request.cookies":
		x.Op = policy.OpCookie
	default:
		return x, false
	}
	if has {
		x.Op, x.Type = x.Op+1, policy.Bool // each is followed by its own
	}
	return x, true
}

// present is has(): a field that differs from the zero of its type, a key that
// is there.
func (l *lowering) present(s ast.SelectExpr) (policy.Expr, bool) {
	if x, ok := l.entry(s.Operand(), s.FieldName(), true); ok {
		return x, true
	}
	p := path(s.Operand())
	if p == nil {
		return policy.Expr{}, false
	}
	full := strings.Join(append(p, s.FieldName()), ".")
	x, ok := leaves[full]
	if !ok && p[0] == "ip" {
		f, isField := ipwarden.FieldNamed(strings.TrimPrefix(full, "ip."))
		x, ok = policy.Expr{Op: policy.OpField, Type: policy.TypeOf(f), Field: f}, isField
	}
	if !ok || x.Op == policy.NoOp {
		return policy.Expr{}, false
	}
	differs := func(zero policy.Expr) (policy.Expr, bool) {
		zero.Op = policy.OpConst
		return policy.Expr{Op: policy.OpNotEqual, Type: policy.Bool, Args: []policy.Expr{x, zero}}, true
	}
	switch x.Type {
	case policy.Bool:
		return x, true
	case policy.Strings:
		x = policy.Expr{Op: policy.OpSize, Type: policy.Int, Args: []policy.Expr{x}}
		return differs(policy.Expr{Type: policy.Int})
	}
	return differs(policy.Expr{Type: x.Type})
}

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

// reputation reports whether a part that runs on CEL asks for nothing but what
// others say of the address.
func (l *lowering) reputation(e ast.Expr) bool {
	asks, other := false, false
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(n ast.Expr) {
		p := path(n)
		switch {
		case len(p) >= 2 && p[0] == "ip" && p[1] == "security", len(p) == 2 && p[0] == "risk" && p[1] == "score":
			asks = true
		case len(p) == 2 && (p[0] == "ip" || p[0] == "risk" || p[0] == "request" || p[0] == "client" || p[0] == "crawler" || p[0] == "lists" || p[0] == "account"), len(p) == 1 && (p[0] == "tier" || p[0] == "account"):
			other = true
		}
	}))
	return asks && !other
}
