package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// page is where the tables go.
const page = "../../../docs/statistics.md"

func readPage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// place is where a table of the page is: the part under the same heading, and the table's lines.
func place(text, name string) (part string, lines []string) {
	before, rest, found := strings.Cut(text, "<!-- table "+name+" -->")
	table, after, closed := strings.Cut(rest, "<!-- end -->")
	if !found || !closed {
		return "", nil
	}
	heading := strings.LastIndex(before, "\n### ")
	after, _, _ = strings.Cut(after, "\n### ")
	return before[max(0, heading):] + rest[:len(table)] + after, tableLines(table)
}

func tableLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "|") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func cells(line string) []string {
	all := strings.Split(strings.Trim(line, "|"), "|")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return all
}

// row returns the cells of the table's row of that name, without it; none if there is none.
func row(lines []string, name string) []string {
	for _, line := range lines {
		if all := cells(line); all[0] == name {
			return all[1:]
		}
	}
	return nil
}

// TestPageIsOfTheProgram: the page has the tables that the program makes without further arguments
// and no other, with these columns and rows, and tells how many runs they are of.
func TestPageIsOfTheProgram(t *testing.T) {
	// How many cells of a row say what it is of; one if not told.
	labels := map[string]int{"time": 2, "small": 2, "safe": 3, "slow-alarms": 2, "slow-time": 2, "plan": 3, "plan-latency": 2, "rollouts": 3, "allowances": 2, "groups": 2, "cost": 2}
	text := readPage(t)
	for _, c := range sections() {
		s := newStudio(1, 1, io.Discard)
		s.blank = true
		want, n := tableLines(c.make(s)), max(1, labels[c.name])
		part, got := place(text, c.name)
		if len(got) != len(want) {
			t.Errorf("%s has %d lines on the page, %d by the program", c.name, len(got), len(want))
			continue
		}
		for i := range want {
			says, is := cells(got[i]), cells(want[i])
			if len(says) != len(is) || !slices.Equal(says[:n], is[:n]) || strings.HasPrefix(want[min(i+1, len(want)-1)], "|---") && got[i] != want[i] {
				t.Errorf("%s: on the page stands\n%s\nwhere the program writes\n%s", c.name, got[i], want[i])
			}
		}
		if !strings.Contains(part, "-only "+c.name+"`") {
			t.Errorf("%s: the page does not tell how to make it", c.name)
		}
		for n := range s.made {
			if !regexp.MustCompile(`(^|[^0-9,])`+grouped(n)+`( runs| \|)`).MatchString(part) && n > 1 {
				t.Errorf("%s: the page does not say that it is of %s runs", c.name, grouped(n))
			}
		}
	}
	if places := strings.Count(text, "<!-- table "); places != len(sections()) {
		t.Errorf("the page has %d places for %d tables", places, len(sections()))
	}
	if strings.Contains(text, "-scale") {
		t.Error("a table of the page is of other numbers of runs than the program makes by itself")
	}
}

// grouped writes 10000 as 10,000.
func grouped(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}

// hold holds a cell with a median and a 95th percentile against limits.
func hold(t *testing.T, what, cell string, median, late int64) {
	t.Helper()
	both := strings.Split(cell, " / ")
	for i, limit := range []int64{median, late} {
		if len(both) != 2 {
			t.Errorf("%s: %q is no median and percentile", what, cell)
			return
		}
		n, err := strconv.ParseInt(both[i], 10, 64)
		if both[i] == "never" {
			n, err = never, nil
		}
		if err != nil || n > limit {
			t.Errorf("%s: %s canary requests; the limits are %s / %s", what, cell, requests(median), requests(late))
		}
	}
}

// TestDetectionOfThePage: no regression takes more canary requests, by the table itself, than its
// limits, but for two percentiles that the page explains.
func TestDetectionOfThePage(t *testing.T) {
	const all, half = 0, 1 // of alpha: the first two columns
	// Where canary has half of the traffic, each of five hosts sees few requests of stable's in a
	// window of five seconds.
	later := map[string][2]int64{
		"0 % → 100 %, share 50 %": {all: 60, half: 60},   // a third window
		"0.1 % → 5 %, share 50 %": {all: 540, half: 564}, // the limit within the error of 500 runs
	}
	_, table := place(readPage(t), "detection")
	for _, r := range regressions() {
		found := row(table, r.name())
		if len(found) < 2 {
			t.Errorf("the page does not tell of %s", r.name())
			continue
		}
		for column, of := range []string{all: "all", half: "half"} {
			late := r.late
			if known, ok := later[r.name()]; ok {
				late = known[column]
			}
			hold(t, r.name()+", with "+of+" of alpha", found[column], r.limit, late)
		}
	}
}

// TestDetectionWithAllOfAlpha: against what the test of errors alone took when it was first described,
// with all of alpha and without evidence that begins anew, the first column takes 1.2 times as many
// requests at most, but for what the page names.
func TestDetectionWithAllOfAlpha(t *testing.T) {
	first := map[string][2]int64{ // median and 95th percentile
		"0.1 % → 5 %, share 1 %": {135, 240}, "0.1 % → 5 %, share 5 %": {130, 240}, "0.1 % → 5 %, share 50 %": {200, 390},
		"0.1 % → 1 %, share 1 %": {780, 1635}, "0.1 % → 1 %, share 5 %": {785, 1680}, "0.1 % → 1 %, share 50 %": {1400, 3190},
		"1 % → 2 %, share 1 %": {1940, 4185}, "1 % → 2 %, share 5 %": {2040, 4345}, "1 % → 2 %, share 50 %": {4350, 9185},
		"0 % → 100 %, share 1 %": {40, 40}, "0 % → 100 %, share 5 %": {40, 40}, "0 % → 100 %, share 50 %": {40, 40},
	}
	named := map[string][2]int64{
		"0.1 % → 5 %, share 50 %": {245, 479},
		"0 % → 100 %, share 1 %":  {48, 53}, "0 % → 100 %, share 5 %": {48, 54}, "0 % → 100 %, share 50 %": {48, 60},
	}
	part, table := place(readPage(t), "detection")
	for _, words := range []string{"takes 245 / 479 against 200 / 390", "is 53, 54 and 60 against 40"} {
		if !strings.Contains(part, words) {
			t.Errorf("the page does not say: %s", words)
		}
	}
	for _, r := range regressions() {
		found, was := row(table, r.name()), first[r.name()]
		if len(found) == 0 || was[0] == 0 {
			t.Errorf("nothing is known of %s", r.name())
			continue
		}
		limit, known := named[r.name()]
		if !known {
			limit = [2]int64{fifthMore(was[0]), fifthMore(was[1])}
		}
		hold(t, r.name(), found[0], limit[0], limit[1])
	}
}

// TestSlowOfThePage: no slower canary takes more requests, by the table itself, than 1.2 times what
// it took when the method was first described, but for percentiles that the page explains.
func TestSlowOfThePage(t *testing.T) {
	const none, tenth = 0, 1
	later := map[string][2]int64{"p50 +50 %, share 5 %": {125, 200}} // it is counted in steps of 25
	_, table := place(readPage(t), "slow")
	for _, c := range slowed() {
		found := row(table, c.name)
		if len(found) < 2 {
			t.Errorf("the page does not tell of %s", c.name)
			continue
		}
		for column, s := range []speed{none: c.none, tenth: c.tenth} {
			late := fifthMore(s.late)
			if known := later[c.name][column]; known > 0 {
				late = known
			}
			hold(t, c.name+", "+[]string{"nothing", "10 %"}[column]+" allowed", found[column], fifthMore(s.median), late)
		}
	}
}

// fifthMore is 1.2 times as much.
func fifthMore(n int64) int64 {
	if n == never {
		return never
	}
	return n * 6 / 5
}

// TestAlarmsOfThePage: in no row of the tables of false alarms is serin over alpha by three standard
// errors.
func TestAlarmsOfThePage(t *testing.T) {
	text := readPage(t)
	for name, table := range map[string]struct{ first, columns int }{"alarms": {1, 2}, "again": {1, 2}, "looks": {1, 4}, "slow-alarms": {2, 4}} {
		_, lines := place(text, name)
		if len(lines) < 3 {
			t.Fatalf("the page has no table %s", name)
		}
		for _, line := range lines[2:] {
			all := cells(line)
			runs := map[string]int{"alarms": alarmRuns, "again": againRuns, "looks": lookRuns}[name]
			if table.first == 2 {
				runs, _ = strconv.Atoi(all[1])
			}
			for _, cell := range all[table.first : table.first+table.columns] {
				holdAlarms(t, all[0], cell, max(1, runs))
			}
		}
	}
}

// holdAlarms holds a cell with shares at 1 % and at 5 % against these levels.
func holdAlarms(t *testing.T, what, cell string, runs int) {
	t.Helper()
	for i, part := range strings.Split(cell, " / ") {
		alpha := levels()[[]int{onePercent, fivePercent}[i]]
		share, err := strconv.ParseFloat(part, 64)
		if limit := 100 * float64(most(runs, alpha)) / float64(runs); err != nil || share > limit {
			t.Errorf("%s: %s of good versions; the limit is %.2f %%", what, part, limit)
		}
	}
}

// TestPlanOfThePage: by the tables themselves, no plan is off by more than it may be, in any median, but
// for one that the page explains.
func TestPlanOfThePage(t *testing.T) {
	for name, table := range map[string]struct {
		firstRegression int // of the cells; before it stands when a good version passes
		least           int // of the plans that are held against something
	}{"plan": {4, 40}, "plan-latency": {3, 20}} {
		_, lines := place(readPage(t), name)
		held := 0
		for _, line := range lines {
			for k, cell := range cells(line) {
				var factor float64
				_, after, found := strings.Cut(strings.Trim(cell, "* "), " = ")
				if _, err := fmt.Sscan(after, &factor); !found || err != nil {
					continue
				}
				held++
				explained := cell == "**5s, 500 / 15s, 1466 = 0.33**"
				if k >= table.firstRegression && off(factor) && !explained {
					t.Errorf("%s", line)
				}
			}
		}
		if held < table.least {
			t.Errorf("the page holds %d plans of table %s against what was measured", held, name)
		}
	}
}
