package analysis

import (
	"math"
	"slices"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis/traffic"
)

// world is a simulated fleet, and how it is judged.
type world struct {
	traffic.Scene

	config Config
	length time.Duration
}

// result of a run: when it was decided, and by how many canary requests.
type result struct {
	failed, passed int64 // canary requests served until then; 0: never
	last           Finding
}

const tick = 5 * time.Second

// run plays a world, with a look after every round of reports, until Fail, or Pass if stop.
func (w world) run(seed uint64, stopAtPass bool) result {
	j := NewJudge(w.config)
	f := traffic.NewFleet(w.Scene, seed)
	var r result
	for ; f.Now() <= w.length; f.Advance() {
		for _, report := range reportsOf(f) {
			j.Observe(report)
		}
		r.last = j.Finding(f.Now())
		switch {
		case r.last.Outcome == Fail:
			r.failed = f.Canary()
			return r
		case r.last.Outcome == Pass && r.passed == 0:
			r.passed = f.Canary()
			if stopAtPass {
				return r
			}
		}
	}
	return r
}

// reportsOf is what a simulated fleet's hosts report.
func reportsOf(f *traffic.Fleet) []Report {
	var rs []Report
	for _, said := range f.Reports() {
		r := Report{
			Host: said.Host, Incarnation: said.Incarnation, At: said.At,
			Canary: Counts(said.Canary), CanaryInstances: 1, Stable: make(map[string]Counts),
		}
		for name, c := range said.Stable {
			r.Stable[name] = Counts(c)
		}
		rs = append(rs, r)
	}
	return rs
}

// median returns the middle value; runs that never decided count as endless.
func median(xs []int64) int64 {
	xs = slices.Clone(xs)
	for i, x := range xs {
		if x == 0 {
			xs[i] = math.MaxInt64
		}
	}
	slices.Sort(xs)
	return xs[len(xs)/2]
}
