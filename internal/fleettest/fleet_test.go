package fleettest_test

import (
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/fleettest"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// gated is a rollout in three steps that looks at errors.
const gated = `,"replicas":2,"gates":{"errors":{"max_increase":"1%"}},"steps":[{"hosts":1,"weight":"20%"},{"hosts":"100%","weight":"50%","hold":"1m"},{"hosts":"100%","weight":"100%","hold":"30s"}]`

func TestGoodVersion(t *testing.T) {
	fleettest.Run(t, fleettest.Options{}, func(f *fleettest.Fleet) {
		f.Install("1", gated)
		f.Push("2", fleettest.App{})
		id := f.Start(api.Trigger{ID: "2", Image: fleettest.Image("2")})
		f.Until(id, rollout.Succeeded)
		stable(t, f, "2")
		if got := f.Traffic(); got.Canary == 0 || got.Errors > 0 {
			t.Errorf("%+v", got)
		}
	})
}

// anHour is an hour, or the part of it that fits into a run of the tests.
func anHour() time.Duration {
	if racing || testing.Short() {
		return 3 * time.Minute
	}
	return time.Hour
}

// stable fails the test unless a version is the stable one.
func stable(t *testing.T, f *fleettest.Fleet, version string) {
	t.Helper()
	if got := f.State().Services[fleettest.Service].Stable.Version(); got != version {
		t.Errorf("%s is stable, not %s", got, version)
	}
}

func TestBadVersionsAreTakenBack(t *testing.T) {
	for _, c := range []struct {
		name  string
		app   fleettest.App
		cause rollout.Cause
	}{
		{"errors", fleettest.App{Errors: 500}, rollout.CauseGate},
		{"crashes", fleettest.App{DiesAfter: 3 * time.Second}, rollout.CauseDeath},
		{"never ready", fleettest.App{NotReady: true}, rollout.CauseStart},
	} {
		t.Run(c.name, func(t *testing.T) {
			fleettest.Run(t, fleettest.Options{}, func(f *fleettest.Fleet) {
				f.Install("1", gated)
				f.Push("2", c.app)
				id := f.Start(api.Trigger{ID: "2", Image: fleettest.Image("2")})
				if r := f.Until(id, rollout.RolledBack); r.Cause != c.cause {
					t.Errorf("taken back for %s: %s", r.Cause, r.Text)
				}
				stable(t, f, "1")
				events := f.Follow(id)
				if last := events[len(events)-1]; last.Kind != rollout.KindRolledBack {
					t.Errorf("the last event is %s", last.Kind)
				}
			})
		})
	}
}

func TestMissingImageChangesNothing(t *testing.T) {
	fleettest.Run(t, fleettest.Options{}, func(f *fleettest.Fleet) {
		f.Install("1", gated)
		before := f.State().Services[fleettest.Service]
		r := f.Trigger(api.Trigger{ID: "2", Image: fleettest.Image("missing")})
		if r.OK || r.Code != rollout.CodeImage || r.Field != "image" {
			t.Errorf("%+v", r)
		}
		f.Sleep(time.Minute)
		after := f.State().Services[fleettest.Service]
		if after.Epoch != before.Epoch || after.Number != before.Number || after.Active != nil {
			t.Errorf("epoch %d and rollout %d became %d and %d", before.Epoch, before.Number, after.Epoch, after.Number)
		}
	})
}

// TestKilledAgentsFindTheirWay kills agents at any time of a rollout.
func TestKilledAgentsFindTheirWay(t *testing.T) {
	fleettest.Run(t, fleettest.Options{}, func(f *fleettest.Fleet) {
		f.Install("1", gated)
		f.Push("2", fleettest.App{})
		id := f.Start(api.Trigger{ID: "2", Image: fleettest.Image("2")})
		for range 12 {
			host := f.Rand().IntN(3)
			f.KillAgent(host)
			f.Sleep(time.Duration(f.Rand().IntN(3000)) * time.Millisecond)
			f.StartAgent(host)
			f.Sleep(time.Duration(f.Rand().IntN(1000)) * time.Millisecond)
		}
		f.Until(id, rollout.Succeeded)
		stable(t, f, "2")
	})
}

// TestReturningHost comes back after an hour, in which a rollout was taken back
// for its sake and another one went well without it.
func TestReturningHost(t *testing.T) {
	fleettest.Run(t, fleettest.Options{}, func(f *fleettest.Fleet) {
		f.Install("1", gated)
		f.Push("2", fleettest.App{})
		f.Push("3", fleettest.App{})
		second := f.Start(api.Trigger{ID: "2", Spec: fleettest.Spec("2", gated+`,"max_lost":0`)})
		f.UntilStep(second, 2)
		if got := f.Send(2, 100); got.Canary != 50 {
			t.Errorf("before the cut: %+v", got)
		}
		f.CutHost(2)
		f.Sleep(40 * time.Second)
		if got := f.Send(2, 100); got.Canary > 0 || got.Unanswered > 0 {
			t.Errorf("I5: after the lease: %+v", got)
		}
		if r := f.Until(second, rollout.RolledBack); r.Cause != rollout.CauseLost {
			t.Errorf("taken back for %s: %s", r.Cause, r.Text)
		}
		f.Until(f.Start(api.Trigger{ID: "3", Image: fleettest.Image("3")}), rollout.Succeeded)
		f.Sleep(anHour())
		f.HealHost(2)
		stable(t, f, "3")
	})
}

// TestLostHost loses one host of three in a rollout, with its leader; it goes
// well without them, and the host follows when it is back.
func TestLostHost(t *testing.T) {
	fleettest.Run(t, fleettest.Options{}, func(f *fleettest.Fleet) {
		f.Install("1", gated)
		f.Push("2", fleettest.App{})
		id := f.Start(api.Trigger{ID: "2", Image: fleettest.Image("2")})
		f.UntilStep(id, 1)
		f.CutHost(2)
		dead := f.KillLeader()
		r := f.Until(id, rollout.Succeeded)
		if len(r.Lost) != 1 || len(r.Hosts) != 2 {
			t.Errorf("lost %v, went on with %v", r.Lost, r.Hosts)
		}
		f.StartReplica(dead)
		f.HealHost(2)
		stable(t, f, "2")
	})
}

func TestLateJoiner(t *testing.T) {
	fleettest.Run(t, fleettest.Options{Hosts: 2}, func(f *fleettest.Fleet) {
		f.Install("1", gated)
		f.AddHost()
		f.Sleep(time.Minute)
		f.Check()
		f.Push("2", fleettest.App{})
		id := f.Start(api.Trigger{ID: "2", Image: fleettest.Image("2")})
		f.UntilStep(id, 2)
		late := f.AddHost()
		f.Sleep(20 * time.Second)
		if got := f.Send(late, 100); got.Canary > 0 || got.Unanswered > 0 {
			t.Errorf("a host that is not part of the rollout: %+v", got)
		}
		f.Until(id, rollout.Succeeded)
		stable(t, f, "2")
	})
}

// TestContainersDie kills containers of both tracks; the canary's are too few
// deaths to take it back.
func TestContainersDie(t *testing.T) {
	fleettest.Run(t, fleettest.Options{}, func(f *fleettest.Fleet) {
		f.Install("1", gated)
		f.Push("2", fleettest.App{})
		id := f.Start(api.Trigger{ID: "2", Image: fleettest.Image("2")})
		f.UntilStep(id, 2)
		f.KillContainer(0, "1")
		f.KillContainer(1, "2")
		f.Until(id, rollout.Succeeded)
	})
}
