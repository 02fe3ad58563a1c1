package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/localfleet"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// stopped: in the middle of a step every agent is stopped and its next release
// started, and then every leader. What serves the users is not touched, the
// canary keeps its share, and the rollout goes on.
func (w *world) stopped() {
	noneFailed := w.load(w.serving()...)
	w.trigger("stopped", w.ungated("v1", "[{weight: 30%, approve: true}, {weight: 100%}]"))
	w.until("the rollout waits for a person", w.waitsForApproval)
	w.until("the canary has its share", w.canaryEverywhere)

	w.replaceAgents()
	pictures := map[string]string{}
	for _, h := range w.managed() {
		pictures[h.Name] = w.picture(h)
	}
	handovers := 0
	for stops := 0; handovers < len(w.Replicas); stops++ {
		if stops == mostStops*len(w.Replicas) {
			w.t.Fatalf("of %d leaders that were stopped %d handed over; an election took the place of the others", stops, handovers)
		}
		if w.stopLeader() {
			handovers++
		}
	}
	for _, h := range w.managed() {
		w.wantPicture(h, pictures[h.Name])
	}
	w.until("the canary has its share", w.canaryEverywhere)
	w.serin(0, "abort", service, "--yes")
	w.wantTidy("v2")
	noneFailed()
	w.wantEventsComplete()
}

// mostStops is how many leaders may be stopped for one that hands over. Raft gives a
// handover one election's time, and a busy machine can take that: no single one is
// certain. One that is not tried, or never done, is not there at the last stop either.
const mostStops = 5

// stopLeader stops the leader and starts it again, and reports whether it says that
// it has handed over: the others would elect one as well, only later.
func (w *world) stopLeader() (handedOver bool) {
	w.t.Helper()
	leader := w.leader()
	before := w.logged(leader)
	if err := w.Stop(bounded(w.t, patience), leader); err != nil {
		w.t.Fatal(err)
	}
	said := strings.TrimPrefix(w.logged(leader), before)
	handedOver = strings.Contains(said, `"leadership handed over"`)
	if failed := strings.Contains(said, "leadership was not handed over"); handedOver == failed {
		w.t.Logf("%s handed over: %v, failed to: %v (neither: another one led already)\n%s", leader, handedOver, failed, said)
	}
	if next := w.leader(); next == leader {
		w.t.Fatalf("%s leads although it has ended", leader)
	}
	w.until("the rollout waits for a person", w.waitsForApproval)
	if err := w.Start(leader); err != nil {
		w.t.Fatal(err)
	}
	return handedOver
}

// logged is what a part has written so far.
func (w *world) logged(name string) string {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.Dir, name+".log"))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

func (w *world) waitsForApproval() error {
	s := ask[api.ServiceStatus](w, api.GetService, service)
	if s.Rollout == nil || s.Rollout.Phase != rollout.Paused || !s.Rollout.NeedsApproval {
		return fmt.Errorf("it stands at %+v", s.Rollout)
	}
	return nil
}

const nextVersion = "99.0.0"

// nextRelease builds the agent as another release, and returns its directory.
func (w *world) nextRelease() string {
	w.t.Helper()
	dir := w.t.TempDir()
	build := exec.CommandContext(w.t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-X main.version="+nextVersion, "-o", dir, "./cmd/serin-agent")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = w.t.Output()
	if err := build.Run(); err != nil {
		w.t.Fatalf("build the agent's next release: %v", err)
	}
	return dir
}

func (w *world) replaceAgents() {
	w.t.Helper()
	release := w.Bin
	defer func() { w.Bin = release }()
	w.Bin = w.nextRelease()
	for _, h := range w.managed() {
		w.replaceAgent(h)
	}
}

// replaceAgent stops an agent as an upgrade does and starts the next release.
// Neither end nor start may change anything on the host.
func (w *world) replaceAgent(h *localfleet.Host) {
	w.t.Helper()
	before := w.picture(h)
	if err := w.Stop(bounded(w.t, patience), h.Name); err != nil {
		w.t.Fatal(err)
	}
	if after := w.picture(h); after != before {
		w.t.Errorf("I6: with its agent stopped, %s changed from\n%s\nto\n%s", h.Name, before, after)
	}
	if err := w.Start(h.Name); err != nil {
		w.t.Fatal(err)
	}
	eventually(w.t, h.Name+" is settled under its next release", func() error {
		s := ask[api.HostStatus](w, api.GetHost, h.Name)
		if s.Version != nextVersion || !s.Live {
			return fmt.Errorf("it is %+v", s)
		}
		for _, x := range s.Services {
			if x.Service == service && x.Settled && x.CanaryReady > 0 {
				return nil
			}
		}
		return errors.New("it is not settled")
	})
	w.wantPicture(h, before)
}

// wantPicture wants a host to be as it was. A weight may have been lower for a
// while: on a busy machine an agent can miss its leader for the whole lease. What
// was started anew, or reloaded, never looks the same again.
func (w *world) wantPicture(h *localfleet.Host, want string) {
	w.t.Helper()
	eventually(w.t, "I6: "+h.Name+" is as it was", func() error {
		if now := w.picture(h); now != want {
			return fmt.Errorf("it has changed from\n%s\nto\n%s", want, now)
		}
		return nil
	})
}

// picture is all that users depend on, on one host: its containers and since
// when they run, and HAProxy's process, slots, weights and split.
func (w *world) picture(h *localfleet.Host) string {
	w.t.Helper()
	ctx := bounded(w.t, patience)
	found, err := w.engine.List(ctx, map[string]string{localfleet.HostLabel: h.Name})
	if err != nil {
		w.t.Fatal(err)
	}
	var lines []string
	for _, c := range found {
		lines = append(lines, fmt.Sprintf("container %.12s %s since %s, restarted %d times", c.ID, c.State, c.StartedAt, c.Restarts))
	}
	slices.Sort(lines)
	dir := filepath.Join(w.Dir, h.Name, "haproxy")
	for command, columns := range map[string][]int{
		"show info":          {0, 1},
		"show servers state": {1, 3, 4, 6, 7}, // backend, name, address, administrative state, weight
		"show map " + filepath.Join(dir, "maps/split.map"): {1, 2},
	} {
		said, err := askHAProxy(ctx, adminSocket(dir), command)
		if err != nil {
			w.t.Fatal(err)
		}
		var kept []string
		for _, line := range said {
			if command != "show info" || strings.HasPrefix(line, "Pid:") {
				kept = append(kept, pick(strings.Fields(line), columns))
			}
		}
		slices.Sort(kept)
		lines = append(lines, command+"\n  "+strings.Join(kept, "\n  "))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func pick(fields []string, columns []int) string {
	var picked []string
	for _, c := range columns {
		if c < len(fields) {
			picked = append(picked, fields[c])
		}
	}
	return strings.Join(picked, " ")
}
