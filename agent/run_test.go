package agent

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestRunsAreCounted: each run has a higher number than those before, whatever the clock says, and
// whatever became of the file if the clock is right.
func TestRunsAreCounted(t *testing.T) {
	dir := t.TempDir()
	next := func(now time.Time) uint64 {
		t.Helper()
		run, err := nextRun(dir, now)
		if err != nil {
			t.Fatal(err)
		}
		return run
	}
	now := time.Unix(1_790_000_000, 0)
	file := filepath.Join(dir, runFile)
	last := uint64(0)
	for i, c := range []struct {
		now time.Time
		was func() error
	}{
		{now, func() error { return nil }},
		{now, func() error { return nil }}, // twice in a second
		{now.Add(-time.Hour), func() error { return nil }},
		{now.Add(time.Minute), func() error { return os.Remove(file) }},
		{now.Add(time.Hour), func() error { return os.WriteFile(file, []byte("not\x00a number"), 0o600) }},
		{time.Unix(-5, 0), func() error { return nil }},
	} {
		if err := c.was(); err != nil {
			t.Fatal(err)
		}
		run := next(c.now)
		if run <= last {
			t.Errorf("run %d has number %d after %d", i, run, last)
		}
		last = run
	}
	run, err := nextRun(filepath.Join(dir, "none"), now)
	if err == nil {
		t.Error("a number that was not kept was given")
	}
	if run < uint64(now.Unix()) {
		t.Errorf("where nothing can be written, the number is %d", run)
	}
}
