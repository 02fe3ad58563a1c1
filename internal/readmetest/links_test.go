package readmetest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading = regexp.MustCompile(`^#{1,6} +(.+)$`)
	span    = regexp.MustCompile("`[^`\n]*`")

	namedTest = regexp.MustCompile("`(Test[A-Za-z0-9]+)`")
	namedPath = regexp.MustCompile("`((?:agent|chaos|cmd|coordinator|deploy|docs|internal|proto)/[A-Za-z0-9_./-]+)`")
	testFunc  = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(`)
)

// TestLinks: what the pages of this repository point to in it is there, and so
// are the headings that they name.
func TestLinks(t *testing.T) {
	found := 0
	texts, anchors := map[string]string{}, map[string][]string{}
	for _, page := range pages(t) {
		texts[page], anchors[page] = prose(read(t, page))
	}
	for page, text := range texts {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			found++
			if err := there(anchors, page, m[1]); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d links were found", found)
	}
}

// TestEveryPageIsNamed: who reads README.md finds every page of docs/.
func TestEveryPageIsNamed(t *testing.T) {
	text, _ := readme(t)
	for _, page := range pages(t) {
		if strings.HasPrefix(page, "docs/") && !strings.Contains(text, "]("+page+")") {
			t.Errorf("README.md does not link to %s", page)
		}
	}
}

// TestNamesAreThere: the tests, files and directories that the pages name are there.
func TestNamesAreThere(t *testing.T) {
	tests := map[string]bool{}
	for _, file := range files(t, "_test.go") {
		for _, m := range testFunc.FindAllStringSubmatch(read(t, file), -1) {
			tests[m[1]] = true
		}
	}
	named := 0
	for _, page := range pages(t) {
		text := read(t, page)
		for _, m := range namedTest.FindAllStringSubmatch(text, -1) {
			named++
			if !tests[m[1]] {
				t.Errorf("%s names %s, which no test is called", page, m[1])
			}
		}
		for _, m := range namedPath.FindAllStringSubmatch(text, -1) {
			named++
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s names %s: %v", page, m[1], err)
			}
		}
	}
	if named < 50 {
		t.Errorf("the pages name only %d tests and paths", named)
	}
}

// TestAnchors holds anchors against those that are known of such headings.
func TestAnchors(t *testing.T) {
	_, anchors := prose("# A\n## `serin analyze`: *why*, and [how](x.md)?\n```\n# no heading\n```\n## With_under & 4a. x\n## A\n")
	want := []string{"a", "serin-analyze-why-and-how", "with_under--4a-x", "a-1"}
	if !slices.Equal(anchors, want) {
		t.Errorf("%q, want %q", anchors, want)
	}
}

// pages are the Markdown files of this repository.
func pages(t *testing.T) []string {
	t.Helper()
	return files(t, ".md")
}

// files are those of this repository whose names end so, as they are called from
// its root.
func files(t *testing.T, suffix string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && strings.HasPrefix(name, "."):
			return filepath.SkipDir
		case strings.HasSuffix(name, suffix):
			relative, err := filepath.Rel(root, path)
			found = append(found, relative)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// there returns nil if the target of a link of a page exists; anchors are those of
// all pages.
func there(anchors map[string][]string, page, target string) error {
	file, anchor, _ := strings.Cut(target, "#")
	if file != "" {
		page = filepath.Join(filepath.Dir(page), file)
	}
	if _, err := os.Stat(filepath.Join(root, page)); err != nil || anchor == "" {
		return err
	}
	if !slices.Contains(anchors[page], anchor) {
		return fmt.Errorf("%s has no heading #%s", page, anchor)
	}
	return nil
}

// prose returns a page without what is code, and the anchors of its headings as
// GitHub makes them.
func prose(page string) (text string, anchors []string) {
	var b strings.Builder
	fenced := false
	seen := map[string]int{}
	for line := range strings.Lines(page) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		if fenced {
			continue
		}
		b.WriteString(span.ReplaceAllString(line, ""))
		m := heading.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		slug := anchorOf(m[1])
		seen[slug]++
		if n := seen[slug]; n > 1 {
			slug = fmt.Sprintf("%s-%d", slug, n-1)
		}
		anchors = append(anchors, slug)
	}
	return b.String(), anchors
}

// anchorOf keeps letters, digits, hyphens and underscores of what a heading shows.
func anchorOf(title string) string {
	title = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(title, "$1")
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, title)
}
