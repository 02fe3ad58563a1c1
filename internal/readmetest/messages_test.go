package readmetest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	troublePage = "docs/troubleshooting.md"

	// leastPart is what a part of a message has to have to tell anything.
	leastPart = 4
)

// quoted is the message in the first cell of a row.
var quoted = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")

// TestMessages: every message that the page on troubles quotes is one of the
// programs'. Where it says "..." the programs put something in.
func TestMessages(t *testing.T) {
	texts := literals(t)
	messages := quoted.FindAllStringSubmatch(read(t, troublePage), -1)
	if len(messages) < 80 {
		t.Errorf("%s quotes %d messages", troublePage, len(messages))
	}
	seen := map[string]bool{}
	for _, m := range messages {
		if seen[m[1]] {
			t.Errorf("%s quotes %q twice", troublePage, m[1])
		}
		seen[m[1]] = true
		checked := 0
		for part := range strings.SplitSeq(m[1], "...") {
			part = strings.TrimSpace(strings.ReplaceAll(part, "'", "`"))
			if len(strings.TrimLeft(part, ":;, ")) < leastPart {
				continue
			}
			checked++
			if !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(strings.ReplaceAll(text, "'", "`"), part) }) {
				t.Errorf("%s quotes %q; no program says %q", troublePage, m[1], part)
			}
		}
		if checked == 0 {
			t.Errorf("%s quotes %q, which is too short to look for", troublePage, m[1])
		}
	}
}

// literals are the strings in the code of the programs.
func literals(t *testing.T) []string {
	t.Helper()
	var texts []string
	for _, dir := range []string{"agent", "cmd", "coordinator", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				text, ok := joined(n)
				if ok {
					texts = append(texts, text)
				}
				return !ok
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return texts
}

// joined is the text of a literal, or of several that are added up.
func joined(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.BasicLit:
		if n.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(n.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		left, ok := joined(n.X)
		right, also := joined(n.Y)
		return left + right, ok && also
	}
	return "", false
}
