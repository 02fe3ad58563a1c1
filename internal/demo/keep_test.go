package demo

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/internal/specfile"
)

// TestKeptFile: what a person is given to play with is a rollout file, also with
// all of its remarks taken in.
func TestKeptFile(t *testing.T) {
	text := fileOf("demo", "registry:1/demo:v2", "8080", kept())
	for name, source := range map[string]string{"as it is": text, "with every gate": strings.ReplaceAll(text, "\n  # ", "\n  ")} {
		spec, err := specfile.Parse([]byte(source))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		gates := spec.Gates.Judging()
		if all := len(gates.Latency) + len(gates.Rates); (all == 3 && gates.Usage != nil) != (name == "with every gate") || gates.Errors.Observe {
			t.Errorf("%s: %+v", name, gates)
		}
	}
}

// TestQuoted: a shell reads the words as they were, and plain ones stay plain.
func TestQuoted(t *testing.T) {
	words := []string{"demo", "/tmp/my dir/serin", "a'b", `$HOME "x" \`, "", "*", "~", "#no", "a\nb", "é"}
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `printf '%s\0' `+quoted(words...)).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); !slices.Equal(got, words) {
		t.Errorf("a shell reads %q, want %q", got, words)
	}
	if got := quoted("/usr/local/bin/serin", "--dir=/tmp/serin-1"); got != "/usr/local/bin/serin --dir=/tmp/serin-1" {
		t.Errorf("quotes what needs none: %s", got)
	}
}
