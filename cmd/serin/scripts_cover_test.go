package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/spf13/cobra"
)

// scripted is one run of serin in a script.
type scripted struct {
	args []string
	code string // that it must exit with; empty if the script says otherwise
}

// ownTests are the commands that no script runs, or not in both forms.
func ownTests() map[string]string {
	return map[string]string{
		"serin":         "prints its help",
		"serin cluster": "prints its help",
		"serin context": "prints its help",
		"serin demo":    "is a fleet on this machine, in both forms in internal/demo and on README.md; scripts have its refusals",
	}
}

// TestScriptsCoverCommands: every command is run by a script for people and for
// programs, with -o json, and does there what it is for.
func TestScriptsCoverCommands(t *testing.T) {
	text, machine := map[string]bool{}, map[string]bool{}
	root := newRoot(&app{env: os.Getenv})
	for _, run := range scripts(t) {
		if slices.Contains([]string{"1", "2", "8"}, run.code) { // a refusal of the words, or nobody there
			continue
		}
		command, rest, err := root.Find(run.args)
		if err != nil {
			continue // help, completion
		}
		switch at := slices.IndexFunc(rest, func(a string) bool { return a == "-o" || a == "--output" }); {
		case at < 0:
			text[command.CommandPath()] = true
		case rest[at+1] == "json":
			machine[command.CommandPath()] = true
		}
	}
	excused := ownTests()
	walk(root, func(c *cobra.Command) {
		name := c.CommandPath()
		if !c.Runnable() || c.Hidden {
			return
		}
		covered := text[name] && machine[name]
		if _, ok := excused[name]; ok == covered {
			t.Errorf("%s: text %v, json %v, excused %v: let a script in testdata/script run it", name, text[name], machine[name], ok)
		}
		delete(excused, name)
	})
	for name := range excused {
		t.Errorf("%s is no command", name)
	}
}

// TestScriptsCoverExitCodes: a script wants every exit code of the table, and the
// table is the one of README.md and of docs/cli.md.
func TestScriptsCoverExitCodes(t *testing.T) {
	wanted := map[string]bool{}
	for _, run := range scripts(t) {
		wanted[run.code] = true
	}
	table := regexp.MustCompile(`(?m)^  (\d+)  (.+)$`).FindAllStringSubmatch(exitHelp(), -1)
	if len(table) != 11 {
		t.Fatalf("the table has %d codes", len(table))
	}
	readme, reference := file(t, "../../README.md"), file(t, "../../docs/cli.md")
	for _, row := range table {
		if !wanted[row[1]] {
			t.Errorf("no script ends with %s (%s)", row[1], row[2])
		}
		if !strings.Contains(readme, "| "+row[1]+" | "+row[2]+" |") {
			t.Errorf("README.md has no row of %s (%s)", row[1], row[2])
		}
		if !strings.Contains(reference, "  "+row[1]+"  "+row[2]+"\n") {
			t.Errorf("docs/cli.md has no row of %s (%s)", row[1], row[2])
		}
	}
}

// scripts are all runs of serin in testdata/script. The shell scripts in it, by
// which signals are sent, print `exit N`.
func scripts(t *testing.T) (runs []scripted) {
	t.Helper()
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) < 20 {
		t.Fatalf("scripts: %v, %v", files, err)
	}
	exits := regexp.MustCompile(`^stdout '\^exit (\d+)\$'$`)
	for _, name := range files {
		for line := range strings.Lines(string(txtar.Parse([]byte(file(t, name))).Comment)) {
			line = strings.TrimSpace(line)
			words := strings.Fields(line)
			switch {
			case len(words) > 3 && words[0] == "code" && words[2] == "serin":
				runs = append(runs, scripted{args: words[3:], code: words[1]})
			case exits.MatchString(line):
				runs = append(runs, scripted{code: exits.FindStringSubmatch(line)[1]})
			}
		}
	}
	return runs
}

func walk(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, sub := range c.Commands() {
		walk(sub, visit)
	}
}

func file(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
