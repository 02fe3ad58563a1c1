package api_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
)

// TestVerdictOfAPanel: what a real panel says of gates of every kind arrives
// with its kind and the numbers that this kind has.
func TestVerdictOfAPanel(t *testing.T) {
	p := analysis.NewPanel(analysis.Gates{
		Errors:  analysis.RateGate{Conduct: analysis.Conduct{Name: "errors"}, MaxIncrease: 50},
		Latency: []analysis.LatencyGate{{Conduct: analysis.Conduct{Name: "latency-p99", Observe: true}, Quantile: 9900, MaxIncrease: 2000}},
		Rates: []analysis.RateGate{
			{Conduct: analysis.Conduct{Name: "orders"}, MaxIncrease: analysis.NoIncrease, Noun: "failed orders"},
			{Conduct: analysis.Conduct{Name: "ratings", Optional: true}, MaxIncrease: 50},
		},
		Usage:      &analysis.UsageGate{Conduct: analysis.Conduct{Name: "saturation"}, MaxMemory: 2000, MaxThrottled: 1000},
		Conditions: []analysis.ConditionGate{{Conduct: analysis.Conduct{Name: "queue"}}},
	})
	p.Restart(0, analysis.Step{})
	for n := range int64(20) {
		all := analysis.Counts{Requests: 100 * n, Errors: n}
		p.Observe(analysis.Report{
			Host: "a", Incarnation: "1", At: time.Duration(n) * 5 * time.Second, Canary: all,
			Stable: map[string]analysis.Counts{"s": all}, CanaryInstances: 1,
			Signals: map[string]analysis.Signal{"orders": {Canary: all, Stable: map[string]analysis.Counts{"s": all}}},
			Usage:   []analysis.Usage{{Canary: true, Instance: "c", Memory: 50 << 20}, {Instance: "s", Memory: 40 << 20}},
		})
	}
	p.Tell("queue", analysis.Told{At: 90 * time.Second, Held: true, Text: "canary.queue 3"})
	got := map[string]api.Gate{}
	var order []string
	for _, g := range api.VerdictOf(p.Verdict(100 * time.Second)).Gates {
		got[g.Name] = g
		order = append(order, g.Name+" "+g.Kind)
	}
	want := []string{
		"errors errors", "latency-p99 latency", "orders rate", "ratings rate", "saturation saturation", "queue condition",
	}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Fatal(diff)
	}
	for name, allowed := range map[string]int{"errors": 50, "latency-p99": 2000, "orders": 0} {
		if g := got[name]; g.Allowed == nil || *g.Allowed != allowed {
			t.Errorf("%s allows %v, want %d", name, g.Allowed, allowed)
		}
	}
	if g := got["errors"]; g.Canary.Requests == 0 || g.Odds == nil || g.Odds.Low > g.Odds.Value || g.Evidence.FailLimit == 0 || g.Hosts != 1 {
		t.Errorf("errors: %+v", g)
	}
	if g := got["latency-p99"]; !g.Observe || g.Quantile != 9900 || g.Odds != nil {
		t.Errorf("latency: %+v", g)
	}
	if g := got["saturation"]; g.CanaryMemory != 50<<20 || g.StableMemory != 40<<20 || g.Allowed != nil {
		t.Errorf("saturation: %+v", g)
	}
	if g := got["queue"]; g.Outcome != api.OutcomePass || g.Canary != nil || g.Evidence != nil {
		t.Errorf("condition: %+v", g)
	}
}

// TestVerdictSaysWhatAGateCameTo: for the rollout, which silence and missing
// data may make another thing than the gate's own opinion.
func TestVerdictSaysWhatAGateCameTo(t *testing.T) {
	waits := []analysis.Finding{{Gate: "a", Outcome: analysis.Pass}, {Gate: "b"}, {Gate: "c", Observe: true}}
	for _, c := range []struct {
		verdict analysis.Verdict
		want    []string
	}{
		{analysis.Verdict{Outcome: analysis.Wait, Gate: "b", Findings: waits}, []string{"pass", "wait", "wait"}},
		{analysis.Verdict{Outcome: analysis.Fail, Gate: "b", Findings: waits}, []string{"pass", "fail", "wait"}},
		{analysis.Verdict{Outcome: analysis.Pass, Findings: waits}, []string{"pass", "skip", "wait"}},
	} {
		var got []string
		for _, g := range api.VerdictOf(c.verdict).Gates {
			got = append(got, g.Outcome)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s of %q: %s", c.verdict.Outcome, c.verdict.Gate, diff)
		}
	}
}

// TestEvidenceForARollBack is the weaker of the two that it takes.
func TestEvidenceForARollBack(t *testing.T) {
	f := analysis.Finding{Gate: "errors", Canary: analysis.Counts{Requests: 1}, Worse: 9000, Beyond: 6000, FailLimit: 4605, MaxIncrease: 50}
	evidence := func() int64 {
		return api.VerdictOf(analysis.Verdict{Findings: []analysis.Finding{f}}).Gates[0].Evidence.Fail
	}
	if got := evidence(); got != 6000 {
		t.Errorf("beyond a margin: %d", got)
	}
	f.MaxIncrease, f.Beyond = 0, 0
	if got := evidence(); got != 9000 {
		t.Errorf("without a margin: %d", got)
	}
}

func TestOdd(t *testing.T) {
	for size, want := range map[int64]int64{-500: 1, 0: 1, 4605: 99, 9393: 12_004, 1 << 50: 1_000_000} {
		if got := (api.Evidence{}).Odd(size); got != want {
			t.Errorf("%d: %d, want %d", size, got, want)
		}
	}
}
