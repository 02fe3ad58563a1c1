package show

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/goldentest"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// judged is a verdict with a gate of every kind.
func judged() *api.Verdict {
	return &api.Verdict{
		Outcome: "wait", Gate: "errors", Reason: "5xx 0.41% on canary; undecided", Needed: 338,
		Canary: api.Counts{Requests: 2468, Errors: 10}, Stable: api.Counts{Requests: 24630, Errors: 96},
		Gates: []api.Gate{
			{
				Name: "errors", Kind: api.KindErrors, Outcome: "wait", Allowed: new(50), Needed: 338,
				Canary: &api.Counts{Requests: 2468, Errors: 10}, Stable: &api.Counts{Requests: 24630, Errors: 96},
			},
			{Name: "latency-p99", Kind: api.KindLatency, Outcome: "pass", Allowed: new(2000), CanaryTime: 182_400, StableTime: 180_100},
			{
				Name: "latency-p50", Kind: api.KindLatency, Outcome: "fail", Observe: true, Allowed: new(0),
				Canary: &api.Counts{Requests: 100, Errors: 60}, Stable: &api.Counts{Requests: 1000, Errors: 500},
			},
			{Name: "saturation", Kind: api.KindSaturation, Outcome: "fail", Allowed: new(2000), CanaryMemory: 300 << 20, StableMemory: 118 << 20},
			{Name: "orders", Kind: api.KindRate, Outcome: "wait", Allowed: new(25), Needed: 7, Canary: &api.Counts{Requests: 10}, Stable: &api.Counts{}},
			{
				Name: "queue", Kind: api.KindCondition, Outcome: "wait",
				Reason: "queue is false, 1 of 3 times running: canary.queue 12, stable.queue 3; asked: canary.queue < 10",
			},
			{
				Name: "ratings", Kind: api.KindRate, Outcome: "skip", Allowed: new(100), Canary: &api.Counts{}, Stable: &api.Counts{},
				Note: "3 messages were not counted; the last: revision: \"1.6\" has no users; of checkout these have: 1.3.2 (r1), 1.4.0 (r2)",
			},
			{
				Name: "latency-p90", Kind: api.KindLatency, Outcome: "wait", Allowed: new(1000),
				Reason: "p90 20 ms on canary, 19 ms on stable (+5 %); allowed +10 %; undecided; too close to the limit to say how long it will take",
			},
		},
		Outlier: "web-02", OutlierReason: "5xx 9.00% there",
	}
}

// TestGateTable: one line for each gate, within 80 columns, readable without
// colour; with colour the columns stay.
func TestGateTable(t *testing.T) {
	var b, coloured strings.Builder
	plainly().gates(&b, judged())
	goldentest.Compare(t, "gates.txt", b.String())
	for line := range strings.SplitSeq(b.String(), "\n") {
		if n := utf8.RuneCountInString(line); n > lineWidth {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	o := plainly()
	o.Palette.On = true
	o.gates(&coloured, judged())
	stripped := coloured.String()
	for _, code := range []string{plain, red, green, yellow, cyan, reset} {
		stripped = strings.ReplaceAll(stripped, code, "")
	}
	if stripped != b.String() || stripped == coloured.String() {
		t.Errorf("colour moves the columns:\n%s", stripped)
	}
	o = plainly()
	o.Wide = true
	b.Reset()
	o.gates(&b, judged())
	if !strings.Contains(b.String(), "asked: canary.queue < 10\n") {
		t.Errorf("wide cuts text:\n%s", b.String())
	}
}

// TestGatesOfALaterRelease: what is not known is shown as it came.
func TestGatesOfALaterRelease(t *testing.T) {
	d := detail()
	data := `{"outcome":"ponder","gate":"horoscope","phase_of_moon":3,"gates":[
		{"name":"horoscope","kind":"stars","outcome":"retrograde","house":7,"allowed_bp":50,"canary":{"requests":4,"errors":1,"wishes":2}}]}`
	if err := json.Unmarshal([]byte(data), &d.Verdict); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := plainly().Explain(&out, d); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "horoscope  retrograde  25.00%  -       +0.5 points  -") {
		t.Error(out.String())
	}
}

func TestBars(t *testing.T) {
	for share, want := range map[float64]string{
		-1: "[----]", 0: "[----]", 0.001: "[#---]", 0.5: "[##--]", 0.99: "[###-]", 1: "[####]", 3: "[####]",
	} {
		if got := Bar(share, 4); got != want {
			t.Errorf("%v: %s, want %s", share, got, want)
		}
	}
	if got := Bar(0.5, 0); got != "[]" {
		t.Errorf("no cells: %s", got)
	}
}

// TestBounds: what is not known is not drawn.
func TestBounds(t *testing.T) {
	for name, x := range map[string]struct {
		gate                    api.Gate
		estimate, limit, bounds string
	}{
		"nothing": {api.Gate{Kind: api.KindErrors}, "", "", ""},
		"errors": {
			api.Gate{
				Kind: api.KindErrors, Allowed: new(50), Stable: &api.Counts{Requests: 1000, Errors: 4}, Odds: &api.Odds{Value: 1100, Low: 600, High: 2100},
				Evidence: &api.Evidence{Fail: -20, FailLimit: 6000, Safe: 9000, SafeLimit: 4600},
			},
			"odds 1.1 (0.60 to 2.1)", "0.90%", "within [####] 100%  beyond [----] 0%",
		},
		"errors without stable": {api.Gate{Kind: api.KindErrors, Allowed: new(50), Stable: &api.Counts{}, Odds: &api.Odds{Value: 1000, Low: 10, High: 1_000_000}}, "odds not known yet", "", ""},
		"latency":               {api.Gate{Kind: api.KindLatency, Threshold: 216_000, Evidence: &api.Evidence{}}, "", "216ms", "within [----] 0%  beyond [----] 0%"},
		"saturation":            {api.Gate{Kind: api.KindSaturation, Allowed: new(2000)}, "", "", ""},
	} {
		if got := Estimate(x.gate); got != x.estimate {
			t.Errorf("%s: estimate %q", name, got)
		}
		if got := Limit(x.gate); got != x.limit {
			t.Errorf("%s: limit %q", name, got)
		}
		if got := plainly().Bounds(x.gate, 4); got != x.bounds {
			t.Errorf("%s: bounds %q", name, got)
		}
	}
}

// TestLinesStayLines: in a pipe, what is waited for has one line, however many
// gates there are, and is told once in a step.
func TestLinesStayLines(t *testing.T) {
	var out bytes.Buffer
	l := NewLines(&out, plainly())
	d := detail()
	d.Verdict = judged()
	d.Verdict.Gates = d.Verdict.Gates[:2]
	l.Status(d, now())
	for _, waiting := range []string{"holds for 57s more", "web-02: 0 of 1 canary containers ready; holds", "holds for 55s more"} {
		d.Waiting = waiting
		l.Status(d, now())
	}
	d.Step = 3
	l.Status(d, now())
	want := `22:14:54 checkout-7 step 2/3  20% on 3 of 12 hosts  5xx 0.41% vs 0.39%  holds for 58s more
22:14:54 checkout-7 step 2/3  20% on 3 of 12 hosts  5xx 0.41% vs 0.39%  web-02: 0 of 1 canary containers ready; holds
22:14:54 checkout-7 step 3/3  20% on 3 of 12 hosts  5xx 0.41% vs 0.39%  holds for 55s more
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestServiceShowsGatesAndHeldHosts(t *testing.T) {
	d := detail()
	d.Verdict = judged()
	d.Verdict.Gates, d.Verdict.Outlier = d.Verdict.Gates[:2], ""
	d.Waiting = "waits for evidence: " + d.Verdict.Reason
	d.Excluded = []api.Exclusion{{Host: "web-02", Why: "canary is bad on web-02 alone: 5xx 9.00% there"}}
	s := api.ServiceStatus{
		Service: "checkout", Stable: &api.Revision{Version: "1.3.2"}, Running: true, Rollout: &d.RolloutStatus,
		Held: []api.HeldHost{
			{Host: "web-07", Version: "1.3.0", Rollout: "checkout-5", Why: "canary containers died on web-07: exit code 137, out of memory, thrice"},
			{Host: "web-08", Version: "1.3.1"},
		},
	}
	var one, all bytes.Buffer
	if err := plainly().Service(&one, s); err != nil {
		t.Fatal(err)
	}
	goldentest.Compare(t, "service.txt", one.String())
	if err := plainly().Services(&all, []api.ServiceStatus{{Service: "billing"}, s}); err != nil {
		t.Fatal(err)
	}
	goldentest.Compare(t, "services-held.txt", all.String())
}

// finding is one of 57 errors in 2468 requests against 101 in 24630.
func finding(outcome analysis.Outcome) analysis.Finding {
	return analysis.Finding{
		Gate: "errors", Outcome: outcome,
		Canary: analysis.Counts{Requests: 2468, Errors: 57}, Stable: analysis.Counts{Requests: 24630, Errors: 101},
		MaxIncrease: 50, Odds: 5000, OddsLow: 2000, OddsHigh: 20_000,
		Worse: 20_000, Beyond: 9393, FailLimit: 5298, Safe: -100, SafeLimit: 2996,
		Reason: "5xx 2.31% (57 of 2468) on canary, 0.41% (101 of 24630) on stable; allowed +0.50 points; canary is beyond that: ...",
	}
}

// TestExplainShowsEachGatesNumbers: of a decision, all gates that acted.
func TestExplainShowsEachGatesNumbers(t *testing.T) {
	within := finding(analysis.Pass)
	within.Gate, within.Quantile, within.MaxIncrease, within.Safe = "latency-p99", 9900, 2000, 3690
	within.Reason, within.Odds, within.OddsLow, within.OddsHigh = "p99 182 ms on canary, 180 ms on stable (+1 %); allowed +20 %; canary is within that: ...", 250, 10, 1_000_000
	silent := finding(analysis.Wait)
	silent.Gate, silent.Beyond, silent.Reason = "orders", 0, "nothing has been heard of orders for 1m5s; before: 5xx 0.00%"
	queue := analysis.Finding{Gate: "queue", Outcome: analysis.Pass, Reason: "queue holds: canary.queue 3"}
	observed := finding(analysis.Fail)
	observed.Gate, observed.Observe = "watched", true
	quiet := observed
	quiet.Gate, quiet.Outcome = "quiet", analysis.Pass
	bad := finding(analysis.Fail)
	bad.Host = "web-02"
	decided := func(v analysis.Verdict, kind rollout.Kind, text string) api.Decision {
		v.Reason = v.Findings[0].Reason
		return api.DecisionOf(rollout.Event{Wall: began, Kind: kind, Rollout: "a-1", Phase: rollout.RollingBack, Text: text + ": " + v.Reason, Verdict: &v})
	}
	d := api.RolloutDetail{Explanation: "It went back.", Decisions: []api.Decision{
		decided(analysis.Verdict{Outcome: analysis.Fail, Gate: "errors", Findings: []analysis.Finding{bad, within, queue, observed, quiet}}, rollout.KindRollingBack, "rolling back at step 2 of 2"),
		decided(analysis.Verdict{Outcome: analysis.Fail, Gate: "orders", Findings: []analysis.Finding{silent}}, rollout.KindPaused, "paused"),
		api.DecisionOf(rollout.Event{Wall: began, Kind: rollout.KindExcluded, Rollout: "a-1", Phase: rollout.Progressing, Text: "web-02 goes back to stable", Host: "web-02", Blame: []string{"web-02"}}),
		api.DecisionOf(rollout.Event{Wall: began, Kind: rollout.KindRolledBack, Rollout: "a-1", Phase: rollout.RolledBack, Text: "rolled back", Blame: []string{"web-01", "web-02"}, Lost: []string{"web-09"}}),
	}}
	var out bytes.Buffer
	if err := plainly().Explain(&out, d); err != nil {
		t.Fatal(err)
	}
	goldentest.Compare(t, "explain.txt", out.String())
}

// TestHeldHostsAreMarked in the tables of hosts.
func TestHeldHostsAreMarked(t *testing.T) {
	h := api.HostStatus{Host: "web-02", Live: true, Services: []api.HostService{
		{Service: "checkout", Held: true, Settled: true, Stable: "r1", StableReady: 1},
		{Service: "search", Held: true, Settled: true, Problem: "p"},
		{Service: "shop", Settled: true, Deaths: 1, Death: "exit code 1; its last words: no such table"},
	}}
	var out bytes.Buffer
	if err := plainly().Host(&out, h); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"checkout= search!", "held back: serin release checkout web-02", "the last death: exit code 1; its last words: no such table"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q:\n%s", want, out.String())
		}
	}
}
