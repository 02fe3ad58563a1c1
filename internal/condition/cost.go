package condition

import (
	"fmt"
	"regexp/syntax"

	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
)

// Private

// sizes tells CEL's estimate of the cost what CEL cannot know: how long texts are at most, and
// what a pattern costs, which its length does not show ("a{1000}" is as long as a thousand a).
type sizes struct{}

// EstimateSize implements cost.Estimator.
func (sizes) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	if len(n.Path()) > 0 && n.Type().IsExactType(types.StringType) {
		return &cost.SizeEstimate{Max: MaxText}
	}
	return nil
}

// EstimateCallCost implements cost.Estimator: each byte may be held against each instruction.
func (sizes) EstimateCallCost(function, _ string, target *cost.AstNode, args []cost.AstNode) *cost.CallEstimate {
	if function != overloads.Matches || len(args) == 0 {
		return nil // as CEL has it
	}
	text, pattern := args[0], args[len(args)-1]
	if target != nil {
		text = *target
	}
	most := uint64(MaxText)
	if size := text.ComputedSize(); size != nil {
		most = size.Max
	}
	known, _ := literal(pattern.Expr())
	p, err := program(known)
	if err != nil {
		return nil // refused already
	}
	const perUnit = 10 // bytes
	return cost.NewCallEstimate(cost.Estimate{Min: 1, Max: 1 + most*uint64(len(p.Inst))/perUnit}, nil)
}

// program compiles a pattern as package regexp does.
func program(pattern string) (*syntax.Prog, error) {
	r, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("the pattern cannot be read: %w", err)
	}
	p, err := syntax.Compile(r.Simplify())
	if err != nil {
		return nil, fmt.Errorf("the pattern cannot be read: %w", err)
	}
	return p, nil
}
