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

// Finding forecasts how many requests a regression of the stated size fails
// before these gates find it, beside a stable that has counted so: what a rollout
// risks at any weight. It is negative if there is no telling, for the regression
// is hardly more than what the errors gate allows.
func (a Auto) Finding(g Gates, stable analysis.Counts) int64 {
	size := float64(a.Regression) / Full
	n := finds(g.Judging(), stable, size)
	if n == 0 {
		return -1
	}
	return int64(math.Ceil(size * float64(n)))
}

// Kept reports whether Exposure can be relied on where Finding forecasts so many
// failures. Where the regression is near the limit of what is allowed, they are up
// to 1.6 times as many in simulation.
func (a Auto) Kept(finding int64) bool { return finding >= 0 && 8*finding <= 5*a.Exposure }

// Private

// next chooses the weight that follows a step that has passed: the largest with
// which a regression of the stated size is still expected to fail no more than
// Exposure requests over the whole rollout, until it is taken back.
//
// A regression that is there from the beginning has passed k steps with
// probability alphaSafe^k at most, taking the steps for independent: the evidence
// of each is its own. In each step that it reaches it meets the n requests that it
// takes to find it, and the traffic for the time of a reaction. With a fleet's
// traffic of L requests a second and a regression of d, a step of weight w adds
//
//	alphaSafe^k * d * (n + L*w*reaction)
//
// expected failures. What does not depend on the weights chosen is risked anyway:
// the first step, and d*n of those after it. Of what Exposure leaves beside that,
// the next step takes three quarters at most: the weight grows fivefold at most
// and the factor before it falls to a twentieth, so what follows adds less than
// the last quarter. Where the test itself takes as much as Exposure or more, which
// a plan tells, no weight keeps it: then the steps from the second on add no more
// than a tenth of what is risked anyway. Where no larger weight is that safe yet,
// the same one is taken once more: k grows.
func (a Auto) next(r *Rollout, v analysis.Verdict, now time.Duration) Step {
	step := r.Spec.Steps[r.Step]
	size := float64(a.Regression) / Full
	seconds := max(1, (now - r.StepAt).Seconds())
	// What full weight would fail in the time of a reaction.
	reacting := size * float64(v.Canary.Requests+v.Stable.Requests) / seconds * reaction.Seconds()
	finding := size * float64(finds(r.Judging(r.Anew), v.Stable, size))
	reached, chosen := 1.0, 0.0
	for _, s := range r.Spec.Steps[1 : r.Step+1] {
		reached *= analysis.DefaultAlphaSafe
		chosen += reached * reacting * float64(s.Weight) / Full
	}
	anyway := finding/(1-analysis.DefaultAlphaSafe) + reacting*float64(r.Spec.Steps[0].Weight)/Full
	spare := max(3./4*(float64(a.Exposure)-anyway-chosen), anyway/10*math.Pow(.5, float64(r.Step+1)))
	safe := float64(Full)
	if failing := reached * analysis.DefaultAlphaSafe * reacting; failing > spare {
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
// size, at the share where that takes most.
func finds(g analysis.Gates, stable analysis.Counts, size float64) int64 {
	config := analysis.Config{MaxIncrease: g.Errors.MaxIncrease, Alpha: analysis.Together(g.Shares()[g.Errors.Name])}
	return analysis.Finds(config, stable, size, float64(halfway)/Full)
}
