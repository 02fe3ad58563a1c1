package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis/traffic"
)

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
	if err := run([]string{"-only", "nothing"}, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "nothing: there is no table of that name; there are published, alarms, ") {
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

// TestLooks: whoever looks after each report never sees less evidence than after the round, and
// sometimes more.
func TestLooks(t *testing.T) {
	scene := nearAlpha()[0].Scene
	more := 0
	for seed := range uint64(5) {
		fleet := traffic.NewFleet(scene, seed+1)
		round, report := newErrorsJudge(0), newErrorsJudge(0)
		report.each = true
		for fleet.Now() < span {
			fleet.Advance()
			reports := told(fleet)
			round.look(fleet, reports)
			report.look(fleet, reports)
			if report.worse < round.worse || report.both < round.both {
				t.Fatalf("seed %d after %s: %d and %d after each report, %d and %d after the round",
					seed+1, fleet.Now(), report.worse, report.both, round.worse, round.both)
			}
			if report.worse > round.worse {
				more++
			}
		}
	}
	if more == 0 {
		t.Error("looking after each report never showed more than looking after each round")
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
