package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/internal/localfleet"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestMembersChange replaces a replica of a running fleet, and then loses
// another one: what was removed must count for no majority, be it of Raft or of
// the streams.
func TestMembersChange(t *testing.T) {
	t.Parallel()
	w := up(t, newFleet(t, localfleet.Config{Name: "members", Hosts: 1, Replicas: 3}))
	w.wantSaid(w.cluster(2, "remove", "c9", "--yes"), "c1, c2, c3")
	w.wantSaid(w.cluster(2, "transfer", "c9"), "c1, c2, c3")

	fourth, err := w.Join(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Start(fourth.Name); err != nil {
		t.Fatal(err)
	}
	w.cluster(0, "add", "c4", fourth.Raft, "--timeout", "5m")
	w.roll("four", w.file("v1", "[{weight: 100%}]"))
	noneFailed := w.load(w.serving()...)
	w.transfer("c1")
	w.cluster(0, "remove", "c2", "--yes")
	if err := w.Stop(bounded(t, patience), "c2"); err != nil {
		t.Fatal(err)
	}
	if err := w.Kill(bounded(t, patience), "c1"); err != nil { // the leader
		t.Fatal(err)
	}
	w.roll("two-of-three", w.ungated("v2", "[{weight: 20%, hold: 2s}, {weight: 100%, hold: 1s}]"))
	w.wantEventsComplete()
	w.wantSaid(w.serin(0, "events", "--since", "1h"), "v2")

	// What is dead can be removed too.
	w.cluster(0, "remove", "c1", "--yes")
	w.wantSaid(w.cluster(2, "remove", "c1", "--yes"), "c3, c4")
	noneFailed()
	w.wantEventsComplete()
}

// roll is rollOut for what succeeds.
func (w *world) roll(id, file string) {
	w.t.Helper()
	w.rollOut(id, file, rollout.Succeeded, nil)
}

// transfer hands the leadership over, as soon as that replica can take it.
func (w *world) transfer(to string) {
	w.t.Helper()
	eventually(w.t, to+" leads", func() error {
		if leader := w.leader(); leader != to {
			code, said := w.try("cluster", "transfer", to)
			return fmt.Errorf("%s leads; exit code %d: %s", leader, code, said)
		}
		return nil
	})
}

func (w *world) wantSaid(said, want string) {
	w.t.Helper()
	if !strings.Contains(said, want) {
		w.t.Errorf("%q is not in: %s", want, said)
	}
}
