package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/localfleet"
)

// noCoordinator is serin's exit code when none answers.
const noCoordinator = 8

// TestPipeline: the script for pipelines ends with the verdict: 0 on versions that
// are good, 3 on one that is not.
func TestPipeline(t *testing.T) {
	t.Parallel()
	w := up(t, newFleet(t, localfleet.Config{Name: "ci", Hosts: 1, Replicas: 3}))
	if err := w.Push(t.Context(), localfleet.Version{Tag: broken, ErrorPercent: 100}); err != nil {
		t.Fatal(err)
	}
	out := w.pipeline(0, "v1", "job-1")
	wantWords(t, out, "promoted: v1 is stable")
	_, stop := w.users(w.serving()...)
	defer stop()

	wantWords(t, w.pipeline(0, "v2", "job-2"), "promoted: v2 is stable")
	bad := w.pipeline(3, broken, "job-3")
	wantWords(t, bad, "rolled back", "RolledBack")
	// Not all 5xx: HAProxy counts a request as soon as it comes.
	if !regexp.MustCompile(`5xx \d+\.\d\d% \(\d+ of \d+\) on canary, 0\.00% \(0 of \d+\) on stable`).MatchString(bad) {
		t.Errorf("the counts are missing in\n%s", bad)
	}
	// The job is run again, and again: it has the same verdict, and starts nothing.
	for range 3 {
		wantWords(t, w.pipeline(3, broken, "job-3"), "the trigger is known already", "demo-3 was rolled back")
	}
	wantWords(t, w.pipeline(0, "v2", "job-4"), "nothing to do")
	wantWords(t, w.pipeline(2, "", "job-5"), "image")

	status := ask[api.ServiceStatus](w, api.GetService, service)
	if status.Stable == nil || status.Stable.Version != "v2" {
		t.Errorf("stable is %+v, want v2", status.Stable)
	}
	if history := ask[api.History](w, api.GetHistory, service); len(history.Rollouts) != 3 {
		t.Errorf("there were %d rollouts, want 3", len(history.Rollouts))
	}
}

// pipeline runs the script as a job does, and returns what it printed.
func (w *world) pipeline(want int, version, id string) string {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "rollout.yaml")
	writeFile(w.t, file, w.file("none", twoSteps))
	args := []string{file}
	if version == "" {
		writeFile(w.t, file, strings.Replace(w.file("none", twoSteps), "image:", "imgae:", 1))
	} else {
		args = append(args, w.Image(version))
	}
	script, err := filepath.Abs(filepath.Join("..", "..", "deploy", "ci", "rollout.sh"))
	if err != nil {
		w.t.Fatal(err)
	}
	var said string
	eventually(w.t, "a coordinator for the job", func() error {
		job := exec.CommandContext(w.t.Context(), script, args...)
		job.Dir = w.t.TempDir()
		job.Env = append(os.Environ(), "PATH="+w.Bin+":"+os.Getenv("PATH"), "SERIN_SERVER="+strings.Join(w.URLs(), ","),
			"SERIN_ID="+id, "SERIN_REASON=a test", "SERIN_PATIENCE=20m")
		out, err := job.CombinedOutput()
		w.t.Logf("%s %s:\n%s", filepath.Base(script), version, out)
		if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
			w.t.Fatal(err)
		}
		code := job.ProcessState.ExitCode()
		switch {
		case code == noCoordinator:
			return err // on a busy machine nobody may lead for longer than serin waits; the job may be run again
		case code != want:
			w.t.Fatalf("%s of %s: exit code %d, want %d", script, version, code, want)
		}
		said = string(out)
		return nil
	})
	return said
}

func wantWords(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%q is missing in\n%s", word, text)
		}
	}
}
