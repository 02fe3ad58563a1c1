// Package specfile reads rollout files: YAML (and so JSON) into a defaulted,
// validated rollout.Spec. Every mistake is an *Error that points at its line.
package specfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/serin-rollouts/serin/internal/condition"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// MaxSize is the most bytes that a rollout file may have.
const MaxSize = 64 << 10

// Error is a mistake in a rollout file.
type Error struct {
	Field   string // path of the field, for example steps[1].weight; may be empty
	Message string // one line
	Source  string // the lines around the mistake with a caret; may be empty
	// Line and Column are where it stands, from 1; both are 0 if it stands nowhere.
	Line, Column int
}

// Error renders the mistake with its source lines.
func (e *Error) Error() string {
	text := e.Message
	if e.Field != "" {
		text = e.Field + ": " + e.Message
	}
	if e.Source != "" {
		text += "\n" + e.Source
	}
	return text
}

// Parse reads one rollout file.
func Parse(source []byte) (rollout.Spec, error) {
	if len(source) > MaxSize {
		return rollout.Spec{}, &Error{Message: fmt.Sprintf("the file has %d bytes; %d are the most", len(source), MaxSize)}
	}
	if bytes.Contains(source, []byte{0}) {
		return rollout.Spec{}, &Error{Message: "the file is not text"}
	}
	var f file
	decoder := yaml.NewDecoder(bytes.NewReader(source), yaml.Strict())
	if err := decoder.Decode(&f); err != nil {
		return rollout.Spec{}, decodeError(err)
	}
	var more any
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return rollout.Spec{}, &Error{Message: "the file holds more than one document; use one file for each service"}
	}
	spec := f.spec().WithDefaults()
	if problem := f.validate(spec); problem != nil {
		return rollout.Spec{}, Annotate(problem, source)
	}
	return spec, nil
}

// Annotate points at the line of a problem's field in the source, if the field
// stands there.
func Annotate(problem *rollout.Problem, source []byte) *Error {
	e := &Error{Field: problem.Field, Message: problem.Message}
	path, lines, ok := locate(problem.Field, source)
	if !ok {
		return e
	}
	e.Source = strings.TrimRight(string(lines), "\n")
	if file, err := parser.ParseBytes(source, 0); err == nil {
		if node, err := path.FilterFile(file); err == nil {
			e.Line, e.Column = position(node.GetToken())
		}
	}
	return e
}

// Private

// validate checks what the spec can tell, and what only the file and its expressions can.
func (f file) validate(spec rollout.Spec) *rollout.Problem {
	if problem := spec.Validate(); problem != nil {
		return problem
	}
	if spec.Pace == rollout.AutoPace && len(f.Steps) > 0 {
		return &rollout.Problem{Field: "steps", Message: "stand beside `pace: auto`, which chooses them; leave out one of the two"}
	}
	_, problem := condition.Of(spec.Gates)
	return problem
}

// locate finds a field in the source. A gate of which there is one may stand there without a list.
func locate(field string, source []byte) (path *yaml.Path, lines []byte, ok bool) {
	for _, field := range []string{field, strings.Replace(field, "[0]", "", 1)} {
		path, err := yaml.PathString("$." + field)
		if err != nil {
			continue
		}
		if lines, err := path.AnnotateSource(source, false); err == nil {
			return path, lines, true
		}
	}
	return nil, nil, false
}

// decodeError splits the library's text: the first line is "[line:column]
// message", the rest is the source with a caret.
func decodeError(err error) *Error {
	if errors.Is(err, io.EOF) {
		return &Error{Message: "the file is empty"}
	}
	message, lines, _ := strings.Cut(yaml.FormatError(err, false, true), "\n")
	e := &Error{Message: message, Source: strings.TrimRight(lines, "\n")}
	if located, ok := errors.AsType[yaml.Error](err); ok {
		e.Line, e.Column = position(located.GetToken())
	}
	return e
}

func position(t *token.Token) (line, column int) {
	if t == nil || t.Position == nil {
		return 0, 0
	}
	return t.Position.Line, t.Position.Column
}
