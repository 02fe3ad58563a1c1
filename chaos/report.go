package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/chaos/check"
	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/chaos/nemesis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Report is what came out of a run.
type Report struct {
	Nemesis  string               `json:"nemesis"`
	Seed     uint64               `json:"seed"`
	Seconds  float64              `json:"seconds"`
	Faults   map[string]FaultKind `json:"faults"`   // by kind
	Missed   []string             `json:"missed"`   // faults that could not be made: they are not counted, and why
	Rollouts map[string]int       `json:"rollouts"` // by how they ended
	// Versions is what became of the rollouts of each version.
	Versions map[string]check.Fate `json:"versions"`
	Calls    int                   `json:"calls"` // of operators, answered or not
	Requests int                   `json:"requests"`
	Failed   Failures              `json:"failed"`
	Checked  []check.Amount        `json:"checked"` // how much of the run each promise was checked on
	// Violations are broken promises: none is what a run is for.
	Violations []check.Violation `json:"violations"`
}

// FaultKind is how often the fleet was broken in one way, and how long it took at
// most from the mending until it was whole.
type FaultKind struct {
	Injected       int     `json:"injected"`
	SlowestSeconds float64 `json:"slowest_recovery_seconds"`
}

// Failures are failed requests by what they are due to.
type Failures struct {
	Serin int `json:"serin"` // it: there have to be none
	Fault int `json:"fault"` // what the nemesis did to the users' way
	App   int `json:"app"`   // a version that answers nobody
}

// NewReport sums a run up.
func NewReport(r *history.Record, violations []check.Violation) Report {
	report := Report{
		Nemesis: r.Nemesis, Seed: r.Seed, Seconds: r.Took.Round(time.Millisecond).Seconds(), Faults: map[string]FaultKind{},
		Rollouts: map[string]int{}, Versions: check.Fates(r), Calls: len(r.Ops), Requests: len(r.Requests), Checked: check.Amounts(r), Violations: violations,
	}
	for _, f := range r.Faults {
		if f.Missed {
			report.Missed = append(report.Missed, fmt.Sprintf("%s of %s at %.2fs: %s", f.Kind, strings.Join(f.Targets, ","), f.Began.Seconds(), f.Note))
			continue
		}
		kind := report.Faults[f.Kind]
		kind.Injected++
		kind.SlowestSeconds = max(kind.SlowestSeconds, (f.Recovered - f.Healed).Round(time.Millisecond).Seconds())
		report.Faults[f.Kind] = kind
	}
	for _, e := range r.End.Events {
		if e.Kind == rollout.KindSucceeded || e.Kind == rollout.KindRolledBack || e.Kind == rollout.KindAborted {
			report.Rollouts[string(e.Phase)]++
		}
	}
	why := check.Why(r)
	for _, q := range r.Requests {
		if !q.Failed() {
			continue
		}
		switch why(q) {
		case check.Fault:
			report.Failed.Fault++
		case check.App:
			report.Failed.App++
		case check.None:
			report.Failed.Serin++
		}
	}
	return report
}

// Text is the report for people.
func (r Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nnemesis %s, seed %d, %.0f s\n", r.Nemesis, r.Seed, r.Seconds)
	fmt.Fprintf(&b, "  %-22s %8s  %s\n", "fault", "injected", "slowest recovery")
	injected := 0
	for _, kind := range slices.Sorted(maps.Keys(r.Faults)) {
		fmt.Fprintf(&b, "  %-22s %8d  %.2f s\n", kind, r.Faults[kind].Injected, r.Faults[kind].SlowestSeconds)
		injected += r.Faults[kind].Injected
	}
	fmt.Fprintf(&b, "%d faults injected\n", injected)
	for _, missed := range r.Missed {
		fmt.Fprintf(&b, "NOT INJECTED: %s\n", missed)
	}
	total, ends := sum(r.Rollouts)
	fmt.Fprintf(&b, "%d rollouts run: %s; %d calls of operators\n", total, ends, r.Calls)
	for _, version := range slices.Sorted(maps.Keys(r.Versions)) {
		v := r.Versions[version]
		total, ends := sum(v.Ends)
		fmt.Fprintf(&b, "  %-8s %-24s %3d: %s\n", version, cmp.Or(v.Ill, "nothing is wrong with it"), total, ends)
	}
	fmt.Fprintf(&b, "%d requests served, %d failed: %d due to faults, %d to versions that answer nobody, %d to serin\n",
		r.Requests-r.Failed.sum(), r.Failed.sum(), r.Failed.Fault, r.Failed.App, r.Failed.Serin)
	b.WriteString("checked:\n")
	for _, a := range r.Checked {
		fmt.Fprintf(&b, "  %s\n", a)
	}
	for _, a := range check.Unchecked(r.Checked) {
		fmt.Fprintf(&b, "NOT CHECKED: %s: there were no %s\n", a.Promise, a.Of)
	}
	fmt.Fprintf(&b, "%d violations\n", len(r.Violations))
	const shown = 20
	for i, v := range r.Violations {
		if i == shown {
			fmt.Fprintf(&b, "  and %d more\n", len(r.Violations)-shown)
			break
		}
		fmt.Fprintf(&b, "  %s\n", v)
	}
	return b.String()
}

// Empty tells whether the run was a long one of everything and nonetheless had
// nothing to check one of the promises on that need it.
func (r Report) Empty() bool {
	const long = 600
	return r.Nemesis == nemesis.Mix && r.Seconds >= long && len(check.Unchecked(r.Checked)) > 0
}

// Private

// sum adds up how rollouts ended, and says it in words.
func sum(ends map[string]int) (total int, text string) {
	var all []string
	for _, end := range slices.Sorted(maps.Keys(ends)) {
		total += ends[end]
		all = append(all, fmt.Sprintf("%d %s", ends[end], end))
	}
	return total, strings.Join(all, ", ")
}

func (f Failures) sum() int { return f.Serin + f.Fault + f.App }
