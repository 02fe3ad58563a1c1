package traffic

import (
	"math"
	"math/rand/v2"
)

// many is the mean above which a Poisson number is drawn from the normal law.
const many = 50

// Poisson draws a number of events with a mean: by counting exponential gaps,
// or, above 50, from the normal law, rounded.
func Poisson(rng *rand.Rand, mean float64) int64 {
	if mean > many {
		return max(0, int64(math.Round(mean+math.Sqrt(mean)*rng.NormFloat64())))
	}
	n := int64(0)
	for t := rng.ExpFloat64(); t < mean; t += rng.ExpFloat64() {
		n++
	}
	return n
}

// Binomial draws how many of n events happen that each have probability p. It
// is exact, and takes time in proportion to the rarer outcome.
func Binomial(rng *rand.Rand, n int64, p float64) int64 {
	switch {
	case n <= 0 || p <= 0:
		return 0
	case p > .5:
		return n - Binomial(rng, n, 1-p)
	}
	// The gap to the next event is geometric: an exponential gap, rounded down.
	x, rate := int64(0), -math.Log1p(-p)
	for i := gap(rng, rate, n); i <= n; i += gap(rng, rate, n) {
		x++
	}
	return x
}

func gap(rng *rand.Rand, rate float64, n int64) int64 {
	return int64(min(rng.ExpFloat64()/rate, float64(n))) + 1
}

// Beta draws a rate from the beta law with parameters a and b, both positive.
func Beta(rng *rand.Rand, a, b float64) float64 {
	x, y := gamma(rng, a), gamma(rng, b)
	if x+y == 0 {
		return 0
	}
	return x / (x + y)
}

// gamma draws from the gamma law of unit scale (Marsaglia and Tsang 2000). A
// shape below 1 is drawn from the next higher one.
func gamma(rng *rand.Rand, shape float64) float64 {
	if shape < 1 {
		return gamma(rng, shape+1) * math.Exp(-rng.ExpFloat64()/shape)
	}
	d := shape - 1./3
	c := 1 / math.Sqrt(9*d)
	for {
		x := rng.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v *= v * v
		if -rng.ExpFloat64() < x*x/2+d*(1-v+math.Log(v)) {
			return d * v
		}
	}
}
