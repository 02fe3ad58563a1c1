package demo

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/localfleet"
	"github.com/serin-rollouts/serin/internal/rollout"
)

var began = time.UnixMilli(1_000_000)

// ended is a rollout of a scenario that was taken back by a gate.
func ended(c scenario, gate string, stats localfleet.Stats) measurement {
	return measurement{
		result:  result{from: "v1", to: c.version, Outcome: string(rollout.RolledBack), Requests: 9000, Seconds: 45},
		stats:   stats,
		verdict: rollout.Event{Wall: began.UnixMilli() + 40_000, Verdict: &analysis.Verdict{Gate: gate, Reason: "because", Canary: analysis.Counts{Requests: 1600}}},
		final:   rollout.Event{ZeroMillis: 46},
	}
}

// TestReportOfGates: what a version showed first is where its detection begins,
// and the gate that did not find it is told.
func TestReportOfGates(t *testing.T) {
	seen := map[string]time.Time{"v3": began, "v4": began, "v5": began.Add(time.Second)}
	r := report{Hosts: 3, Replicas: 3}
	r.take(scenarioOf(Bad), ended(scenarioOf(Bad), errorsGate, localfleet.Stats{AppErrors: 9, Began: seen, FirstBad: began.Add(10 * time.Second)}))
	r.take(scenarioOf(Slow), ended(scenarioOf(Slow), latencyGate, localfleet.Stats{Began: seen}))
	r.take(scenarioOf(Leak), ended(scenarioOf(Leak), saturationGate, localfleet.Stats{Began: seen}))
	for want, b := range map[int64]*takenBack{30_000: r.Bad, 40_000: r.Slow, 39_000: r.Leak} {
		if b.DetectMillis != want || b.RollbackMillis != 46 || b.CanaryRequests != 1600 {
			t.Errorf("%s: %+v, want %d ms", b.to, b, want)
		}
	}
	if err := r.check(); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		"v1 → v4  RolledBack       9000       0  45s", "v4 was found out by gate latency-p99 in 40s", "v5 was found out by gate saturation",
		"decided after 1600 canary requests: simulated fleets take 350 in the median, and at most 634 in 95 of 100",
	} {
		if !strings.Contains(r.String(), want) {
			t.Errorf("does not say %q:\n%s", want, r)
		}
	}
	r.Slow.Gate, r.Leak.Outcome, r.Bad.Failed = errorsGate, string(rollout.Succeeded), 2
	err := r.check()
	for _, want := range []string{`v4 ended RolledBack by gate "errors", not by latency-p99`, "v5 ended Succeeded", "2 requests failed"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("check does not say %q: %v", want, err)
		}
	}
}

// TestReportKeepsItsShape: what was not shown is not in it, and who read it
// before reads it on.
func TestReportKeepsItsShape(t *testing.T) {
	text, err := json.Marshal(example())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"good":{"outcome":"Succeeded","requests":11632,"failed":0,"seconds":58.3},` +
		`"bad":{"outcome":"RolledBack","requests":3242,"failed":0,"seconds":16.4,"gate":"errors","reason":"5xx 5.84%",` +
		`"canary_requests":308,"canary_errors":19,"detect_ms":13600,"rollback_ms":46},"hosts":3,"replicas":3}`
	if string(text) != want {
		t.Errorf("%s\nwant %s", text, want)
	}
}

// TestGoodRuns: whatever becomes of a good version, it counts once, and so does
// what a gate that is only observed says of it.
func TestGoodRuns(t *testing.T) {
	var one, other goodRuns
	end := func(g *goodRuns, phase rollout.Phase, v *analysis.Verdict) {
		g.add(measurement{result: result{Outcome: string(phase), Requests: 100, Failed: 1}, alarmed: alarm(v)})
	}
	says := func(observe bool, o analysis.Outcome) *analysis.Verdict {
		return &analysis.Verdict{Findings: []analysis.Finding{{}, {Observe: observe, Outcome: o}}}
	}
	end(&one, rollout.Succeeded, nil)
	end(&one, rollout.Succeeded, says(true, analysis.Fail))
	end(&other, rollout.RolledBack, says(false, analysis.Fail))
	end(&other, rollout.Aborted, says(true, analysis.Wait))
	got := one.plus(other)
	want := goodRuns{Runs: 4, Succeeded: 2, FalseRollbacks: 1, FalseAlarms: 1, Requests: 400, Failed: 4}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	r := report{GoodRuns: &got}
	if err := r.check(); err == nil || !strings.Contains(err.Error(), "of 4 good rollouts 2 succeeded") || !strings.Contains(err.Error(), "4 requests failed") {
		t.Errorf("check: %v", err)
	}
	if text := r.String(); !strings.Contains(text, "2 of 4") || !strings.Contains(text, "of 4 good rollouts 1 went back") {
		t.Errorf("does not tell it:\n%s", text)
	}
}
