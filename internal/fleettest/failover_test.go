package fleettest_test

import (
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/fleettest"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestLeaderKilledMidway kills one leader after the other in one rollout.
func TestLeaderKilledMidway(t *testing.T) {
	fleettest.Run(t, fleettest.Options{}, func(f *fleettest.Fleet) {
		f.Install("1", gated)
		f.Push("2", fleettest.App{})
		id := f.Start(api.Trigger{ID: "2", Image: fleettest.Image("2")})
		for range 4 {
			f.Sleep(time.Duration(f.Rand().IntN(20_000)) * time.Millisecond)
			dead := f.KillLeader()
			f.Sleep(time.Duration(f.Rand().IntN(10_000)) * time.Millisecond)
			f.StartReplica(dead)
		}
		f.Until(id, rollout.Succeeded)
		if n := rollouts(f); n != 2 {
			t.Errorf("%d rollouts", n)
		}
	})
}

// TestLeaderKilledWithATrigger kills the leader when a trigger is on its way.
func TestLeaderKilledWithATrigger(t *testing.T) {
	fleettest.Run(t, fleettest.Options{}, func(f *fleettest.Fleet) {
		f.Install("1", gated)
		f.Push("2", fleettest.App{})
		trigger := api.Trigger{ID: "2", Image: fleettest.Image("2")}
		leader := f.Leader()
		f.Publish(trigger)
		f.KillReplica(leader)
		if r := f.Trigger(trigger); !r.OK || r.Rollout != "shop-2" {
			t.Errorf("%+v", r)
		}
		f.Until("shop-2", rollout.Succeeded)
		f.StartReplica(leader)
		f.Sleep(time.Minute)
		if n := rollouts(f); n != 2 {
			t.Errorf("%d rollouts", n)
		}
	})
}

// TestLeaderCutOff cuts the leader off instead, and brings it back.
func TestLeaderCutOff(t *testing.T) {
	fleettest.Run(t, fleettest.Options{}, func(f *fleettest.Fleet) {
		f.Install("1", gated)
		f.Push("2", fleettest.App{})
		id := f.Start(api.Trigger{ID: "2", Image: fleettest.Image("2")})
		f.UntilStep(id, 2)
		old := f.Leader()
		f.CutReplica(old)
		f.Until(id, rollout.Succeeded)
		f.HealReplica(old)
	})
}

// TestReplicasRestartedInTurn is an upgrade of the coordinators in a rollout.
func TestReplicasRestartedInTurn(t *testing.T) {
	fleettest.Run(t, fleettest.Options{}, func(f *fleettest.Fleet) {
		f.Install("1", gated)
		f.Push("2", fleettest.App{})
		id := f.Start(api.Trigger{ID: "2", Image: fleettest.Image("2")})
		for i := range 3 {
			f.Sleep(10 * time.Second)
			f.RestartReplica(i)
		}
		f.Until(id, rollout.Succeeded)
	})
}

// TestLeaderToldToStop stops each leader in turn in one step of a rollout. Agents
// hear of the next one sooner than an election could bring it, and no host gives
// its canary less meanwhile.
func TestLeaderToldToStop(t *testing.T) {
	fleettest.Run(t, fleettest.Options{}, func(f *fleettest.Fleet) {
		f.Install("1", gated)
		f.Push("2", fleettest.App{})
		id := f.Start(api.Trigger{ID: "2", Spec: fleettest.Spec("2", `,"gates":{"errors":"off"},"steps":[{"weight":"50%","approve":true},{"weight":"100%"}]`)})
		f.Until(id, rollout.Paused)
		f.UntilStep(id, 1)
		for range 4 {
			f.Sleep(time.Duration(f.Rand().IntN(10_000)) * time.Millisecond)
			old, gap := f.StopLeader()
			if gap >= fleettest.Heartbeat {
				t.Errorf("nobody led for %s", gap)
			}
			for i := range 3 {
				if got := f.Send(i, 100); got.Canary != 50 || got.Unanswered > 0 {
					t.Errorf("host %d: %+v of 100 requests", i, got)
				}
			}
			f.StartReplica(old)
		}
		f.Command(api.Promote, api.Command{})
		f.Until(id, rollout.Succeeded)
		stable(t, f, "2")
	})
}

// TestControlLost takes all coordinators and the bus away for an hour, in the
// middle of a rollout.
func TestControlLost(t *testing.T) {
	fleettest.Run(t, fleettest.Options{}, func(f *fleettest.Fleet) {
		f.Install("1", gated)
		f.Push("2", fleettest.App{})
		id := f.Start(api.Trigger{ID: "2", Image: fleettest.Image("2")})
		f.UntilStep(id, 2)
		for i := range 3 {
			f.KillReplica(i)
		}
		f.StopBus()
		f.Sleep(20 * time.Second)
		canary := 0
		for i := range 3 {
			canary += f.Send(i, 100).Canary
		}
		if canary != 150 {
			t.Errorf("within the lease %d of 300 requests went to the canary", canary)
		}
		f.Sleep(15 * time.Second)
		for i := range 3 {
			if got := f.Send(i, 100); got.Canary > 0 || got.Unanswered > 0 {
				t.Errorf("I13: after the lease: %+v", got)
			}
		}
		f.Sleep(anHour())
		for i := range 3 {
			if got := f.Send(i, 100); got.Canary > 0 || got.Unanswered > 0 {
				t.Errorf("I13: an hour later: %+v", got)
			}
		}
		f.StartBus()
		for i := range 3 {
			f.StartReplica(i)
		}
		f.Until(id, rollout.Succeeded)
		stable(t, f, "2")
	})
}
