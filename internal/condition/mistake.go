package condition

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// Error is a mistake in an expression.
type Error struct {
	Line, Column int // from 1; both are 0 if it stands nowhere
	Message      string
}

// Error renders the mistake with its place.
func (e *Error) Error() string {
	switch {
	case e.Line > 1:
		return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
	case e.Line == 1:
		return fmt.Sprintf("column %d: %s", e.Column, e.Message)
	}
	return e.Message
}

// Private

// at is a mistake where a part of the expression begins.
func at(a *ast.AST, e ast.Expr, format string, args ...any) *Error {
	place := a.SourceInfo().GetStartLocation(e.ID())
	return &Error{Line: place.Line(), Column: place.Column() + 1, Message: fmt.Sprintf(format, args...)}
}

// first returns the first mistake that CEL found.
func first(issues *cel.Issues) error {
	if issues == nil || issues.Err() == nil {
		return nil
	}
	all := issues.Errors()
	if len(all) == 0 {
		return &Error{Message: plain(issues.Err().Error())}
	}
	e := &Error{Message: plain(all[0].Message)}
	if at := all[0].Location; at != nil && at.Line() > 0 {
		e.Line, e.Column = at.Line(), at.Column()+1
	}
	return e
}

// plain puts CEL's words into those of this language, on one line.
func plain(message string) string {
	message, _, _ = strings.Cut(message, "\n")
	message = strings.TrimPrefix(message, "Syntax error: ")
	message, _, _ = strings.Cut(message, " expecting ") // all that the grammar knows
	mismatch := regexp.MustCompile(`found no matching overload for '([^']*)' applied to '([^']*)'`)
	if parts := mismatch.FindStringSubmatch(message); parts != nil {
		message = fmt.Sprintf("%s does not go with %s", shown(parts[1]), parts[2])
	}
	message = strings.ReplaceAll(message, "'<EOF>'", "the end")
	words := strings.NewReplacer("double", "number", "string", "text", "uint", "unsigned number")
	if message = strings.TrimSpace(words.Replace(message)); message == "" {
		return "the expression cannot be read"
	}
	return message
}

// shown returns what a function looks like in an expression.
func shown(function string) string {
	if sign, ok := operators.FindReverse(function); ok && sign != "" {
		return sign
	}
	return strings.Trim(function, "_@")
}

// known lists the scope for a message, the plain names first.
func (s Scope) known() string {
	const most = 6
	all := slices.Concat(s.Numbers, s.Texts)
	if len(all) == 0 {
		return "no names"
	}
	slices.SortStableFunc(all, func(a, b string) int { return strings.Count(a, ".") - strings.Count(b, ".") })
	if len(all) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
	}
	return strings.Join(all, ", ")
}
