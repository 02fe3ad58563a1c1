package traffic

import (
	"math/rand/v2"
	"time"
)

// Mood changes the error rate p of one container for its next step. It may
// remember what it did before.
type Mood func(rng *rand.Rand, step time.Duration, p float64) float64

// Bursts makes containers that fail at a rate for some mean time, once in every
// on average, each for itself: a Markov chain of two states. A burst lasts at
// least one step.
func Bursts(every, mean time.Duration, rate float64) func() Mood {
	return func() Mood {
		bad := false
		return func(rng *rand.Rand, step time.Duration, p float64) float64 {
			if bad {
				bad = rng.Float64() > step.Seconds()/mean.Seconds()
			} else {
				bad = rng.Float64() < step.Seconds()/every.Seconds()
			}
			if bad {
				return rate
			}
			return p
		}
	}
}

// BetaBinomial makes containers whose rate differs from step to step, each for
// itself, so that two requests of one container and step are correlated by icc.
func BetaBinomial(icc float64) func() Mood {
	return func() Mood {
		return func(rng *rand.Rand, _ time.Duration, p float64) float64 {
			weight := 1/icc - 1
			if p <= 0 || p >= 1 {
				return p
			}
			return Beta(rng, p*weight, (1-p)*weight)
		}
	}
}

// Fixed is a rate of stable and one of canary, everywhere and always.
func Fixed(stable, canary float64) func(host int, isCanary bool, at time.Duration) float64 {
	return func(_ int, isCanary bool, _ time.Duration) float64 {
		if isCanary {
			return canary
		}
		return stable
	}
}
