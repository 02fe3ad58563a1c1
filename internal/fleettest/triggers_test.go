package fleettest_test

import (
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/fleettest"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// rollouts returns how many were ever started.
func rollouts(f *fleettest.Fleet) int { return f.State().Services[fleettest.Service].Number }

func TestOneTriggerSentFiveTimes(t *testing.T) {
	fleettest.Run(t, fleettest.Options{}, func(f *fleettest.Fleet) {
		f.Install("1", gated)
		f.Push("2", fleettest.App{})
		trigger := api.Trigger{ID: "build-2", Image: fleettest.Image("2")}
		f.Publish(trigger)
		for range 4 {
			if r := f.Trigger(trigger); !r.OK || r.Rollout != "shop-2" {
				t.Errorf("%+v", r)
			}
		}
		f.Until("shop-2", rollout.Succeeded)
		if r := f.Trigger(trigger); !r.OK || r.Rollout != "shop-2" || !r.Unchanged {
			t.Errorf("once more, after the end: %+v", r)
		}
		f.Sleep(time.Minute)
		if n := rollouts(f); n != 2 {
			t.Errorf("%d rollouts", n)
		}
	})
}

func TestConflictAndReplace(t *testing.T) {
	fleettest.Run(t, fleettest.Options{}, func(f *fleettest.Fleet) {
		f.Install("1", gated)
		f.Push("2", fleettest.App{})
		f.Push("3", fleettest.App{})
		second := f.Start(api.Trigger{ID: "2", Image: fleettest.Image("2")})
		f.UntilStep(second, 2)
		if r := f.Trigger(api.Trigger{ID: "3", Image: fleettest.Image("3")}); r.OK || r.Code != rollout.CodeConflict || r.Rollout != second {
			t.Errorf("I15: %+v", r)
		}
		third := f.Start(api.Trigger{ID: "4", Image: fleettest.Image("3"), Replace: true})
		f.Until(third, rollout.Succeeded)
		if r := f.Until(second, rollout.Aborted); r.Cause != rollout.CauseReplaced {
			t.Errorf("aborted for %s", r.Cause)
		}
		stable(t, f, "3")
	})
}

// TestForce: what is stable is rolled out once more if somebody insists, and else not.
func TestForce(t *testing.T) {
	fleettest.Run(t, fleettest.Options{}, func(f *fleettest.Fleet) {
		first := f.Install("1", gated)
		if r := f.Trigger(api.Trigger{ID: "same", Image: fleettest.Image("1")}); !r.Unchanged || r.Rollout != first {
			t.Errorf("%+v", r)
		}
		if r := f.Trigger(api.Trigger{ID: "again", Image: fleettest.Image("1"), Replace: true}); !r.Unchanged || r.Rollout != first {
			t.Errorf("to replace what does not run: %+v", r)
		}
		again := f.Start(api.Trigger{ID: "forced", Image: fleettest.Image("1"), Force: true})
		f.UntilStep(again, 1)
		f.Command(api.Abort, api.Command{Rollout: again})
		f.Until(again, rollout.Aborted)
		if n := rollouts(f); n != 2 {
			t.Errorf("%d rollouts", n)
		}
	})
}
