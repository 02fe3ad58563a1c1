package condition

import (
	"fmt"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

const (
	// MaxExpression is how many bytes an expression may have.
	MaxExpression = 2 << 10
	// MaxCost is what asking an expression may cost, in CEL's units: about one for an operation,
	// and one for ten bytes of text that are looked at. At the most it is some tens of milliseconds.
	MaxCost = 1_000_000
	// maxDepth is how deep an expression may be nested.
	maxDepth = 32
)

// Private

// compile parses, completes and checks an expression.
func (s Scope) compile(text string) (*Condition, error) {
	e, err := s.environment()
	if err != nil {
		return nil, &Error{Message: err.Error()}
	}
	parsed, issues := e.Parse(text)
	if mistake := first(issues); mistake != nil {
		return nil, mistake
	}
	c := &Condition{}
	if c.names, err = s.resolve(parsed.NativeRep()); err != nil {
		return nil, err
	}
	oneKindOfNumber(parsed.NativeRep().Expr())
	checked, issues := e.Check(parsed)
	if mistake := first(issues); mistake != nil {
		return nil, mistake
	}
	if out := checked.OutputType(); !out.IsExactType(types.BoolType) {
		return nil, &Error{Line: 1, Column: 1, Message: fmt.Sprintf("the expression is a %s; write one that is true or false, for example with < or ==", plain(out.String()))}
	}
	most, err := e.EstimateCost(checked, sizes{})
	if err != nil {
		return nil, &Error{Message: err.Error()}
	}
	if most.Max > MaxCost {
		return nil, &Error{Line: 1, Column: 1, Message: fmt.Sprintf("asking the expression may cost %d units; %d are the most: look at texts less often, or for simpler patterns", most.Max, MaxCost)}
	}
	c.program, err = e.Program(checked, cel.CostLimit(MaxCost), cel.EvalOptions(cel.OptOptimize), cel.OptimizeRegex(interpreter.MatchesRegexOptimization))
	if err != nil {
		return nil, &Error{Line: 1, Column: 1, Message: err.Error()}
	}
	return c, nil
}

// environment is the language: a part of CEL's, with the scope's names.
func (s Scope) environment() (*cel.Env, error) {
	var part env.LibrarySubset
	part.DisableMacros = true
	for _, name := range language() {
		part.IncludeFunctions = append(part.IncludeFunctions, env.NewFunction(name))
	}
	options := []cel.EnvOption{
		cel.StdLib(cel.StdLibSubset(&part)),
		cel.ParserRecursionLimit(maxDepth),
		cel.ParserExpressionSizeLimit(MaxExpression),
		cel.Function(operators.Divide, cel.Overload(overloads.DivideDouble,
			[]*cel.Type{cel.DoubleType, cel.DoubleType}, cel.DoubleType, cel.BinaryBinding(divide))),
	}
	for _, name := range s.Numbers {
		options = append(options, cel.Variable(name, cel.DoubleType))
	}
	for _, name := range s.Texts {
		options = append(options, cel.Variable(name, cel.StringType))
	}
	e, err := cel.NewCustomEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("prepare expressions: %w", err)
	}
	return e, nil
}

// language are CEL's functions that stay.
func language() []string {
	return []string{
		operators.Conditional, operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot,
		operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
		operators.Add, operators.Subtract, operators.Multiply, operators.Negate, operators.In,
		overloads.Contains, overloads.StartsWith, overloads.EndsWith, overloads.Matches,
	}
}

// divide is CEL's division but by zero, which has no answer: a rate without events is no data.
func divide(a, b ref.Val) ref.Val {
	x, okX := a.(types.Double)
	y, okY := b.(types.Double)
	switch {
	case !okX || !okY:
		return types.MaybeNoSuchOverloadErr(b)
	case y == 0:
		return types.NewErr("division by zero")
	}
	return x / y
}

// resolve returns the names that an expression speaks of, or points at one that nobody knows: the
// checker would only say that it does not know the first word.
func (s Scope) resolve(a *ast.AST) ([]string, error) {
	var names []string
	var mistake *Error
	inner := map[int64]bool{} // operands of a selection, which are seen after it
	visit := func(e ast.Expr) {
		name, root, ok := qualified(e)
		if mistake == nil {
			mistake = calls(a, e)
		}
		if mistake != nil || !ok || inner[e.ID()] {
			return
		}
		for e.Kind() == ast.SelectKind {
			e = e.AsSelect().Operand()
			inner[e.ID()] = true
		}
		if slices.Contains(s.Numbers, name) || slices.Contains(s.Texts, name) {
			names = append(names, name)
			return
		}
		mistake = at(a, root, "nothing is called %s; known are %s", name, s.known())
	}
	ast.PreOrderVisit(a.Expr(), ast.NewExprVisitor(visit))
	if mistake != nil {
		return nil, mistake
	}
	return names, nil
}

// calls points at a call of a function that the language does not have, and at a pattern that is
// not written out: what it costs to look for it could not be told.
func calls(a *ast.AST, e ast.Expr) *Error {
	if e.Kind() != ast.CallKind {
		return nil
	}
	call := e.AsCall()
	name := call.FunctionName()
	if name != operators.Divide && !slices.Contains(language(), name) {
		return at(a, e, "there is no %s; known are + - * / comparisons, &&, ||, !, ?:, in, contains, startsWith, endsWith and matches", shown(name))
	}
	if name != overloads.Matches || len(call.Args()) == 0 {
		return nil
	}
	pattern := call.Args()[len(call.Args())-1]
	text, ok := literal(pattern)
	if !ok {
		return at(a, pattern, "a pattern has to be written out, between quotes")
	}
	if _, err := program(text); err != nil {
		return at(a, pattern, "%v", err)
	}
	return nil
}

// literal returns the text that an expression is.
func literal(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	text, ok := e.AsLiteral().(types.String)
	return string(text), ok
}

// qualified returns the dotted name that an expression is, and its first word.
func qualified(e ast.Expr) (name string, root ast.Expr, ok bool) {
	switch e.Kind() {
	case ast.IdentKind:
		return e.AsIdent(), e, true
	case ast.SelectKind:
		s := e.AsSelect()
		name, root, ok = qualified(s.Operand())
		return name + "." + s.FieldName(), root, ok
	default:
		return "", nil, false
	}
}

// oneKindOfNumber makes every whole number a double, since CEL has no 2 * 1.5.
func oneKindOfNumber(root ast.Expr) {
	factory := ast.NewExprFactory()
	ast.PostOrderVisit(root, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.LiteralKind {
			return
		}
		if whole, ok := e.AsLiteral().(types.Int); ok {
			e.SetKindCase(factory.NewLiteral(e.ID(), types.Double(whole)))
		}
	}))
}
