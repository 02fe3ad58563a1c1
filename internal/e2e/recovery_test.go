package e2e

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/localfleet"
)

// The commands of this page are run as they are written there.
const operations = "docs/operations.md"

// quorumLost: two of three replicas lose their disks in a step of 5 %. The
// third one's becomes the state of a new group, and the rollout goes on.
func (w *world) quorumLost() {
	noneFailed := w.load(w.serving()...)
	w.until("the canary has its share", w.canaryEverywhere)
	last := w.Replicas[0].Name
	w.killReplicas()
	ways := w.written("The majority is lost for good")
	if len(ways) != 2 {
		w.t.Fatalf("%s has %d blocks of commands about a lost majority, not salvage and restore", operations, len(ways))
	}
	backups := w.t.TempDir()
	w.bash(backups, last, ways[0])
	w.newGroup(backups, ways[1])
	w.until("the rollout is there again", w.waitsForApproval)
	w.until("the canary has its share again", w.canaryEverywhere)
	w.serin(0, "promote", service)
	w.until("the rollout ends", func() error { return w.stableIs("v1") })
	w.wantTidy("v1")
	noneFailed()
}

// backupRestored: a backup is made in a step of 5 %, the rollout ends, and then no
// replica is left. The new group knows only what was before, the hosts have done what
// came later; they follow it all the same, and what it knew of rollouts is there.
func (w *world) backupRestored() {
	noneFailed := w.load(w.serving()...)
	file := w.ungated("v2", "[{weight: 5%, approve: true}, {weight: 100%}]")
	w.trigger("backed-up", file)
	trigger, err := localfleet.Trigger("backed-up", file, "test")
	if err != nil {
		w.t.Fatal(err)
	}
	w.until("the rollout waits for a person", w.waitsForApproval)
	begun := ask[api.ServiceStatus](w, api.GetService, service).Rollout.ID
	w.until("the canary has its share", func() error { return w.shared("v2") })
	known := ask[api.History](w, api.GetHistory, service)
	backups := w.t.TempDir()
	w.bash(backups, "", w.written("Back up")[0])
	w.serin(0, "promote", service)
	w.until("the rollout ends", func() error { return w.stableIs("v2") })
	w.wantTidy("v2")
	heard := w.epochs()
	w.killReplicas()

	files, err := filepath.Glob(filepath.Join(backups, "serin-*.backup"))
	if err != nil || len(files) != 1 {
		w.t.Fatalf("backups: %v, %v", files, err)
	}
	if err := os.Rename(files[0], filepath.Join(backups, "serin.backup")); err != nil {
		w.t.Fatal(err)
	}
	w.newGroup(backups, w.written("The majority is lost for good")[1])
	w.until("the rollout is there again", w.waitsForApproval)
	w.until("stable serves again, and the canary has its share", func() error { return w.shared("v2") })
	if diff := cmp.Diff(ended(known), ended(ask[api.History](w, api.GetHistory, service))); diff != "" {
		w.t.Errorf("the history after the recovery (-before +after):\n%s", diff)
	}
	now := w.epochs()
	if diff := cmp.Diff(slices.Sorted(maps.Keys(heard)), slices.Sorted(maps.Keys(now))); diff != "" {
		w.t.Errorf("hosts (-before +after):\n%s", diff)
	}
	for host, before := range heard {
		if now[host] <= before {
			w.t.Errorf("I2: %s is at epoch %d, and was at %d before", host, now[host], before)
		}
	}
	if again := w.request(bus.TriggerSubject(service), trigger); !again.OK || again.Rollout != begun {
		w.t.Errorf("I3: the trigger that began %s is answered %+v", begun, again)
	}
	w.serin(0, "promote", service)
	w.until("the rollout ends", func() error { return w.stableIs("v2") })
	w.wantTidy("v2")
	noneFailed()
}

func (w *world) killReplicas() {
	w.t.Helper()
	for _, r := range w.Replicas {
		if err := w.Kill(bounded(w.t, patience), r.Name); err != nil {
			w.t.Fatal(err)
		}
	}
}

// newGroup makes a group of all replicas by the commands of a page, and starts it.
func (w *world) newGroup(backups, restore string) {
	w.t.Helper()
	for _, r := range w.Replicas {
		if err := os.RemoveAll(filepath.Join(w.Dir, r.Name+".old")); err != nil { // of an earlier recovery
			w.t.Fatal(err)
		}
		w.bash(backups, r.Name, restore)
	}
	for _, r := range w.Replicas {
		if err := w.Start(r.Name); err != nil {
			w.t.Fatal(err)
		}
	}
}

// written returns the blocks of shell commands under a heading of the page.
func (w *world) written(heading string) []string {
	w.t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", operations))
	if err != nil {
		w.t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(page), "\n## "+heading+"\n")
	if !ok {
		w.t.Fatalf("%s says nothing about %q", operations, heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var blocks []string
	for _, rest := range strings.Split(text, "```sh\n")[1:] {
		block, _, _ := strings.Cut(rest, "```")
		blocks = append(blocks, block)
	}
	return blocks
}

// bash runs commands of the page in a directory, as on the machine of a replica, and
// with the programs under test: only users and paths are other ones.
func (w *world) bash(dir, replica, script string) {
	w.t.Helper()
	script = strings.NewReplacer(
		"sudo -u serin ", "", "-o serin -g serin ", "",
		"/etc/serin/coordinator.yaml", filepath.Join(w.Dir, replica+".yaml"),
		"/var/lib/serin-coordinator", filepath.Join(w.Dir, replica),
	).Replace(script)
	command := exec.CommandContext(bounded(w.t, patience), "bash", "-euxc", script)
	command.Dir, command.Env = dir, append(w.command().Env, "PATH="+bin+":"+os.Getenv("PATH"))
	if out, err := command.CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v\n%s", operations, err, out)
	}
}

// epochs returns the epoch of the service that each host works on.
func (w *world) epochs() map[string]uint64 {
	all := map[string]uint64{}
	for _, h := range ask[[]api.HostStatus](w, api.GetHosts, "") {
		for _, s := range h.Services {
			if s.Service == service {
				all[h.Host] = s.Epoch
			}
		}
	}
	return all
}

func (w *world) stableIs(version string) error {
	s := ask[api.ServiceStatus](w, api.GetService, service)
	if s.Running || s.Stable == nil || s.Stable.Version != version {
		return fmt.Errorf("it stands at %+v", s.Rollout)
	}
	return nil
}

// ended returns the part of a history that does not change any more.
func ended(h api.History) []api.RolloutStatus {
	return slices.DeleteFunc(h.Rollouts, func(r api.RolloutStatus) bool { return !r.Phase.Final() })
}
