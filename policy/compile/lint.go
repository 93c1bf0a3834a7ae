package compile

import (
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
)

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
	switch call.FunctionName() {
	case "_==_", "_!=_", "@in":
		if what := c.neverFolded(args[0], args[1]); what != "" {
			bad(what)
		}
	case "startsWith", "endsWith", "contains":
		if what := c.neverFolded(call.Target(), args[0]); what != "" {
			bad(what)
		}
	}
	return ps
}

// maxPattern bounds a pattern: a program of RE2 is some times as large.
const maxPattern = 1024

// neverFolded finds a path with capitals where paths are read in small letters.
func (c *conditions) neverFolded(x, y ast.Expr) string {
	if !c.folded || strings.Join(path(x), ".") != "request.path" {
		return ""
	}
	texts := []ast.Expr{y}
	if y.Kind() == ast.ListKind {
		texts = y.AsList().Elements()
	}
	for _, t := range texts {
		if s, ok := stringLiteral(t); ok && hasCapital(s) {
			return fmt.Sprintf("%q has capitals, and no path has: paths.case is fold; write it in small letters", s)
		}
	}
	return ""
}

// hasCapital: those that Paths.FoldCase folds.
func hasCapital(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return 'A' <= r && r <= 'Z' })
}

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
