package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/internal/localfleet"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestUpgradeOfReplicas upgrades the replicas one after the other, from a release
// that understands no more of the log than the first did. What is new waits for the
// last of them; the group decides meanwhile, whoever leads; and a replica of the
// earlier release that comes back later ends, and says why.
func TestUpgradeOfReplicas(t *testing.T) {
	t.Parallel()
	f := newFleet(t, localfleet.Config{Name: "upgrade", Hosts: 1, Replicas: 3})
	earlier := earlierRelease(t)
	f.Bin = earlier
	w := up(t, f)
	w.roll("install", w.file("v1", "[{weight: 100%}]"))

	first, second, last := w.Replicas[0].Name, w.Replicas[1].Name, w.Replicas[2].Name
	w.upgrade(first)
	w.upgrade(second)
	eventually(t, "a leader of the new release waits for "+last, func() error {
		if w.logHas(first, `"member":"`+last+`"`) == nil {
			return nil
		}
		return w.logHas(second, `"member":"`+last+`"`)
	})
	w.roll("two-upgraded", w.ungated("v2", twoSteps))
	w.wantLevel(rollout.LevelFirst)
	w.transfer(last)
	w.roll("led-by-the-last", w.ungated("v1", twoSteps))
	w.wantLevel(rollout.LevelFirst)

	w.upgrade(last)
	eventually(t, "what is new may be in the log", func() error {
		if at := w.agreed().AtLevel(); at != rollout.LevelNewest {
			return fmt.Errorf("it is at level %d", at)
		}
		return nil
	})
	w.roll("all-upgraded", w.ungated("v2", twoSteps))
	w.wantLevel(rollout.LevelNewest)
	w.wantEventsComplete()

	w.replace(last, earlier)
	eventually(t, "the earlier release ends", func() error { return w.logHas(last, "upgrade this replica") })
	if err := w.Stop(bounded(t, patience), last); err == nil {
		t.Error("a replica that does not understand the log ended well")
	}
	w.Bin = bin
	if err := w.Start(last); err != nil {
		t.Fatal(err)
	}
	w.transfer(last)
	w.wantLevel(rollout.LevelNewest)
}

// earlierRelease builds programs of which the replica understands of the log what the
// first release did, and returns their directory.
func earlierRelease(t *testing.T) string {
	t.Helper()
	source, err := filepath.Abs(filepath.Join("..", "rollout", "level.go"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	earlier := bytes.Replace(text, []byte("LevelNewest = LevelFreeze\n"), []byte("LevelNewest = LevelFirst\n"), 1)
	if bytes.Equal(earlier, text) {
		t.Fatalf("%s does not say any more what the newest level is", source)
	}
	work, dir := t.TempDir(), t.TempDir()
	changed, overlay := filepath.Join(work, "level.go"), filepath.Join(work, "overlay.json")
	writeFile(t, changed, string(earlier))
	writeFile(t, overlay, fmt.Sprintf(`{"Replace": {%q: %q}}`, source, changed))
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-overlay", overlay, "-ldflags", "-X main.version=0.1.0", "-o", dir, "./cmd/serin-coordinator")
	build.Dir, build.Env, build.Stderr = filepath.Join("..", ".."), append(os.Environ(), "CGO_ENABLED=0"), t.Output()
	if err := build.Run(); err != nil {
		t.Fatalf("build the earlier release: %v", err)
	}
	for _, same := range []string{"serin", "serin-agent"} {
		if err := os.Symlink(filepath.Join(bin, same), filepath.Join(dir, same)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// upgrade is what a package does: the replica ends, and this release starts. It goes
// on when the replica has come as far as the others, so that it can lead.
func (w *world) upgrade(name string) {
	w.t.Helper()
	w.replace(name, bin)
	w.transfer(name)
}

// replace stops a replica and starts that of another release.
func (w *world) replace(name, release string) {
	w.t.Helper()
	if err := w.Stop(bounded(w.t, patience), name); err != nil {
		w.t.Fatal(err)
	}
	w.Bin = release
	if err := w.Start(name); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) logHas(name, text string) error {
	log, err := os.ReadFile(filepath.Join(w.Dir, name+".log"))
	if err == nil && !strings.Contains(string(log), text) {
		err = fmt.Errorf("the log of %s has no %s", name, text)
	}
	return err
}

// wantLevel wants the log to hold what it may at that level, and the last rollout to
// be as it was then.
func (w *world) wantLevel(level int) {
	w.t.Helper()
	s := w.agreed()
	if at := s.AtLevel(); at != level {
		w.t.Errorf("the group is at level %d, not %d", at, level)
	}
	history := s.Services[service].History
	if last := history[len(history)-1]; (last.Spec.LostAfter != 0) != (level >= rollout.LevelLost) {
		w.t.Errorf("at level %d %s has hosts that are lost after %s", level, last.ID, last.Spec.LostAfter)
	}
}

// agreed reads what the replicas agree on, from a backup.
func (w *world) agreed() *rollout.State {
	w.t.Helper()
	s := rollout.NewState()
	eventually(w.t, "a backup", func() error {
		file := filepath.Join(w.Dir, "agreed.backup")
		if code, said := w.try("cluster", "snapshot", file); code != 0 {
			return fmt.Errorf("exit code %d: %s", code, said)
		}
		backup, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		_, state, _ := bytes.Cut(backup, []byte("\n"))
		return json.Unmarshal(state, s)
	})
	return s
}
