package agent

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestLiveLeftover has a real Docker find on each start of one container what a killed
// containerd leaves: another is made in its place, and nobody's request fails.
func TestLiveLeftover(t *testing.T) {
	v := newLive(t)
	r1, r2 := v.revision("1"), v.revision("2")
	v.start()
	first := v.want(5, r1, nil, 0)
	first.Prefetch = []string{r2.Image}
	v.assign(first)
	v.settles(5)

	load := v.startLoad()
	stuck := v.leftover(r2, r1, "b1")
	v.assign(v.want(6, r1, r2, 2000))
	v.settles(6)
	v.wantVersions(load, "1", "2")
	load.stop()
	if n := load.failed.Load(); n > 0 {
		t.Errorf("I6: %d of %d requests failed: %v", n, load.sent.Load(), load.firstFailure())
	}
	for _, c := range v.containers(r2) {
		if c.ID == stuck || c.State != docker.StateRunning {
			t.Errorf("%s is %s (the one that cannot start: %t)", c.Name, c.State, c.ID == stuck)
		}
	}
}

// leftover makes a container that has not been started, and the directory in which
// containerd would keep its task. It returns the container's id.
func (v *live) leftover(rev, serving *rollout.Revision, slot string) string {
	v.t.Helper()
	id, err := v.engine.Create(v.t.Context(), docker.Spec{
		Name: "serin-" + v.host + "-" + shop + "-" + slot + "-" + rev.ID, Image: rev.Image,
		Labels: map[string]string{
			labelHost: v.host, labelService: shop, labelSlot: slot, labelRevision: rev.ID, labelPort: strconv.Itoa(rev.Container.Port),
		},
	})
	if err != nil {
		v.t.Fatal(err)
	}
	dir := filepath.Join(filepath.Dir(v.taskOf(v.containers(serving)[0].ID)), id)
	if err := os.Mkdir(dir, 0o700); err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { _ = os.Remove(dir) })
	return id
}

// taskOf finds the directory that containerd keeps of a running container: of Debian's
// containerd, or of the one that Docker starts itself.
func (v *live) taskOf(id string) string {
	v.t.Helper()
	const tasks = "io.containerd.runtime.v2.task/moby"
	for _, state := range []string{"/run/containerd", "/run/docker/containerd/daemon"} {
		dir := filepath.Join(state, tasks, id)
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
	}
	v.t.Fatal("containerd keeps its tasks in no directory that this test knows")
	return ""
}

func (v *live) containers(rev *rollout.Revision) []docker.Container {
	v.t.Helper()
	found, err := v.engine.List(v.t.Context(), map[string]string{labelHost: v.host, labelRevision: rev.ID})
	if err != nil {
		v.t.Fatal(err)
	}
	return found
}
