package packagetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOptionsOfTheManual: a page names an option that is on or off as one types it,
// and one that takes a value with the value that it has without it.
func TestOptionsOfTheManual(t *testing.T) {
	dir := t.TempDir()
	write := exec.CommandContext(t.Context(), "go", "run", "-buildvcs=false", "-tags", "reference", "./cmd/serin", "reference", dir)
	write.Dir = tree
	if said, err := write.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	for _, page := range manual(t) {
		text, err := os.ReadFile(filepath.Join(dir, "man", page+".1"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "\n\\fB-h\\fP, \\fB--help\\fP\n") {
			t.Errorf("%s does not name --help so", page)
		}
		if !strings.Contains(string(text), "\n\\fB--timeout\\fP=0s\n") {
			t.Errorf("%s does not say what --timeout is by itself", page)
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "[=") {
				t.Errorf("%s: %s", page, line)
			}
		}
	}
}
