package fleettest_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/fleettest"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// judged is a rollout over all hosts at once with these gates.
func judged(gates string) string {
	return `,"gates":{` + gates + `},"steps":[{"hosts":"100%","weight":"30%"},{"hosts":"100%","weight":"100%"}]`
}

// patient is judged, and holds long enough to see memory grow.
func patient(gates string) string {
	return strings.Replace(judged(gates), `"30%"`, `"30%","hold":"1m"`, 1)
}

// kinds returns the events of one kind of a rollout.
func kinds(f *fleettest.Fleet, id string, kind rollout.Kind) []rollout.Event {
	return slices.DeleteFunc(f.Follow(id), func(e rollout.Event) bool { return e.Kind != kind })
}

// blamed fails the test unless a gate has taken the rollout back.
func blamed(t *testing.T, f *fleettest.Fleet, r rollout.Rollout, gate string) {
	t.Helper()
	back := kinds(f, r.ID, rollout.KindRollingBack)
	if r.Cause != rollout.CauseGate || len(back) != 1 || back[0].Verdict == nil {
		t.Fatalf("taken back for %s: %s", r.Cause, r.Text)
	}
	if v := back[0].Verdict; v.Gate != gate || v.Outcome != analysis.Fail {
		t.Errorf("%s by %q: %s", v.Outcome, v.Gate, v.Reason)
	}
}

// oddHosts are the hosts of a fleet of which one differs.
const (
	oddHosts = 6
	oddHost  = "web-04"
)

// excluded fails the test unless the rollout went on without the odd host alone.
func excluded(t *testing.T, f *fleettest.Fleet, r rollout.Rollout, by string) {
	t.Helper()
	events := kinds(f, r.ID, rollout.KindExcluded)
	if len(events) != 1 || events[0].Host != oddHost || !strings.Contains(events[0].Text, by) {
		t.Errorf("excluded: %+v", events)
	}
	if len(r.Excluded) != 1 || r.Excluded[0].Host != oddHost || len(r.Hosts) != oddHosts-1 {
		t.Errorf("excluded %v, with %v", r.Excluded, r.Hosts)
	}
	held := f.State().Services[fleettest.Service].Held
	if len(held) != 1 || held[oddHost].Version() != "1" {
		t.Errorf("held: %+v", held)
	}
}

// TestOddHostIsExcluded has a version that is bad on one host only, in ways
// other than errors.
func TestOddHostIsExcluded(t *testing.T) {
	const errors = `"errors":{"max_increase":"1%"}`
	for _, c := range []struct {
		name, spec, told string
		app              fleettest.App
	}{
		{"slow", judged(errors + `,"latency":[{"quantile":"p90"}]`), "latency-p90", fleettest.App{Slower: 400}},
		{"leak", patient(errors + `,"saturation":"on"`), "saturation", fleettest.App{Leak: 5}},
		{"crashes", judged(errors), "died", fleettest.App{DiesAfter: 3 * time.Second}},
		{"never ready", judged(errors), "not ready", fleettest.App{NotReady: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fleettest.Run(t, fleettest.Options{Hosts: oddHosts, Logs: c.name == "slow"}, func(f *fleettest.Fleet) {
				f.Install("1", c.spec)
				f.Push("2", fleettest.App{})
				f.Odd(3, "2", c.app)
				excluded(t, f, f.Until(f.Start(api.Trigger{ID: "2", Image: fleettest.Image("2")}), rollout.Succeeded), c.told)
				stable(t, f, "2")
			})
		})
	}
}

// TestExcludedHostComesBack excludes a host, loses the leader that knew why, and
// reaches the host with the next version.
func TestExcludedHostComesBack(t *testing.T) {
	fleettest.Run(t, fleettest.Options{Hosts: oddHosts}, func(f *fleettest.Fleet) {
		f.Install("1", judged(`"errors":{"max_increase":"1%"}`))
		f.Push("2", fleettest.App{})
		f.Odd(3, "2", fleettest.App{Errors: 3000})
		id := f.Start(api.Trigger{ID: "2", Image: fleettest.Image("2")})
		f.UntilTold(id, rollout.KindExcluded)
		f.StartReplica(f.KillLeader())
		excluded(t, f, f.Until(id, rollout.Succeeded), "errors")
		f.Check() // the odd host is left at version 1
		f.Push("3", fleettest.App{})
		f.Until(f.Start(api.Trigger{ID: "3", Image: fleettest.Image("3")}), rollout.Succeeded)
		if held := f.State().Services[fleettest.Service].Held; len(held) > 0 {
			t.Errorf("still held after the next rollout: %+v", held)
		}
	})
}

// TestOddHostIsNotExcluded where the operator wants something else.
func TestOddHostIsNotExcluded(t *testing.T) {
	start := func(f *fleettest.Fleet, answer string) string {
		f.Install("1", judged(`"errors":{"max_increase":"1%"},"one_host":"`+answer+`"`))
		f.Push("2", fleettest.App{})
		f.Odd(3, "2", fleettest.App{Errors: 3000})
		return f.Start(api.Trigger{ID: "2", Image: fleettest.Image("2")})
	}
	t.Run("pause", func(t *testing.T) {
		fleettest.Run(t, fleettest.Options{Hosts: oddHosts}, func(f *fleettest.Fleet) {
			r := f.Until(start(f, "pause"), rollout.Paused)
			if !r.Parked || r.Cause != rollout.CauseHost || !strings.Contains(r.Text, oddHost) {
				t.Errorf("parked %v for %s: %s", r.Parked, r.Cause, r.Text)
			}
			f.Sleep(10 * time.Second)
			for i := range oddHosts {
				if got := f.Send(i, 100); got.Canary > 0 {
					t.Errorf("host %d of a parked rollout: %+v", i, got)
				}
			}
			f.Command(api.Abort, api.Command{Rollout: r.ID, By: "ann"})
			f.Until(r.ID, rollout.Aborted)
			stable(t, f, "1")
		})
	})
	t.Run("fail", func(t *testing.T) {
		fleettest.Run(t, fleettest.Options{Hosts: oddHosts}, func(f *fleettest.Fleet) {
			r := f.Until(start(f, "fail"), rollout.RolledBack)
			back := kinds(f, r.ID, rollout.KindRollingBack)
			if r.Cause != rollout.CauseGate || len(back) != 1 || !slices.Equal(back[0].Blame, []string{oddHost}) {
				t.Errorf("taken back for %s: %+v", r.Cause, back)
			}
		})
	})
}

// timed looks at how long requests take, all of them and those of one route.
const timed = `"errors":{"max_increase":"1%"},"latency":[{"quantile":"p99","max_increase":"20%"},{"quantile":"p90","max_increase":"20%","route":"/api/"}]`

// TestSlowVersion is one that is found slow although the leader dies when it
// has gathered a part of the evidence.
func TestSlowVersion(t *testing.T) {
	fleettest.Run(t, fleettest.Options{Logs: true}, func(f *fleettest.Fleet) {
		f.Install("1", judged(`"errors":{"max_increase":"1%"},"latency":[{"quantile":"p99","max_increase":"20%"}]`))
		f.Push("2", fleettest.App{Slower: 50})
		id := f.Start(api.Trigger{ID: "2", Image: fleettest.Image("2")})
		f.UntilStep(id, 1)
		f.Sleep(40 * time.Second) // the first 30 s are too cold to tell
		r := f.Status().Rollout
		if r.Phase != rollout.Progressing || r.Verdict == nil || len(r.Verdict.Gates) != 2 || r.Verdict.Gates[1].Canary.Requests == 0 {
			t.Fatalf("no part of the evidence: %+v", r)
		}
		f.StartReplica(f.KillLeader())
		blamed(t, f, f.Until(id, rollout.RolledBack), "latency-p99")
		stable(t, f, "1")
	})
}

// TestSlowRoute is slow where few of the slowest requests are.
func TestSlowRoute(t *testing.T) {
	fleettest.Run(t, fleettest.Options{Logs: true}, func(f *fleettest.Fleet) {
		f.Install("1", judged(timed))
		f.Push("2", fleettest.App{})
		f.Until(f.Start(api.Trigger{ID: "2", Image: fleettest.Image("2")}), rollout.Succeeded)
		stable(t, f, "2")
		f.Push("3", fleettest.App{SlowAPI: 40})
		r := f.Until(f.Start(api.Trigger{ID: "3", Image: fleettest.Image("3")}), rollout.RolledBack)
		blamed(t, f, r, "latency-p90-api")
		stable(t, f, "2")
	})
}

// TestLeak is a version that holds more and more memory.
func TestLeak(t *testing.T) {
	fleettest.Run(t, fleettest.Options{}, func(f *fleettest.Fleet) {
		f.Install("1", patient(`"errors":{"max_increase":"1%"},"saturation":"on"`))
		f.Push("2", fleettest.App{Leak: 5})
		blamed(t, f, f.Until(f.Start(api.Trigger{ID: "2", Image: fleettest.Image("2")}), rollout.RolledBack), "saturation")
		stable(t, f, "1")
	})
}

// TestAgentsDieWhileLatencyIsJudged: what their deaths hide of the log delays a
// good version, and does not fail it.
func TestAgentsDieWhileLatencyIsJudged(t *testing.T) {
	fleettest.Run(t, fleettest.Options{Logs: true}, func(f *fleettest.Fleet) {
		f.Install("1", judged(timed))
		f.Push("2", fleettest.App{})
		id := f.Start(api.Trigger{ID: "2", Image: fleettest.Image("2")})
		f.UntilStep(id, 1)
		for i := range 6 {
			f.KillAgent(i % 3)
			f.Sleep(time.Duration(f.Rand().IntN(5000)) * time.Millisecond)
			f.StartAgent(i % 3)
			f.Sleep(time.Duration(f.Rand().IntN(10_000)) * time.Millisecond)
		}
		f.Until(id, rollout.Succeeded)
		stable(t, f, "2")
	})
}
