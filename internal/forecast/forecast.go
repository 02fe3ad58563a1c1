// Package forecast tells beforehand how a rollout's steps will be decided. The
// judge is played to by numbers; this is where they come from, and they are
// always the same: so the same plan has the same forecast.
package forecast

import (
	"math/rand/v2"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// Steps tells of each step of a spec when it is expected to be decided at a
// traffic, see rollout.Spec.Forecast.
func Steps(spec rollout.Spec, t rollout.Traffic) []rollout.StepForecast {
	return spec.Forecast(t, Numbers)
}

// Numbers returns one of many fixed sequences of numbers in [0, 1), which look as
// if they were drawn at random.
func Numbers(sequence int) func() float64 {
	const stream = 2
	return rand.New(rand.NewPCG(uint64(sequence), stream)).Float64
}
