package control

import (
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestDetailTellsWhatIsLeft of the hold and of the time until the phase is over.
func TestDetailTellsWhatIsLeft(t *testing.T) {
	for name, x := range map[string]struct {
		phase          rollout.Phase
		settled, now   time.Duration
		hold, deadline time.Duration
	}{
		"holds":                {rollout.Progressing, 70 * time.Second, 90 * time.Second, 40 * time.Second, 3510 * time.Second},
		"hosts are not ready":  {rollout.Progressing, -1, 90 * time.Second, 0, 3510 * time.Second},
		"has held":             {rollout.Progressing, 0, 90 * time.Second, 0, 3510 * time.Second},
		"is paused":            {rollout.Paused, 70 * time.Second, 90 * time.Second, 0, 3510 * time.Second},
		"is made stable":       {rollout.Promoting, 0, 90 * time.Second, 0, 530 * time.Second},
		"is on its way back":   {rollout.RollingBack, 0, 90 * time.Second, 0, 230 * time.Second},
		"has no time left":     {rollout.Progressing, -1, 2 * time.Hour, 0, 0},
		"fetches images still": {rollout.Preparing, -1, 0, 0, time.Hour},
	} {
		r := rollout.Rollout{
			ID: "checkout-1", Service: "checkout", Hosts: []string{"a"}, Phase: x.phase, PhaseAt: 20 * time.Second,
			Spec: rollout.Spec{Deadline: time.Hour, Steps: []rollout.Step{{Hosts: rollout.HostCount{Count: 1}, Hold: time.Minute}}},
		}
		s := &rollout.State{Services: map[string]*rollout.Service{"checkout": {Name: "checkout", Active: &r}}}
		d := detail(s, r, View{Now: x.now, Evidence: rollout.Evidence{"checkout": {SettledAt: x.settled}}})
		if d.HoldLeft != x.hold.Milliseconds() || d.DeadlineLeft != x.deadline.Milliseconds() {
			t.Errorf("%s: %d ms of the hold and %d ms to the deadline, want %s and %s", name, d.HoldLeft, d.DeadlineLeft, x.hold, x.deadline)
		}
	}
}
