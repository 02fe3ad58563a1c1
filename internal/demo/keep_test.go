package demo

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

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
