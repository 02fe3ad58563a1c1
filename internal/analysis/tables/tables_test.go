package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// page is where the tables go.
const page = "../../../docs/statistics.md"

// TestQuick holds a few runs of every table against limits. With the race
// detector, which takes ten times as long, it makes fewer.
func TestQuick(t *testing.T) {
	scale := "1"
	if raced || testing.Short() {
		scale = "0.1"
	}
	if err := run([]string{"-quick", "-scale", scale}, io.Discard, io.Discard); err != nil {
		t.Error(err)
	}
}

// TestPage holds the page against the program: it has a place for every table,
// filled, and no other.
func TestPage(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	places := make(map[string]string)
	for _, part := range strings.Split(string(text), "<!-- table ")[1:] {
		name, rest, _ := strings.Cut(part, " -->")
		places[name], _, _ = strings.Cut(rest, "<!-- end -->")
	}
	for _, s := range sections() {
		if !strings.Contains(places[s.name], "|---|") {
			t.Errorf("the page has no table %s", s.name)
		}
		delete(places, s.name)
	}
	for name := range places {
		t.Errorf("the page has a place for %s, which is no table", name)
	}
}

// TestDetectionOfThePage: no regression takes more canary requests in the
// median, by the table itself, than its limit.
func TestDetectionOfThePage(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "<!-- table detection -->")
	table, _, _ = strings.Cut(table, "<!-- end -->")
	for _, r := range regressions() {
		_, row, found := strings.Cut(table, "| "+r.name()+" |")
		row, _, _ = strings.Cut(row, "\n")
		cells := strings.Split(row, "|")
		if !found || len(cells) < 2 {
			t.Errorf("the page does not tell of %s", r.name())
			continue
		}
		for which, cell := range map[string]string{"all": cells[0], "half": cells[1]} {
			var median, most int64
			if _, err := fmt.Sscanf(cell, "%d / %d", &median, &most); err != nil || median > r.limit {
				t.Errorf("%s, with %s of alpha: %s canary requests; the limit of the median is %d", r.name(), which, strings.TrimSpace(cell), r.limit)
			}
		}
	}
}

func TestWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	before := "# Page\n\n<!-- table published -->\nold\n<!-- end -->\n\nmore\n"
	if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"-write", file, "-only", "published"}, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(after)
	if !strings.HasPrefix(text, "# Page\n\n<!-- table published -->\n\n| quantity |") ||
		!strings.HasSuffix(text, "|\n\n<!-- end -->\n\nmore\n") || strings.Contains(text, "old") {
		t.Errorf("the page has become:\n%s", text)
	}
	if err := os.WriteFile(file, []byte("# Page\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"-write", file, "-only", "published"}, io.Discard, io.Discard); err == nil {
		t.Error("a table without a place was written")
	}
	if err := run([]string{"-only", "nothing"}, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("a table that there is not: %v", err)
	}
}

// TestSame makes runs twice, at once and one after the other.
func TestSame(t *testing.T) {
	table := func(cores string) string {
		var b strings.Builder
		if err := run([]string{"-only", "time", "-scale", ".02", "-cores", cores}, &b, io.Discard); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if one, two := table("1"), table("2"); one != two {
		t.Errorf("one at a time:\n%s\ntwo at once:\n%s", one, two)
	}
}

func TestQuantile(t *testing.T) {
	at := func(n int64) result { return result{requests: [asked]int64{n, n, n, n}} }
	some := []result{at(30), at(0), at(10), at(20)}
	for q, want := range map[float64]int64{0: 10, .25: 20, .5: 30, .75: never, .95: never} {
		if got := quantile(some, onePercent, q); got != want {
			t.Errorf("quantile %g is %d, want %d", q, got, want)
		}
	}
	if got := took(some, onePercent); got != "30 / never" {
		t.Errorf("took %q", got)
	}
	some[0].at[onePercent] = 90 * time.Second
	if got := since(some[:1], time.Minute, 5)[0].requests[onePercent]; got != 150 {
		t.Errorf("%d canary requests in half a minute", got)
	}
}

// TestPlanOfThePage: by the table itself, no plan is off by more than it may be, in any median.
func TestPlanOfThePage(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "<!-- table plan -->")
	table, _, _ = strings.Cut(table, "<!-- end -->")
	const firstRegression = 5 // of the cells; before it stands when a good version passes
	held := 0
	for row := range strings.Lines(table) {
		for k, cell := range strings.Split(row, "|") {
			var factor float64
			_, after, found := strings.Cut(strings.Trim(cell, "* "), " = ")
			if _, err := fmt.Sscan(after, &factor); !found || err != nil {
				continue
			}
			held++
			if k >= firstRegression && off(factor) {
				t.Errorf("%s", strings.TrimSpace(row))
			}
		}
	}
	if held < 40 {
		t.Errorf("the page holds %d plans against what was measured", held)
	}
}
