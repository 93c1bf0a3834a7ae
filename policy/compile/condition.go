package compile

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"

	"github.com/ipwarden/ipwarden/internal/yamldoc"
	"github.com/ipwarden/ipwarden/policy"
)

// conditions compiles the conditions of one file.
type conditions struct {
	env, counts *cel.Env
	lists       []string
	foreign     []policy.Foreign
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

// typeName is a type of CEL for a sentence.
func typeName(t *types.Type) string {
	switch {
	case t.Kind() == types.StructKind:
		return "a group of fields"
	case t.Kind() == types.ListKind:
		return "a list"
	}
	return article(t.String())
}

func article(word string) string {
	if word == "int" {
		return "an int"
	}
	return "a " + word
}

func hint(want policy.Type, got *types.Type) string {
	switch {
	case want == policy.Bool && got.IsExactType(types.StringType):
		return `; compare it, as in ip.location.country_code == "SE"`
	case want == policy.Bool:
		return "; compare it, as in risk.score >= 70"
	case want == policy.String && got.IsExactType(types.IntType):
		return "; turn it into text with string(…)"
	}
	return ""
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

var (
	undefinedField = regexp.MustCompile(`undefined field '([^']*)'`)
	undeclared     = regexp.MustCompile(`undeclared reference to '([^']*)'`)
)

// explain turns CEL's sentence into one that says what works.
func (c *conditions) explain(p problem, text string, counts bool) string {
	if m := undeclared.FindStringSubmatch(p.what); m != nil {
		known := []string{"ip", "request", "risk", "client", "crawler", "lists", "account", "tier"}
		if counts {
			known = []string{"response", "outcome"}
			if word, _, _ := strings.Cut(m[1], "."); word == "ip" || word == "request" || word == "risk" || word == "account" || word == "crawler" || word == "client" || word == "tier" || word == "lists" {
				return fmt.Sprintf("count sees what became of the request, not %s: put that into when, and here response.status or outcome", word)
			}
		} else if m[1] == "response" || m[1] == "outcome" {
			return m[1] + " is known when the request is over: only count of a limit can ask for it"
		}
		what := fmt.Sprintf("there is no %q here", m[1])
		if near := yamldoc.Nearest(m[1], known); near != "" {
			return what + fmt.Sprintf("; did you mean %q?", near)
		}
		if strings.HasPrefix(text[p.at:], m[1]+"(") || strings.HasPrefix(text[p.at:], "(") {
			return what + ": no function has that name"
		}
		return what + "; there are " + strings.Join(known, ", ") + "; text stands in quotes"
	}
	if m := undefinedField.FindStringSubmatch(p.what); m != nil {
		return c.noField(m[1], text, p.at)
	}
	if strings.HasPrefix(p.what, "found no matching overload for") {
		return noOverload(p.what)
	}
	if strings.HasPrefix(p.what, "Syntax error:") {
		return "this is not CEL:" + strings.TrimPrefix(p.what, "Syntax error:")
	}
	return p.what
}

// noField names the field that may have been meant: one of the same group, or
// of the same last word.
func (c *conditions) noField(name, text string, at int) string {
	// CEL points at the dot before the name.
	begin := at
	for begin > 0 && (isWord(text[begin-1]) || text[begin-1] == '.') {
		begin--
	}
	group := text[begin:at]
	var known, siblings []string
	for full := range c.fields() {
		known = append(known, full)
		if rest, ok := strings.CutPrefix(full, group+"."); ok {
			word, _, _ := strings.Cut(rest, ".")
			siblings = append(siblings, word)
		}
	}
	if group == "lists" {
		if len(c.lists) == 0 {
			return fmt.Sprintf("there is no list %q: the policy has no lists", name)
		}
		if near := yamldoc.Nearest(name, c.lists); near != "" {
			return fmt.Sprintf("there is no list %q; did you mean lists.%s?", name, near)
		}
		return fmt.Sprintf("there is no list %q; there are %s", name, strings.Join(c.lists, ", "))
	}
	what := fmt.Sprintf("there is no field %s.%s", group, name)
	if near := yamldoc.Nearest(name, siblings); near != "" {
		return what + fmt.Sprintf("; did you mean %s.%s?", group, near)
	}
	for _, k := range known {
		if k[strings.LastIndexByte(k, '.')+1:] == name {
			return what + fmt.Sprintf("; did you mean %s?", k)
		}
	}
	if near := yamldoc.Nearest(group+"."+name, known); near != "" {
		return what + fmt.Sprintf("; did you mean %s?", near)
	}
	return what
}

func isWord(b byte) bool {
	return b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

var overload = regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '([^']*)'`)

// noOverload says in words which types do not go together.
func noOverload(what string) string {
	m := overload.FindStringSubmatch(what)
	if m == nil {
		return what
	}
	op := strings.Trim(m[1], "_")
	operands := strings.Trim(strings.ReplaceAll(m[2], "ipwarden.", ""), "()")
	sentence := fmt.Sprintf("%s does not go with (%s)", op, operands)
	switch {
	case strings.Contains(m[2], ipType+","):
		sentence += "; an address is compared by ip.within(\"10.0.0.0/8\"), ip in lists.NAME or ip.address == \"192.0.2.1\""
	case m[2] == "(int, string)" || m[2] == "(string, int)":
		sentence += "; numbers stand without quotes, texts with them"
	case m[2] == "(double, int)" || m[2] == "(int, double)":
		sentence += "; write the number with a point, as in 59.0"
	}
	return sentence
}

// fields yields every name that a condition can ask for.
func (c *conditions) fields() map[string]bool {
	all := map[string]bool{"ip.address": true, "response.status": true}
	for name, r := range roots() {
		for f := range r.fields {
			all[name+"."+f] = true
		}
	}
	for f := range allFields() {
		all["ip."+f] = true
	}
	for _, l := range c.lists {
		all["lists."+l] = true
	}
	return all
}

// lint finds what CEL takes and what would never do what it seems to.
func (c *conditions) lint(tree *ast.AST, text string) (ps []problem) {
	ast.PreOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.ComprehensionKind:
			if t := tree.GetType(e.AsComprehension().IterRange().ID()); t != nil && t.Kind() == types.MapKind {
				ps = append(ps, problem{place(tree, text, e), "the header, the cookies and the account cannot be listed; ask for one by name, as in request.headers[\"user-agent\"]"})
			}
		case ast.CallKind:
			ps = append(ps, c.lintCall(tree, text, e)...)
		}
	}))
	return ps
}

func (c *conditions) lintCall(tree *ast.AST, text string, e ast.Expr) (ps []problem) {
	call := e.AsCall()
	bad := func(what string) { ps = append(ps, problem{place(tree, text, e), what}) }
	args := call.Args()
	switch call.FunctionName() {
	case "within":
		if s, ok := stringLiteral(args[0]); ok {
			if why := badPrefix(s); why != "" {
				bad(why)
			}
		}
	case "matches":
		pattern := args[len(args)-1]
		if s, ok := stringLiteral(pattern); ok {
			if len(s) > maxPattern {
				bad(fmt.Sprintf("the pattern is longer than %d bytes", maxPattern))
			} else if _, err := regexp.Compile(s); err != nil {
				bad("this is no pattern of RE2: " + strings.TrimPrefix(err.Error(), "error parsing regexp: "))
			}
		}
	case "_==_", "_!=_", "@in":
		if what := suspicious(args[0], args[1]); what != "" {
			bad(what)
		}
	}
	return ps
}

// maxPattern bounds a pattern: a program of RE2 is some times as large.
const maxPattern = 1024

// suspicious finds a comparison that can never hold: a country in small letters.
func suspicious(x, y ast.Expr) string {
	if strings.Join(path(x), ".") != "ip.location.country_code" {
		return ""
	}
	texts := []ast.Expr{y}
	if y.Kind() == ast.ListKind {
		texts = y.AsList().Elements()
	}
	for _, t := range texts {
		if s, ok := stringLiteral(t); ok && s != "" && !isCountry(s) {
			return fmt.Sprintf("%q is no country: a code has two capital letters, such as SE", s)
		}
	}
	return ""
}

// Bounds of what runs on CEL itself: in cost, of which CEL counts about one for
// each step, and in the sizes that the cost is estimated from.
const (
	maxCost     = 20_000
	maxText     = 8 << 10 // bytes of a text of the request
	maxFact     = 256     // bytes of a text of the JSON
	maxLanguage = 32      // languages of a country
	maxListings = 64      // listings of an address
)

// plan prepares a part of a condition to run on CEL, within its cost.
func (c *conditions) plan(env *cel.Env, tree *ast.AST, e ast.Expr) (policy.Foreign, error) {
	part := ast.NewCheckedAST(ast.NewAST(e, tree.SourceInfo()), tree.TypeMap(), tree.ReferenceMap())
	estimate, err := cost.Cost(part, sizes{})
	if err != nil {
		return nil, err
	}
	if estimate.Max > maxCost {
		return nil, fmt.Errorf("this may cost %s, more than the %d that a condition may: ask for less of it, such as a shorter list or startsWith instead of matches", amount(estimate.Max), maxCost)
	}
	program, err := env.PlanProgram(part, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost))
	if err != nil {
		return nil, err
	}
	return func(in *policy.Input) (policy.Value, bool) {
		out, _, err := program.Eval(&world{in})
		if err != nil {
			var cut interpreter.EvalCancelledError
			over := errors.As(err, &cut) && cut.Cause == interpreter.CostLimitExceeded
			return policy.Value{Over: over}, false
		}
		switch v := out.(type) {
		case types.Bool:
			return policy.Value{Bool: bool(v)}, true
		case types.Int:
			return policy.Value{Int: int64(v)}, true
		case types.Double:
			return policy.Value{Double: float64(v)}, true
		case types.String:
			return policy.Value{Text: string(v)}, true
		}
		return policy.Value{}, false
	}, nil
}

func amount(n uint64) string {
	if n > 1<<40 {
		return "without bound"
	}
	return fmt.Sprint(n)
}

// sizes tells CEL how large things can be, which its estimate of a cost needs.
type sizes struct{}

// EstimateSize is part of cost.Estimator.
func (sizes) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	p := n.Path()
	if len(p) == 0 {
		return nil
	}
	size := uint64(maxFact)
	switch full := strings.Join(p, "."); {
	case full == "ip.security.listings":
		size = maxListings
	case full == "ip.location.languages":
		size = maxLanguage
	case p[0] == "request" || p[0] == "account" || p[0] == "outcome":
		size = maxText
	}
	return &cost.SizeEstimate{Min: 0, Max: size}
}

// EstimateCallCost is part of cost.Estimator.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}
