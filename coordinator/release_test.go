package coordinator

import (
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestHeldHostIsShownAndReleased: from the exclusion to the host's new stable
// revision, as operators see it.
func TestHeldHostIsShownAndReleased(t *testing.T) {
	inBubble(t, 3, func(b *bench) {
		b.install()
		steps := `,"gates":{"errors":"off"},"steps":[{"hosts":"100%","weight":"10%","hold":"1m"},{"hosts":"100%","weight":"100%"}]`
		id := b.must(api.Trigger{ID: "2", Spec: specText("shop/checkout:2", steps)})
		b.until(id, rollout.Progressing)
		leader := b.group.members["c1"]
		target := rollout.Target{Service: checkout, Rollout: id, Epoch: leader.State().Services[checkout].Epoch}
		why := rollout.Why{Cause: rollout.CauseHost, Text: "its disk is slow"}
		if r, err := leader.Propose(b.ctx, rollout.Entry{Command: rollout.Exclude{Target: target, Host: "web-02", Why: why}}); err != nil || r.Refused != nil {
			t.Fatalf("exclude: %+v, %v", r, err)
		}
		if r := b.verb(api.Release, api.Command{Host: "web-02"}); r.OK || r.Code != rollout.CodePhase || r.Rollout != id {
			t.Errorf("released from the running rollout: %+v", r)
		}
		to := b.until(id, rollout.Succeeded).To.ID
		status := func() api.ServiceStatus {
			s, err := api.DecodeAnswer[api.ServiceStatus](b.request(bus.GetSubject(api.GetService, checkout), ""))
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		if s := status(); len(s.Held) != 1 || s.Held[0].Host != "web-02" || s.Held[0].Version != "1" || s.Held[0].Rollout != id || s.Held[0].Why != "its disk is slow" {
			t.Errorf("held: %+v", s.Held)
		}
		time.Sleep(time.Minute)
		if got := b.agents[1].stables()[checkout]; got == to {
			t.Error("the held host has followed")
		}
		if r := b.verb(api.Release, api.Command{Host: "web-02", By: "ann", Reason: "new disk"}); !r.OK {
			t.Fatalf("release: %+v", r)
		}
		time.Sleep(time.Minute)
		if got := b.agents[1].stables()[checkout]; got != to {
			t.Errorf("the released host has %s, want %s", got, to)
		}
		if s := status(); len(s.Held) != 0 {
			t.Errorf("still held: %+v", s.Held)
		}
		events := b.checkEvents()
		if e := events[len(events)-1]; e.Kind != rollout.KindReleased || e.Host != "web-02" || e.By != "ann" || e.Text != "web-02 follows 2 again: by ann: new disk" {
			t.Errorf("last event: %+v", e)
		}
	})
}
