package demo

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/analysis/traffic"
	"github.com/serin-rollouts/serin/internal/localfleet"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/specfile"
)

// TestPredicted: what the summary says of the bad scenario is what the judge
// takes in simulated fleets like the demo's, by the demo's own rollout file.
func TestPredicted(t *testing.T) {
	const runs = 1000
	var took []int64
	for seed := range uint64(runs) {
		s := simulate(t, scenarioOf(Bad), seed+1)
		for s.verdict.Outcome == analysis.Wait && s.fleet.Now() < limit {
			s.look()
		}
		if s.verdict.Gate != errorsGate {
			t.Fatalf("seed %d: %s by %q", seed+1, s.verdict.Outcome, s.verdict.Gate)
		}
		took = append(took, s.verdict.Canary.Requests)
	}
	slices.Sort(took)
	// What `make demo-verdicts` holds the real demo to.
	if low, high := took[2], took[runs-3]; low < 90 || high > 1030 {
		t.Errorf("all but a few take from %d to %d canary requests", low, high)
	}
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

// TestSlowIsFound: at the demo's rate and weight the slow version is found out
// in the time that there is, and a good one in its place is not.
func TestSlowIsFound(t *testing.T) {
	const runs = 40
	good := scenarioOf(Slow)
	good.version = "v2"
	var after time.Duration
	for seed := range uint64(runs) {
		slow, fast := simulate(t, scenarioOf(Slow), seed+1), simulate(t, good, seed+1)
		for slow.verdict.Outcome == analysis.Wait && slow.fleet.Now() < limit {
			slow.look()
			fast.look()
		}
		if slow.verdict.Gate != latencyGate || slow.verdict.Outcome != analysis.Fail || slow.fleet.Now() > 2*time.Minute {
			t.Errorf("seed %d: v4: %s by %q after %s", seed+1, slow.verdict.Outcome, slow.verdict.Gate, slow.fleet.Now())
		}
		if fast.verdict.Outcome == analysis.Fail {
			t.Errorf("seed %d: v2 failed: %s", seed+1, fast.verdict.Reason)
		}
		after = max(after, slow.fleet.Now())
	}
	t.Logf("at most %s", after)
}

// simulation is a scenario's first step in a simulated fleet.
type simulation struct {
	fleet   *traffic.Fleet
	panel   *analysis.Panel
	verdict analysis.Verdict
}

// simulate plays a scenario over v1 on three hosts, by its own rollout file.
func simulate(t *testing.T, c scenario, seed uint64) *simulation {
	t.Helper()
	spec := parse(t, c)
	share := float64(spec.Steps[0].Weight) / rollout.Full
	stable, canary := version(t, "v1"), version(t, c.version)
	scene := traffic.Scene{
		Hosts: 3, Stable: 1, PerSecond: rate * share, Share: share, Every: time.Second,
		Rate: traffic.Fixed(stable.ErrorPercent/100, canary.ErrorPercent/100),
	}
	if len(spec.Gates.Latency) > 0 {
		scene.StableTimes, scene.CanaryTimes = times(stable), times(canary)
	}
	return &simulation{fleet: traffic.NewFleet(scene, seed), panel: analysis.NewPanel(spec.Gates.Judging().Attempt(0))}
}

func version(t *testing.T, tag string) localfleet.Version {
	t.Helper()
	for _, v := range localfleet.Versions() {
		if v.Tag == tag {
			return v
		}
	}
	t.Fatalf("there is no %s", tag)
	return localfleet.Version{}
}

func times(v localfleet.Version) func(*rand.Rand) traffic.Times {
	return func(*rand.Rand) traffic.Times {
		return func(rng *rand.Rand) func() float64 {
			return func() float64 { return v.Reply(rng.Uint64()).Took.Seconds() * 1000 }
		}
	}
}

// look takes in a round of reports.
func (s *simulation) look() {
	s.fleet.Advance()
	for _, r := range s.fleet.Reports() {
		report := analysis.Report{
			Host: r.Host, Incarnation: r.Incarnation, At: r.At, CanaryInstances: 1,
			Canary: analysis.Counts(r.Canary), Stable: map[string]analysis.Counts{},
		}
		for name, n := range r.Stable {
			report.Stable[name] = analysis.Counts(n)
		}
		for _, l := range r.Latencies {
			report.Latencies = append(report.Latencies, analysis.Latency{
				Canary: l.Container == "", Instance: l.Container, Requests: l.Requests, Lines: l.Requests, Sketch: l.Sketch,
			})
		}
		s.panel.Observe(report)
	}
	s.verdict = s.panel.Verdict(s.fleet.Now())
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
