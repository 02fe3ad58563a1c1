package specfile_test

import (
	"errors"
	"testing"

	"github.com/serin-rollouts/serin/internal/specfile"
)

// What is wrong with a key or a unit has a field too.
func TestFieldAt(t *testing.T) {
	for text, want := range map[string]string{
		"service: a\nimage: a:1\ncontainer: {prot: 80}\n":                                       "container.prot",
		"service: a\nimage: a:1\ncontainer:\n  port: eighty\n":                                  "container.port",
		"service: a\nimage: a:1\nimgae: b:1\n":                                                  "imgae",
		"service: a\nimage: a:1\ncontainer: {port: 80}\nsteps:\n- weight: 5%\n- weight: 20 s\n": "steps[1].weight",
		`{"service":"a","image":"a:1","container":{"port":80},"deadline":"5 parsecs"}`:          "deadline",
	} {
		_, err := specfile.Parse([]byte(text))
		wrong, ok := errors.AsType[*specfile.Error](err)
		if !ok {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := specfile.FieldAt([]byte(text), wrong.Line, wrong.Column); got != want {
			t.Errorf("%s: %s is at %q, want %q", text, wrong.Message, got, want)
		}
	}
	for _, text := range []string{"", "{", "a: b"} {
		if got := specfile.FieldAt([]byte(text), 7, 7); got != "" {
			t.Errorf("%q has %q where there is nothing", text, got)
		}
	}
}
