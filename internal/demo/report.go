package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// report is what the demo came to; of what was not asked for there is nothing.
type report struct {
	Good     *result    `json:"good,omitempty"`
	GoodRuns *goodRuns  `json:"good_runs,omitempty"`
	Bad      *takenBack `json:"bad,omitempty"`
	Slow     *takenBack `json:"slow,omitempty"`
	Leak     *takenBack `json:"leak,omitempty"`
	Hosts    int        `json:"hosts"`
	Replicas int        `json:"replicas"`
}

// result is about one rollout. Failed counts the requests that got no answer,
// or a 5xx that the app did not itself give.
type result struct {
	from, to string
	Outcome  string  `json:"outcome"`
	Requests int     `json:"requests"`
	Failed   int     `json:"failed"`
	Seconds  float64 `json:"seconds"`
}

// takenBack adds what a rollback is measured by.
type takenBack struct {
	result

	want           string // the gate that has to take it back
	Gate           string `json:"gate"`            // the one that did; "": none
	Reason         string `json:"reason"`          // of the verdict, in words
	CanaryRequests int64  `json:"canary_requests"` // that the step's verdict rests on
	CanaryErrors   int    `json:"canary_errors"`   // bad answers that users got
	// DetectMillis is from the first sign to the verdict: the first bad answer,
	// or without any the version's first answer.
	DetectMillis   int64 `json:"detect_ms"`
	RollbackMillis int64 `json:"rollback_ms"` // verdict to the last host's weight 0
}

// goodRuns are many rollouts of versions that are as good as the one before.
type goodRuns struct {
	Runs           int `json:"runs"`
	Succeeded      int `json:"succeeded"`
	FalseRollbacks int `json:"false_rollbacks"`
	// FalseAlarms are rollouts that went on without a host, or that a gate which
	// is only observed would have taken back.
	FalseAlarms int     `json:"false_alarms"`
	Requests    int     `json:"requests"`
	Failed      int     `json:"failed"`
	Seconds     float64 `json:"seconds"`
}

// How many canary requests it takes to see that 5 % errors are more than none
// and one point, at a tenth of the traffic: simulated, in the median and in 95 %
// of all rollouts.
const (
	usualRequests = 350
	mostRequests  = 634
)

// Private

// take notes what became of a scenario.
func (r *report) take(c scenario, m measurement) {
	if c.want == rollout.Succeeded {
		r.Good = &m.result
		return
	}
	b := &takenBack{
		result: m.result, want: c.gate, CanaryErrors: m.stats.AppErrors, RollbackMillis: m.final.ZeroMillis,
	}
	if v := m.verdict.Verdict; v != nil {
		b.Gate, b.Reason, b.CanaryRequests = v.Gate, v.Reason, v.Canary.Requests
	}
	since := m.stats.FirstBad
	if since.IsZero() {
		since = m.stats.Began[c.version]
	}
	if m.verdict.Wall > 0 && !since.IsZero() {
		b.DetectMillis = m.verdict.Wall - since.UnixMilli()
	}
	switch c.name {
	case Bad:
		r.Bad = b
	case Slow:
		r.Slow = b
	case Leak:
		r.Leak = b
	}
}

func (g *goodRuns) add(m measurement) {
	g.Runs++
	switch m.Outcome {
	case string(rollout.Succeeded):
		g.Succeeded++
	case string(rollout.RolledBack):
		g.FalseRollbacks++
	}
	if m.alarmed {
		g.FalseAlarms++
	}
	g.Requests += m.Requests
	g.Failed += m.Failed
}

func (g goodRuns) plus(o goodRuns) goodRuns {
	return goodRuns{
		Runs: g.Runs + o.Runs, Succeeded: g.Succeeded + o.Succeeded, FalseRollbacks: g.FalseRollbacks + o.FalseRollbacks,
		FalseAlarms: g.FalseAlarms + o.FalseAlarms, Requests: g.Requests + o.Requests, Failed: g.Failed + o.Failed,
	}
}

// backs are the rollouts that had to go back, in the order of Scenarios().
func (r report) backs() []*takenBack {
	var all []*takenBack
	for _, b := range []*takenBack{r.Bad, r.Slow, r.Leak} {
		if b != nil {
			all = append(all, b)
		}
	}
	return all
}

func (r report) String() string {
	const row = "  %-8s %-11s %9d %7d  %s\n"
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d hosts, %d coordinator replicas\n", r.Hosts, r.Replicas)
	b.WriteString("  rollout  outcome      requests  failed  took\n")
	line := func(x result) {
		fmt.Fprintf(&b, row, x.from+" → "+x.to, x.Outcome, x.Requests, x.Failed, seconds(x.Seconds))
	}
	if r.Good != nil {
		line(*r.Good)
	}
	if g := r.GoodRuns; g != nil {
		fmt.Fprintf(&b, row, "v1 ↔ v2", fmt.Sprintf("%d of %d", g.Succeeded, g.Runs), g.Requests, g.Failed, seconds(g.Seconds))
	}
	for _, x := range r.backs() {
		line(x.result)
	}
	if g := r.GoodRuns; g != nil {
		fmt.Fprintf(&b, "  of %d good rollouts %d went back; in %d a host was left out, or a gate that is only observed would have taken it back\n", g.Runs, g.FalseRollbacks, g.FalseAlarms)
	}
	for _, x := range r.backs() {
		b.WriteString(x.story())
	}
	return b.String()
}

// story tells how a version was found out.
func (t *takenBack) story() string {
	detect := seconds(float64(t.DetectMillis) / 1000)
	back := fmt.Sprintf("%d ms from the verdict to weight 0 on the last host", t.RollbackMillis)
	if t.want != errorsGate {
		return fmt.Sprintf("  %s was found out by gate %s in %s, %s:\n    %s\n", t.to, t.Gate, detect, back, t.Reason)
	}
	return fmt.Sprintf("  %s answered %d requests with an error: %s from the first to the verdict, %s;\n"+
		"    decided after %d canary requests: simulated fleets take %d in the median, and at most %d in 95 of 100\n",
		t.to, t.CanaryErrors, detect, back, t.CanaryRequests, usualRequests, mostRequests)
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(100 * time.Millisecond)
}

func (r report) write(path string) error {
	if path == "" {
		return nil
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// check fails if the demo did not show what it promises.
func (r report) check() error {
	var wrong []error
	failed := 0
	if g := r.Good; g != nil {
		failed += g.Failed
		if g.Outcome != string(rollout.Succeeded) {
			wrong = append(wrong, fmt.Errorf("the good version ended %s", g.Outcome))
		}
	}
	if g := r.GoodRuns; g != nil {
		failed += g.Failed
		if g.Succeeded != g.Runs {
			wrong = append(wrong, fmt.Errorf("of %d good rollouts %d succeeded", g.Runs, g.Succeeded))
		}
	}
	for _, b := range r.backs() {
		failed += b.Failed
		if b.Outcome != string(rollout.RolledBack) || b.Gate != b.want {
			wrong = append(wrong, fmt.Errorf("%s ended %s by gate %q, not by %s", b.to, b.Outcome, b.Gate, b.want))
		}
	}
	if failed > 0 {
		wrong = append(wrong, fmt.Errorf("%d requests failed", failed))
	}
	return errors.Join(wrong...)
}
