// Command tables makes the numbers of docs/statistics.md: it plays simulated
// fleets to the judge and to others, and writes what came out between the
// marks of that page.
//
//	go run ./internal/analysis/tables -write docs/statistics.md
//	go run ./internal/analysis/tables -write docs/statistics.md -only alarms,cost
//	go run ./internal/analysis/tables -quick
//
// Runs are numbered from 1, and the number is the seed, so every table but that
// of costs comes out the same on every machine.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
)

// section is one table of the page.
type section struct {
	name string
	// make computes the table.
	make func(s *studio) string
	// check makes it smaller, and tells what is not as it must be.
	check func(s *studio) error
}

func sections() []section {
	return []section{
		{"published", publishedTable, publishedCheck},
		{"alarms", alarmsTable, alarmsCheck},
		{"again", againTable, nil},
		{"looks", looksTable, looksCheck},
		{"windows", windowsTable, nil},
		{"detection", detectionTable, detectionCheck},
		{"time", timeTable, nil},
		{"late", lateTable, nil},
		{"small", smallTable, nil},
		{"safe", safeTable, safeCheck},
		{"slow-alarms", slowAlarmsTable, nil},
		{"slow", slowTable, slowCheck},
		{"slow-time", slowTimeTable, nil},
		{"slow-safe", slowSafeTable, nil},
		{"pace", paceTable, paceCheck},
		{"plan", planTable, planCheck},
		{"plan-latency", slowPlanTable, slowPlanCheck},
		{"rollouts", rolloutsTable, rolloutsCheck},
		{"allowances", allowancesTable, nil},
		{"groups", groupsTable, groupsCheck},
		{"feedback", feedbackTable, feedbackCheck},
		{"cost", costTable, costCheck},
	}
}

func main() {
	err := run(os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return // it was asked for, and has been written
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tables:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("tables", flag.ContinueOnError)
	flags.SetOutput(stderr)
	quick := flags.Bool("quick", false, "few runs, held against limits; writes nothing")
	write := flags.String("write", "", "the page to write the tables into; they are printed if there is none")
	only := flags.String("only", "", "names of tables, with commas, of "+strings.Join(tableNames(), ", ")+"; all if empty")
	cores := flags.Int("cores", 1, "how many runs to make at once")
	scale := flags.Float64("scale", 1, "multiplies the numbers of runs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	debug.SetGCPercent(2000) // the runs leave much garbage, and little that lives
	s := newStudio(*cores, *scale, stderr)
	if *quick {
		return check(s, chosen, stdout)
	}
	for _, c := range chosen {
		table := c.make(s)
		if *write == "" {
			if _, err := fmt.Fprintf(stdout, "%s\n%s\n", c.name, table); err != nil {
				return err
			}
		} else if err := replace(*write, c.name, table); err != nil {
			return err
		}
	}
	return nil
}

func tableNames() []string {
	var names []string
	for _, c := range sections() {
		names = append(names, c.name)
	}
	return names
}

// choose returns the named sections.
func choose(names string) ([]section, error) {
	all := sections()
	if names == "" {
		return all, nil
	}
	var chosen []section
	for name := range strings.SplitSeq(names, ",") {
		found := false
		for _, c := range all {
			if c.name == name {
				chosen, found = append(chosen, c), true
			}
		}
		if !found {
			return nil, fmt.Errorf("-only %s: there is no table of that name; there are %s", name, strings.Join(tableNames(), ", "))
		}
	}
	return chosen, nil
}

func check(s *studio, chosen []section, stdout io.Writer) error {
	var wrong []error
	for _, c := range chosen {
		if c.check == nil {
			continue
		}
		if err := c.check(s); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", c.name, err))
			continue
		}
		if _, err := fmt.Fprintln(stdout, c.name, "is as it must be"); err != nil {
			return err
		}
	}
	return errors.Join(wrong...)
}

// replace writes a table between the marks of its name.
func replace(file, name, table string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	begin, end := "<!-- table "+name+" -->\n", "<!-- end -->\n"
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return fmt.Errorf("%s: there is no %q with %q after it", file, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return os.WriteFile(file, []byte(before+begin+"\n"+table+"\n"+end+after), 0o644)
}
