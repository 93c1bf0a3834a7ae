package compile

import (
	"net/textproto"
	"strings"

	"cel.dev/cel-go/common/ast"
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
	case "account", "event": // of a policy, and of a filter of events
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
