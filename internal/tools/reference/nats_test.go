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
		if strings.HasPrefix(c.name, "Kind") || strings.HasPrefix(c.name, "Outcome") || c.name == "FullPromote" || c.value == "" {
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
