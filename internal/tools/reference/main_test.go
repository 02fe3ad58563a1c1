package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestUpToDate compares docs/ with what the code says now.
func TestUpToDate(t *testing.T) {
	fresh := t.TempDir()
	if err := run([]string{fresh}); err != nil {
		t.Fatal(err)
	}
	for name := range pages() {
		want, err := os.ReadFile(filepath.Join(fresh, "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("docs/%s is not what the code says: run 'make generate' (%v)", name, err)
		}
	}
	if err := run(nil); err == nil {
		t.Error("runs without a directory")
	}
}
