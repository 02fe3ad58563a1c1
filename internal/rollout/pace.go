package rollout

import (
	"math"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
)

const (
	// firstShare is the weight that an automatic pace begins with, in basis
	// points: the traffic is not known before.
	firstShare = 100
	// fastest is by how much a weight may be multiplied from one step to the next.
	fastest = 5
	// halfway is the most before everything: above it stable has too little
	// traffic left to compare with.
	halfway = Full / 2
	// reaction is how long a gross regression lasts before the canary's weight is
	// 0: a window of the analysis, a report, a decision and its broadcast.
	reaction = 7 * time.Second
)

// AutoSteps is the path that an automatic pace begins with; Decide adds steps
// between the two.
func AutoSteps() []Step {
	all := HostCount{Share: Full}
	return []Step{{Hosts: all, Weight: firstShare}, {Hosts: all, Weight: Full}}
}

// Ahead returns the step that an automatic pace puts before the last one now;
// nil where the spec names the next step, or the last one follows.
func (r *Rollout) Ahead(v analysis.Verdict, now time.Duration) *Step {
	if r.Spec.Pace != AutoPace || r.Spec.Auto == nil || r.Install() || r.LastStep() {
		return nil
	}
	if next := r.Spec.Auto.next(r, v, now); next.Weight < Full {
		return &next
	}
	return nil
}

// Private

// next chooses the weight that follows a step that has passed: the largest at
// which no more than Exposure requests are expected to fail before a regression
// of the stated size is taken back.
//
// A regression that is there has passed the steps so far with probability
// alphaSafe each at most, taking the steps for independent: the evidence of each
// is its own. If it is there still, it meets the n requests that it takes to find
// it, and the traffic for the time of a reaction. With k steps passed, a fleet's
// traffic of L requests a second and a regression of d, that makes
// alphaSafe^k * d * (n + L*weight*reaction) failures. n is forecast for half of
// the traffic, where it is highest; a regression that is no more than what is
// allowed is not found at all, and has none. Where no larger weight is that safe
// yet, the same one is taken once more: k grows.
func (a Auto) next(r *Rollout, v analysis.Verdict, now time.Duration) Step {
	step := r.Spec.Steps[r.Step]
	seconds := max(1, (now - r.StepAt).Seconds())
	traffic := float64(v.Canary.Requests+v.Stable.Requests) / seconds
	size := float64(a.Regression) / Full
	passed := math.Pow(analysis.DefaultAlphaSafe, float64(r.Step+1))
	safe := float64(Full)
	found := passed * size * float64(a.finds(r, v, size))
	spare := max(0, float64(a.Exposure)-found)
	if failing := passed * size * traffic * reaction.Seconds(); failing > spare {
		safe = Full * spare / failing
	}
	weight := int(min(float64(step.Weight*fastest), safe))
	if weight > halfway && (weight < Full || step.Weight < halfway) {
		weight = halfway
	}
	weight = max(weight, step.Weight) // the same again: more evidence, at no more risk
	return Step{Hosts: step.Hosts, Weight: weight}
}

// finds forecasts the canary requests that it takes to find a regression of this
// size, where that takes most.
func (a Auto) finds(r *Rollout, v analysis.Verdict, size float64) int64 {
	g := r.Judging(r.Anew)
	config := analysis.Config{MaxIncrease: g.Errors.MaxIncrease, Alpha: analysis.Together(g.Shares()[g.Errors.Name])}
	return analysis.Finds(config, v.Stable, size, float64(halfway)/Full)
}
