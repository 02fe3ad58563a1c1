package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/printer"
	"github.com/goccy/go-yaml/token"
)

// decode sets the fields that data names, and notes where each stood. It walks the syntax tree itself,
// since a decoder into a struct loses the line of a value whose type is not the decoder's own (a duration)
// and cannot say later where a value came from.
func (s Settings) decode(data []byte) error {
	file, err := parser.ParseBytes(data, 0)
	if syntax, ok := errors.AsType[yaml.Error](err); ok {
		return s.atToken(syntax.GetToken(), errors.New(syntax.GetMessage()))
	}
	if err != nil {
		return fmt.Errorf("read configuration: %s: %w", s.file, err)
	}
	var body ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case body != nil:
			return s.atToken(first(doc.Body), errors.New("want one YAML document, this is a second one"))
		default:
			body = doc.Body
		}
	}
	if body == nil {
		return nil // a file of comments
	}
	return s.section(body, "")
}

// section reads the keys under prefix ("" or "nats.").
func (s Settings) section(node ast.Node, prefix string) error {
	mapping, ok := node.(*ast.MappingNode)
	if !ok {
		return s.wrongNode(node, fmt.Errorf("want keys (%s)", strings.Join(s.keysUnder(prefix), ", ")))
	}
	for _, entry := range mapping.Values {
		name := entry.Key.GetToken()
		key := prefix + name.Value
		at := slices.IndexFunc(s.fields, func(f field) bool { return f.key == key })
		switch {
		case at < 0 && len(s.keysUnder(key+".")) == 0:
			return s.atToken(name, fmt.Errorf("unknown key %q, known here: %s", name.Value, strings.Join(s.keysUnder(prefix), ", ")))
		case entry.Value.Type() == ast.NullType:
			// "key:" with nothing behind it leaves the default.
		case at < 0:
			if err := s.section(entry.Value, key+"."); err != nil {
				return err
			}
		default:
			s.origins[key] = origin{token: first(entry.Value)}
			if err := s.value(s.fields[at], entry.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

// value sets one field.
func (s Settings) value(f field, node ast.Node) error {
	switch to := f.value.Addr().Interface().(type) {
	case *[]string:
		return s.list(f, node, to)
	case *map[string]string:
		return s.pairs(f, node, to)
	default:
		text, err := s.scalar(f, node)
		if err != nil {
			return err
		}
		if err := parse(f.value, text); err != nil {
			return s.At(f.key, err)
		}
		return nil
	}
}

func (s Settings) list(f field, node ast.Node, to *[]string) error {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		return s.wrongNode(node, fmt.Errorf("%s: want a list such as [a, b]", f.key))
	}
	*to = make([]string, len(sequence.Values))
	for i, item := range sequence.Values {
		var err error
		if (*to)[i], err = s.scalar(f, item); err != nil {
			return err
		}
	}
	return nil
}

func (s Settings) pairs(f field, node ast.Node, to *map[string]string) error {
	mapping, ok := node.(*ast.MappingNode)
	if !ok {
		return s.wrongNode(node, fmt.Errorf("%s: want keys and values such as {role: web}", f.key))
	}
	*to = make(map[string]string, len(mapping.Values))
	for _, entry := range mapping.Values {
		var err error
		if (*to)[entry.Key.GetToken().Value], err = s.scalar(f, entry.Value); err != nil {
			return err
		}
	}
	return nil
}

// scalar is the text of a node that is neither list nor keys.
func (s Settings) scalar(f field, node ast.Node) (string, error) {
	switch n := node.(type) {
	case *ast.LiteralNode: // | and >
		return n.Value.Value, nil
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return node.GetToken().Value, nil
	default:
		want := kindOf(f.value)
		if f.value.Kind() == reflect.Slice || f.value.Kind() == reflect.Map {
			want = "string"
		}
		if f.value.Kind() == reflect.Slice && node.Type() == ast.MappingType {
			want += "; quote one that contains a colon"
		}
		return "", s.wrongNode(node, fmt.Errorf("%s: want a %s", f.key, want))
	}
}

// keysUnder lists the names that may stand at prefix.
func (s Settings) keysUnder(prefix string) []string {
	var names []string
	for _, f := range s.fields {
		if rest, ok := strings.CutPrefix(f.key, prefix); ok {
			name, _, _ := strings.Cut(rest, ".")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// wrongNode says what was wanted where node stands.
func (s Settings) wrongNode(node ast.Node, want error) error {
	switch node.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		want = fmt.Errorf("%w; anchors, aliases and tags are not for this file", want)
	}
	return s.atToken(first(node), want)
}

// atToken is err with file, line and column before it, and the lines around with a caret behind it.
func (s Settings) atToken(at *token.Token, err error) error {
	var excerpt printer.Printer
	lines := strings.TrimRight(excerpt.PrintErrorToken(at, false), "\n ")
	return fmt.Errorf("%s:%d:%d: %w\n%s", s.file, at.Position.Line, at.Position.Column, err, lines)
}

// first is the token at which a node begins. Of a mapping in block style the tree names the first colon.
func first(node ast.Node) *token.Token {
	if m, ok := node.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return m.Values[0].Key.GetToken()
	}
	return node.GetToken()
}
