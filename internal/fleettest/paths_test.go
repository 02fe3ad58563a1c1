package fleettest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/fleettest"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// paced is a rollout whose weights serin chooses. The gate allows less than the
// regression that the pace guards against.
func paced(exposure string) string {
	return `,"pace":{"regression":"5%","exposure":` + exposure + `},"gates":{"errors":{"max_increase":"1%"}}`
}

// wide is a fleet with much traffic.
func wide() fleettest.Options {
	o := fleettest.Options{Hosts: 20, Rate: 100}
	if racing || testing.Short() {
		o = fleettest.Options{Hosts: 8, Rate: 250}
	}
	return o
}

// TestAutomaticPace grows as fast as the risk allows.
func TestAutomaticPace(t *testing.T) {
	fleettest.Run(t, wide(), func(f *fleettest.Fleet) {
		f.Install("1", "")
		f.Push("2", fleettest.App{})
		r := f.Until(f.Start(api.Trigger{ID: "2", Spec: fleettest.Spec("2", paced("1"))}), rollout.Succeeded)
		var weights []int
		for _, e := range kinds(f, r.ID, rollout.KindStep) {
			weights = append(weights, e.Weight)
		}
		// The errors gate takes more than one failure to find such a regression. So the second step
		// adds a twentieth of the 18 that are risked anyway: 5 % of 2,000 requests a second for 7 s, of
		// the 5 % of regressions that get there, at 2.5 % of the traffic. From there it grows fivefold.
		for i, want := range [][2]int{{100, 100}, {200, 320}, {1000, 1600}, {5000, 5000}, {10000, 10000}} {
			if len(weights) != 5 || weights[i] < want[0] || weights[i] > want[1] {
				t.Fatalf("weights %v", weights)
			}
		}
		stable(t, f, "2")
	})
}

// TestExposure counts what a bad version costs.
func TestExposure(t *testing.T) {
	fleettest.Run(t, wide(), func(f *fleettest.Fleet) {
		f.Install("1", "")
		f.Push("2", fleettest.App{Errors: 500})
		r := f.Until(f.Start(api.Trigger{ID: "2", Spec: fleettest.Spec("2", paced("50"))}), rollout.RolledBack)
		blamed(t, f, r, "errors")
		if got := f.Traffic(); got.Errors == 0 || got.Errors > 50 {
			t.Errorf("%d of %d requests to the canary failed, %d of all", got.Errors, got.Canary, got.Requests)
		} else {
			t.Logf("%+v", got)
		}
	})
}

// TestRolling gives whole hosts to the version, wave by wave, so that hosts are
// compared with hosts: by latency only a gross difference tells a version from
// its hosts.
func TestRolling(t *testing.T) {
	const rolling = `,"strategy":"rolling","deadline":"30m","gates":{"errors":{"max_increase":"1%"},"latency":[{"quantile":"p90","max_increase":"20%"}]}`
	for _, c := range []struct {
		name, gate string
		app        fleettest.App
	}{
		{"good", "", fleettest.App{}},
		{"errors", "errors", fleettest.App{Errors: 500}},
		{"slow", "latency-p90", fleettest.App{Slower: 900}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fleettest.Run(t, fleettest.Options{Hosts: oddHosts, Logs: true}, func(f *fleettest.Fleet) {
				f.Install("1", rolling)
				f.Push("2", c.app)
				id := f.Start(api.Trigger{ID: "2", Image: fleettest.Image("2")})
				if c.gate == "" {
					f.Until(id, rollout.Succeeded)
					stable(t, f, "2")
					return
				}
				r := f.Until(id, rollout.RolledBack)
				blamed(t, f, r, c.gate)
				if r.Step > 0 {
					t.Errorf("taken back at step %d", r.Step+1)
				}
				stable(t, f, "1")
			})
		})
	}
}

// TestSilentSource has a gate on a counter that the containers do not have.
func TestSilentSource(t *testing.T) {
	const counter = `"errors":{"max_increase":"1%"},"metrics":[{"name":"pay","bad":"payments_failed_total"`
	for _, c := range []struct {
		name, more string
		phase      rollout.Phase
		cause      rollout.Cause
	}{
		{"required", "", rollout.RolledBack, rollout.CauseDeadline},
		{"not required", `,"required":false`, rollout.Succeeded, ""},
		{"failing", `,"on_silence":"fail"`, rollout.RolledBack, rollout.CauseGate},
	} {
		t.Run(c.name, func(t *testing.T) {
			fleettest.Run(t, fleettest.Options{}, func(f *fleettest.Fleet) {
				f.Install("1", `,"deadline":"4m"`+judged(counter+c.more+`}]`))
				f.Push("2", fleettest.App{Metrics: "something_else_total 7\n"})
				began := time.Now()
				r := f.Until(f.Start(api.Trigger{ID: "2", Image: fleettest.Image("2")}), c.phase)
				if r.Cause != c.cause {
					t.Errorf("%s for %s: %s", r.Phase, r.Cause, r.Text)
				}
				switch took := time.Since(began); {
				case c.cause == rollout.CauseDeadline && (took < 4*time.Minute || r.Step > 0 || !strings.Contains(r.Text, "nothing has been heard")):
					t.Errorf("at step %d after %s: %s", r.Step+1, took, r.Text)
				case c.cause == rollout.CauseGate:
					blamed(t, f, r, "pay")
				}
			})
		})
	}
}
