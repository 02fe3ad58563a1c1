package demo

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/analysis/traffic"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/specfile"
)

// TestPredicted: what the summary says of the bad scenario is what the judge
// takes in simulated fleets like the demo's, by the demo's own rollout file.
func TestPredicted(t *testing.T) {
	const runs = 1000
	var took []int64
	for seed := range uint64(runs) {
		took = append(took, untilFail(t, seed+1))
	}
	slices.Sort(took)
	for _, q := range []struct {
		name  string
		share float64
		said  float64
		apart float64 // by chance, in a thousand runs
	}{{"median", .5, usualRequests, .1}, {"95 of 100", .95, mostRequests, .15}} {
		got := float64(took[int(q.share*runs)])
		t.Logf("%s: %v", q.name, got)
		if math.Abs(got/q.said-1) > q.apart {
			t.Errorf("%s: %v canary requests, the summary says %v", q.name, got, q.said)
		}
	}
}

// untilFail plays a fleet whose canary has 5 % errors until it is found out.
func untilFail(t *testing.T, seed uint64) int64 {
	t.Helper()
	spec := parse(t, scenarioOf(Bad))
	share := float64(spec.Steps[0].Weight) / rollout.Full
	fleet := traffic.NewFleet(traffic.Scene{
		Hosts: 3, Stable: 1, PerSecond: rate * share, Share: share, Every: time.Second, Rate: traffic.Fixed(0, .05),
	}, seed)
	panel := analysis.NewPanel(spec.Gates.Judging())
	for fleet.Now() < limit {
		fleet.Advance()
		for _, r := range fleet.Reports() {
			report := analysis.Report{
				Host: r.Host, Incarnation: r.Incarnation, At: r.At, CanaryInstances: 1,
				Canary: analysis.Counts(r.Canary), Stable: map[string]analysis.Counts{},
			}
			for name, n := range r.Stable {
				report.Stable[name] = analysis.Counts(n)
			}
			panel.Observe(report)
		}
		if v := panel.Verdict(fleet.Now()); v.Outcome == analysis.Fail {
			return v.Canary.Requests
		}
	}
	t.Fatalf("seed %d: nothing found in %s", seed, limit)
	return 0
}

// parse reads a scenario's rollout file as the coordinator does.
func parse(t *testing.T, c scenario) rollout.Spec {
	t.Helper()
	spec, err := specfile.Parse([]byte(fileOf(service, "127.0.0.1:1/serin-demo:"+c.version, "15000", c)))
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	return spec
}
