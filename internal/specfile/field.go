package specfile

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// FieldAt returns the path of the field whose key or value begins at that line
// and column of the source, for example steps[1].weight; empty if none does. A
// mistake that Parse finds while it decodes has a place, but no Field.
func FieldAt(source []byte, line, column int) string {
	file, err := parser.ParseBytes(source, 0)
	if err != nil {
		return ""
	}
	s := seeker{line: line, column: column}
	for _, doc := range file.Docs {
		if doc.Body != nil {
			ast.Walk(&s, doc.Body)
		}
	}
	return strings.TrimPrefix(strings.TrimPrefix(s.path, "$"), ".")
}

// Private

// seeker keeps the path of the last, and so innermost, node at its place.
type seeker struct {
	line, column int
	path         string
}

// Visit implements ast.Visitor.
func (s *seeker) Visit(n ast.Node) ast.Visitor {
	if line, column := position(n.GetToken()); line == s.line && column == s.column {
		s.path = n.GetPath()
	}
	return s
}
