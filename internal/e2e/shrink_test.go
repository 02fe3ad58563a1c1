package e2e

import (
	"errors"
	"testing"

	"github.com/serin-rollouts/serin/internal/localfleet"
)

// TestGroupShrinksToOne removes two of three replicas, the last of them while it
// still runs, and then kills and starts the one that is left: triggers are taken
// and events are complete at every size.
func TestGroupShrinksToOne(t *testing.T) {
	t.Parallel()
	w := up(t, newFleet(t, localfleet.Config{Name: "shrink", Hosts: 1, Replicas: 3}))
	w.roll("one", w.file("v1", "[{weight: 100%}]"))
	noneFailed := w.load(w.serving()...)
	defer noneFailed()
	w.transfer("c1")
	w.cluster(0, "remove", "c2", "--yes")
	w.retire("c2")
	w.roll("two", w.ungated("v2", twoSteps))
	w.cluster(0, "remove", "c3", "--yes")
	w.roll("three", w.ungated("v1", twoSteps))
	w.retire("c3")
	w.roll("four", w.ungated("v2", twoSteps))
	w.wantEventsComplete()
	if err := w.Kill(bounded(t, patience), "c1"); err != nil {
		t.Fatal(err)
	}
	if err := w.Start("c1"); err != nil {
		t.Fatal(err)
	}
	w.roll("five", w.ungated("v1", twoSteps))
	w.wantEventsComplete()
}

// retire stops a replica that was removed, unless it has heard of that and ended.
func (w *world) retire(name string) {
	w.t.Helper()
	if err := w.Stop(bounded(w.t, patience), name); err != nil && !errors.Is(err, localfleet.ErrNotRunning) {
		w.t.Fatal(err)
	}
}
