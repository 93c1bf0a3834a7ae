package compile

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"
	"github.com/ipwarden/ipwarden/policy"
)

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
