package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestDaemonsAcceptTheExamples runs both daemons on the configurations that
// `serin init --cluster` writes.
func TestDaemonsAcceptTheExamples(t *testing.T) {
	dir := t.TempDir()
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"init", "--cluster", dir}, streams{&bytes.Buffer{}, &out, &errs}); code != exitOK {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	for daemon, file := range map[string]string{"serin-coordinator": "coordinator.yaml", "serin-agent": "agent.yaml"} {
		binary := filepath.Join(t.TempDir(), daemon)
		if text, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../"+daemon).CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", daemon, err, text)
		}
		text, err := exec.CommandContext(t.Context(), binary, "--config", filepath.Join(dir, file), "--print-config").CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", daemon, err, text)
		}
		if !bytes.Contains(text, []byte(file)) {
			t.Errorf("%s has taken nothing from %s:\n%s", daemon, file, text)
		}
	}
}
