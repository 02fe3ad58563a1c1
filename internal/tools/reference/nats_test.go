package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestEverySubjectIsTold: the tables name each subject, verb and read that the
// code has.
func TestEverySubjectIsTold(t *testing.T) {
	text, err := os.ReadFile("nats.go")
	if err != nil {
		t.Fatal(err)
	}
	told := func(name string) bool { return regexp.MustCompile(`\b` + name + `\b`).Match(text) }
	busSource, err := parseSource("internal/bus")
	if err != nil {
		t.Fatal(err)
	}
	subjects := 0
	for _, f := range busSource.functions {
		if strings.HasSuffix(f, "Subject") {
			subjects++
			if !told("bus." + f) {
				t.Errorf("docs/nats.md does not tell of bus.%s", f)
			}
		}
	}
	apiSource, err := parseSource("internal/api")
	if err != nil {
		t.Fatal(err)
	}
	requests := 0
	for _, c := range apiSource.constants {
		if strings.HasPrefix(c.name, "Kind") || strings.HasPrefix(c.name, "Outcome") || strings.HasPrefix(c.name, "Grade") || c.name == "FullPromote" || c.value == "" {
			continue // what stands in answers
		}
		requests++
		if !told("api." + c.name) {
			t.Errorf("docs/nats.md does not tell of api.%s", c.name)
		}
	}
	if subjects < 10 || requests < 20 {
		t.Errorf("only %d subjects and %d requests were found", subjects, requests)
	}
}

// TestTypesAreWords: what a key holds is told in words, not in those of Go.
func TestTypesAreWords(t *testing.T) {
	page, err := os.ReadFile("../../../docs/nats.md")
	if err != nil {
		t.Fatal(err)
	}
	words := regexp.MustCompile(`^(list of |object of )*(text|number|true or false|base64|object|object or text|\[[A-Z][A-Za-z]*\]\(#[a-z-]+\))$`)
	rows := regexp.MustCompile("(?m)^\\| `[a-z_0-9]+` \\| ([^|]+) \\| [^|]*\\|$").FindAllStringSubmatch(string(page), -1)
	for _, row := range rows {
		if !words.MatchString(row[1]) {
			t.Errorf("docs/nats.md says %q of a type: %s", row[1], row[0])
		}
	}
	if len(rows) < 100 {
		t.Errorf("only %d keys were found", len(rows))
	}
}
