// Package condition asks users' own expressions, such as
//
//	canary.queue < 2 * stable.queue + 10
//
// of readings. An expression is CEL with one kind of number (every number is a double, so 2 and
// 2.0 are the same), texts, + - * / comparisons, && || ! ?:, in, contains, startsWith, endsWith
// and matches (RE2). There are no loops, macros, times or conversions. What an expression may cost
// is known before it is accepted, so that asking it always ends soon; it sees nothing but its
// values, and changes nothing.
//
// A value that is missing, or a division by zero, makes an expression that needs it have no
// answer, which is neither true nor false. As usual in CEL, false && x is false and true || x is
// true even if x has none.
package condition

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
)

// ErrNoData says that an expression has no answer, for want of data.
var ErrNoData = errors.New("no data")

// Condition is a compiled expression. It is safe for concurrent use.
type Condition struct {
	program cel.Program
	names   []string // of the scope that it speaks of
}

// Compile checks an expression against what it may speak of. The error is an *Error.
func Compile(text string, scope Scope) (*Condition, error) {
	switch {
	case strings.TrimSpace(text) == "":
		return nil, &Error{Message: "the expression is empty"}
	case len(text) > MaxExpression:
		return nil, &Error{Message: fmt.Sprintf("the expression has %d bytes; %d are the most", len(text), MaxExpression)}
	}
	return scope.compile(text)
}

// Holds asks the condition. The error is ErrNoData, wrapped in what is missing.
func (c *Condition) Holds(values Values) (bool, error) {
	known := values.known
	if known == nil {
		known = map[string]any{}
	}
	answer, _, err := c.program.Eval(known)
	if err != nil {
		return false, c.unanswered(values, err)
	}
	holds, ok := answer.Value().(bool)
	if !ok {
		return false, fmt.Errorf("%w: the answer is %v", ErrNoData, answer)
	}
	return holds, nil
}

// Private

// unanswered says what an expression without an answer wants.
func (c *Condition) unanswered(values Values, err error) error {
	var missing []string
	for _, name := range c.names {
		if _, ok := values.known[name]; !ok && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w for %s", ErrNoData, strings.Join(missing, ", "))
	}
	return fmt.Errorf("%w: %w", ErrNoData, err)
}
