package specfile

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// mostMistakes is how many are told of one file.
const mostMistakes = 20

// Mistakes returns every mistake in a rollout file that can be told apart from
// what follows from another one, in the order of the file, and behind them what
// is missing in it; none if there are none. Of values that are judged together,
// such as those of all steps, it tells the first that is wrong.
func Mistakes(source []byte) []*Error {
	_, err := Parse(source)
	first, ok := errors.AsType[*Error](err)
	if !ok {
		return nil
	}
	tree, err := parser.ParseBytes(source, 0)
	if err != nil || len(tree.Docs) != 1 {
		return []*Error{first}
	}
	body, ok := tree.Docs[0].Body.(*ast.MappingNode)
	if !ok {
		return []*Error{first}
	}
	m := mending{source: source, body: body}
	for more := true; more && len(m.found) < mostMistakes; {
		more = m.next()
	}
	if len(m.found) == 0 {
		return []*Error{first}
	}
	slices.SortStableFunc(m.found, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.after(), b.after()), cmp.Compare(a.Column, b.Column))
	})
	return m.found
}

// Private

// after is the line, or what is behind all lines.
func (e *Error) after() int {
	if e.Line == 0 {
		return MaxSize
	}
	return e.Line
}

// mending finds one mistake after the other by taking out of the file what the
// last one was about.
type mending struct {
	source []byte
	body   *ast.MappingNode
	found  []*Error
	out    []string // what was taken out and cannot be judged any more
}

// next finds a mistake and takes it out; false: there is none, or it cannot be
// taken out.
func (m *mending) next() bool {
	var f file
	if err := yaml.NewDecoder(strings.NewReader(""), yaml.Strict()).DecodeFromNode(m.body, &f); err != nil {
		e := decodeError(err)
		m.found = append(m.found, e)
		if e.Line == 0 {
			return false
		}
		m.out = append(m.out, whole(FieldAt(m.source, e.Line, e.Column)))
		return prune(m.body, func(n ast.Node) bool {
			line, column := position(n.GetToken())
			return line == e.Line && column == e.Column
		})
	}
	for _, field := range m.out { // a list that lacks an item has other numbers
		cut(m.body, field)
	}
	if !m.decodes(&f) {
		return false
	}
	m.complete(&f)
	problem := f.validate(f.spec().WithDefaults())
	if problem == nil || m.known(problem.Field) {
		return false
	}
	m.found = append(m.found, Annotate(problem, m.source))
	m.out = append(m.out, whole(problem.Field))
	return true
}

// decodes reads what is left into f.
func (m *mending) decodes(f *file) bool {
	*f = file{}
	return yaml.NewDecoder(strings.NewReader(""), yaml.Strict()).DecodeFromNode(m.body, f) == nil
}

// complete fills in what a file cannot do without, once it has been told.
func (m *mending) complete(f *file) {
	if m.known("service") {
		f.Service = "service"
	}
	if m.known("image") {
		f.Image = "image"
	}
	if m.known("container.port") {
		f.Container.Port = 1
	}
}

// known reports whether a field, or what it is a part of, was told already.
func (m *mending) known(field string) bool {
	return slices.ContainsFunc(m.out, func(told string) bool {
		rest, inside := strings.CutPrefix(field, told)
		return inside && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// whole is the part of a file that a field is judged with: all steps, all gates of
// a kind, or the field alone.
func whole(field string) string {
	parts := strings.Split(field, ".")
	head, _, listed := strings.Cut(parts[0], "[")
	switch {
	case head == "gates" && len(parts) > 1:
		kind, _, _ := strings.Cut(parts[1], "[")
		return "gates." + kind
	case listed || head == "steps" || head == "pace":
		return head
	}
	return field
}

// cut takes a field out of a mapping, if it is there.
func cut(body *ast.MappingNode, field string) {
	head, rest, deeper := strings.Cut(field, ".")
	for k, v := range body.Values {
		if v.Key.GetToken().Value != head {
			continue
		}
		inner, mapping := v.Value.(*ast.MappingNode)
		if deeper && mapping {
			cut(inner, rest)
			return
		}
		body.Values = slices.Delete(body.Values, k, k+1)
		return
	}
}

// prune takes out the innermost entry that is hit, by its key or its value, and
// reports whether there is one.
func prune(n ast.Node, hit func(ast.Node) bool) bool {
	switch n := n.(type) {
	case *ast.MappingNode:
		inside := func(v *ast.MappingValueNode) bool { return prune(v.Value, hit) }
		here := func(v *ast.MappingValueNode) bool { return hit(v.Key) || hit(v.Value) }
		return slices.ContainsFunc(n.Values, inside) || drop(&n.Values, here)
	case *ast.SequenceNode:
		inside := func(v ast.Node) bool { return prune(v, hit) }
		return slices.ContainsFunc(n.Values, inside) || drop(&n.Values, hit)
	}
	return false
}

// drop deletes the first element that is hit, and reports whether there is one.
func drop[T any](from *[]T, hit func(T) bool) bool {
	k := slices.IndexFunc(*from, hit)
	if k < 0 {
		return false
	}
	*from = slices.Delete(*from, k, k+1)
	return true
}
