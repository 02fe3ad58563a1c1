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
)

// TestLinks: what the pages of this repository point to in it is there, and so
// are the headings that they name.
func TestLinks(t *testing.T) {
	found := 0
	for _, page := range pages(t) {
		text, _ := prose(read(t, page))
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			found++
			if err := there(t, page, m[1]); err != nil {
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
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && strings.HasPrefix(name, "."):
			return filepath.SkipDir
		case filepath.Ext(name) == ".md":
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

// there returns nil if the target of a link of a page exists.
func there(t *testing.T, page, target string) error {
	t.Helper()
	file, anchor, _ := strings.Cut(target, "#")
	if file != "" {
		page = filepath.Join(filepath.Dir(page), file)
	}
	if _, err := os.Stat(filepath.Join(root, page)); err != nil || anchor == "" {
		return err
	}
	if _, anchors := prose(read(t, page)); !slices.Contains(anchors, anchor) {
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
