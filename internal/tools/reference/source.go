package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// source is the Go code of one package, as far as references are made of it.
type source struct {
	structs   map[string]*ast.StructType
	functions []string   // exported, without receiver
	constants []constant // exported strings, in order
}

// constant is an exported constant that is a string.
type constant struct {
	name, kind string // kind is its type; empty if it is not named
	value      string // empty where it is not a plain string
	doc        string
}

// field is one key of a JSON object.
type field struct{ key, kind, doc string }

// parseSource reads a package by its path below the repository's root.
func parseSource(dir string) (*source, error) {
	top, err := repository()
	if err != nil {
		return nil, err
	}
	names, err := filepath.Glob(filepath.Join(top, dir, "*.go"))
	if err != nil {
		return nil, err
	}
	s := &source{structs: map[string]*ast.StructType{}}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			s.add(d)
		}
	}
	return s, nil
}

// fields lists the keys of a struct's JSON; an embedded struct is a field without
// a key.
func (s *source) fields(name string) ([]field, error) {
	t := s.structs[name]
	if t == nil {
		return nil, fmt.Errorf("no struct %s", name)
	}
	keys := s.keys(t)
	var all []field
	for _, f := range t.Fields.List {
		if len(f.Names) == 0 {
			all = append(all, field{kind: typeOf(f.Type)})
		}
		for i, n := range f.Names {
			line := textOf(f.Doc) + " " + textOf(f.Comment)
			if i > 0 {
				line = "" // it stands with the first of them
			}
			all = append(all, field{key: keys[n.Name], kind: typeOf(f.Type), doc: s.named(strings.TrimSpace(line), keys)})
		}
	}
	return all, nil
}

// Private

// repository is the directory with go.mod, here or further up.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		switch up := filepath.Dir(dir); {
		case err == nil:
			return dir, nil
		case !errors.Is(err, fs.ErrNotExist) || up == dir:
			return "", fmt.Errorf("the repository's root: %w", err)
		default:
			dir = up
		}
	}
}

func (s *source) add(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil && d.Name.IsExported() {
			s.functions = append(s.functions, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			s.addSpec(d.Tok, spec)
		}
	}
}

func (s *source) addSpec(keyword token.Token, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if t, ok := spec.Type.(*ast.StructType); ok {
			s.structs[spec.Name.Name] = t
		}
	case *ast.ValueSpec:
		if keyword == token.CONST {
			s.constants = append(s.constants, constantsOf(spec)...)
		}
	}
}

func constantsOf(spec *ast.ValueSpec) []constant {
	var all []constant
	for i, n := range spec.Names {
		c := constant{name: n.Name, doc: strings.TrimSpace(textOf(spec.Doc) + " " + textOf(spec.Comment))}
		if kind, ok := spec.Type.(*ast.Ident); ok {
			c.kind = kind.Name
		}
		if i < len(spec.Values) {
			if literal, ok := spec.Values[i].(*ast.BasicLit); ok && literal.Kind == token.STRING {
				c.value, _ = strconv.Unquote(literal.Value) // the parser took it
			}
		}
		if n.IsExported() {
			all = append(all, c)
		}
	}
	return all
}

// keys maps the names of a struct's fields to those in JSON.
func (s *source) keys(t *ast.StructType) map[string]string {
	all := map[string]string{}
	for _, f := range t.Fields.List {
		for _, n := range f.Names {
			key, _, _ := strings.Cut(tagOf(f), ",")
			all[n.Name] = key
		}
	}
	return all
}

func tagOf(f *ast.Field) string {
	return reflect.StructTag(unquoted(f.Tag)).Get("json")
}

// unquoted is the text of a literal that the parser took; of none it is empty.
func unquoted(literal *ast.BasicLit) string {
	if literal == nil {
		return ""
	}
	text, _ := strconv.Unquote(literal.Value)
	return text
}

func textOf(group *ast.CommentGroup) string {
	var p comment.Parser
	words := strings.Fields(string(new(comment.Printer).Text(p.Parse(group.Text()))))
	return strings.Join(words, " ")
}

var word = regexp.MustCompile(`\b(?:[A-Z][A-Za-z0-9]*\.)?[A-Z][A-Za-z0-9]*\b`)

// named puts the keys of JSON for names of fields in a comment, for Plan.Stable
// too.
func (s *source) named(text string, keys map[string]string) string {
	text = word.ReplaceAllStringFunc(text, func(name string) string {
		if other, key, dotted := strings.Cut(name, "."); dotted && s.structs[other] != nil {
			return other + "'s `" + s.keys(s.structs[other])[key] + "`"
		}
		if key := keys[name]; key != "" {
			return "`" + key + "`"
		}
		return name
	})
	text = regexp.MustCompile(`\bnil\b`).ReplaceAllString(text, "missing")
	return strings.ReplaceAll(text, "<", "&lt;")
}

// typeOf names a type as people know it from JSON.
func typeOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeOf(e.X)
	case *ast.ArrayType:
		if element, ok := e.Elt.(*ast.Ident); ok && element.Name == "byte" {
			return "base64"
		}
		return "list of " + typeOf(e.Elt)
	case *ast.MapType:
		return "object of " + typeOf(e.Value)
	case *ast.SelectorExpr:
		return typeOf(e.Sel)
	case *ast.Ident:
		return identType(e.Name)
	}
	return "object"
}

func identType(name string) string {
	switch name {
	case "string", "Code", "Phase", "Cause", "Kind", "OneHost", "Outcome":
		return "text"
	case "bool":
		return "true or false"
	case "int", "int64", "uint64", "float64", "Micros", "Duration":
		return "number"
	case "RawMessage":
		return "object or text"
	}
	return name
}
