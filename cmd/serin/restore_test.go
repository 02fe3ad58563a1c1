package main

import (
	"strings"
	"testing"
)

// TestRestoringIsWritten: what `serin cluster restore` says to run are the commands of
// docs/operations.md, which the end-to-end tests run.
func TestRestoringIsWritten(t *testing.T) {
	page := file(t, "../../docs/operations.md")
	for _, command := range restoring("serin.backup") {
		if !strings.Contains(page, "   "+command+"\n") {
			t.Errorf("docs/operations.md has no %s", command)
		}
	}
}
