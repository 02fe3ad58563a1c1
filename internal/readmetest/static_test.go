package readmetest

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/internal/analysis"
)

var (
	inline   = regexp.MustCompile("`([^`\n]+)`")
	target   = regexp.MustCompile(`\bmake ([a-z][a-z-]*)`)
	exitRow  = regexp.MustCompile(`(?m)^\| ([0-9]+) \| (.+) \|$`)
	flagWord = regexp.MustCompile(`^(--[a-z][a-z-]*|-[a-z])(=.*)?$`)
)

// TestMakeTargets: every target that a page names is one.
func TestMakeTargets(t *testing.T) {
	makefile := read(t, "Makefile")
	found := 0
	for _, page := range pages(t) {
		for _, m := range target.FindAllStringSubmatch(code(t, page), -1) {
			found++
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s names `make %s`, which the Makefile does not have", page, m[1])
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d targets were found", found)
	}
}

// TestRequestsTable: the numbers of the table are what the planner forecasts.
func TestRequestsTable(t *testing.T) {
	text, _ := readme(t)
	for label, errorsOfStable := range map[string]int64{"none": 0, "0.1%": 100, "1%": 1_000} {
		var row strings.Builder
		row.WriteString("| " + label + " |")
		for _, maxIncrease := range []int{100, 50, 25} {
			// A canary that gets 4 requests a second: 20 in a window.
			needed := analysis.Plan(analysis.Config{MaxIncrease: maxIncrease, MinRequests: 100}, analysis.Counts{Requests: 100_000, Errors: errorsOfStable}, 20)
			fmt.Fprintf(&row, " %.0f |", twoDigits(float64(needed)))
		}
		if !strings.Contains(text, "\n"+row.String()+"\n") {
			t.Errorf("README.md has not the row\n%s", row.String())
		}
	}
	for perWindow, words := range map[int64]string{100: "is %.0f instead of 520", 500: "with 100 it is %.0f"} {
		needed := analysis.Plan(analysis.Config{MaxIncrease: 100, MinRequests: 100}, analysis.Counts{Requests: 100_000}, perWindow)
		if want := fmt.Sprintf(words, twoDigits(float64(needed))); !strings.Contains(text, want) {
			t.Errorf("README.md does not say %q", want)
		}
	}
}

func twoDigits(v float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(v))-1)
	return math.Round(v/unit) * unit
}

// TestPrograms: what the README says of the programs is so.
func TestPrograms(t *testing.T) {
	bin := build(t)
	t.Run("exit codes", func(t *testing.T) { checkExitCodes(t, bin) })
	t.Run("flags", func(t *testing.T) { checkFlags(t, bin) })
	t.Run("units", func(t *testing.T) { checkUnits(t, bin) })
	t.Run("unit of notify", func(t *testing.T) { checkNotifyUnit(t, bin) })
	t.Run("commands", func(t *testing.T) { runCommands(t, bin) })
	t.Run("roles", func(t *testing.T) { runRoles(t, bin) })
}

// checkExitCodes: the table says what `serin --help` says.
func checkExitCodes(t *testing.T, bin string) {
	t.Helper()
	text, _ := readme(t)
	help := helpOf(t, bin, "serin", nil)
	rows := exitRow.FindAllStringSubmatch(text, -1)
	if len(rows) < 9 {
		t.Errorf("README.md has %d rows of exit codes", len(rows))
	}
	for _, m := range rows {
		if want := "\n  " + m[1] + "  " + m[2] + "\n"; !strings.Contains(help, want) {
			t.Errorf("README.md says that exit code %s is %q; `serin --help` does not", m[1], m[2])
		}
	}
}

// checkFlags: every flag that a page gives to one of the programs is in its help.
func checkFlags(t *testing.T, bin string) {
	t.Helper()
	tried := 0
	for _, page := range pages(t) {
		for line := range strings.Lines(code(t, page)) {
			for part := range strings.SplitSeq(line, "|") {
				program, verbs, flags := parse(part)
				if program == "" || len(flags) == 0 {
					continue
				}
				help := helpOf(t, bin, program, verbs)
				for _, flag := range flags {
					tried++
					if !regexp.MustCompile(`(^|[\s,])` + regexp.QuoteMeta(flag) + `\b`).MatchString(help) {
						t.Errorf("%s: %s\nhas the flag %s, which its help does not", page, strings.TrimSpace(part), flag)
					}
				}
			}
		}
	}
	if tried < 30 {
		t.Errorf("the pages have only %d flags", tried)
	}
}

// parse takes a command line of one of our programs apart.
func parse(line string) (program string, verbs, flags []string) {
	words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "$ "))
	if len(words) == 0 {
		return "", nil, nil
	}
	program = filepath.Base(words[0])
	if !slices.Contains([]string{"serin", "serin-agent", "serin-coordinator"}, program) {
		return "", nil, nil
	}
	for _, word := range words[1:] {
		if m := flagWord.FindStringSubmatch(word); m != nil {
			flags = append(flags, m[1])
		} else if len(flags) == 0 && len(verbs) < 2 {
			verbs = append(verbs, word)
		}
	}
	return program, verbs, flags
}

// helpOf runs a program's help.
func helpOf(t *testing.T, bin, program string, verbs []string) string {
	t.Helper()
	args := []string{"--help"}
	if program == "serin" && len(verbs) > 0 {
		args = append([]string{"help"}, verbs[:1]...)
		if verbs[0] == "cluster" {
			args = append(args, verbs[1:]...)
		}
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(bin, program), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// code returns all that stands in blocks and in backquotes of a page, one a line.
func code(t *testing.T, page string) string {
	t.Helper()
	text, blocks := blocksOf(t, page)
	var b strings.Builder
	for _, block := range blocks {
		b.WriteString(block.text())
	}
	for _, m := range inline.FindAllStringSubmatch(text, -1) {
		b.WriteString(m[1] + "\n")
	}
	return b.String()
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
