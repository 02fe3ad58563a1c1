package traffic

import (
	"math"
	"math/rand/v2"
)

// Times is the law of how long the requests of one container take. It is called
// for each of its steps, and returns what draws the step's requests, in
// milliseconds.
type Times func(rng *rand.Rand) (draw func() float64)

// Service is how long the requests of a service take: usually lognormal, with
// what real containers add to that.
type Service struct {
	Median, Sigma float64 // of the lognormal law; milliseconds and nats
	// SlowShare of the requests take another way, lognormal around SlowMedian.
	SlowShare, SlowMedian, SlowSigma float64
	// Noise scales each container and step by exp(N(0, Noise)); Persistent each
	// container for good.
	Noise, Persistent float64
	// PauseShare of a container's steps have a pause for garbage, in which
	// three in ten requests take eight times as long.
	PauseShare float64
}

// Containers returns what makes containers of this service.
func (s Service) Containers() func(rng *rand.Rand) Times {
	return func(rng *rand.Rand) Times {
		own := math.Exp(s.Persistent * rng.NormFloat64())
		return func(rng *rand.Rand) func() float64 {
			scale := own * math.Exp(s.Noise*rng.NormFloat64())
			paused := rng.Float64() < s.PauseShare
			return func() float64 { return s.draw(rng, scale, paused) }
		}
	}
}

func (s Service) draw(rng *rand.Rand, scale float64, paused bool) float64 {
	median, sigma := s.Median, s.Sigma
	if s.SlowShare > 0 && rng.Float64() < s.SlowShare {
		median, sigma = s.SlowMedian, s.SlowSigma
	}
	ms := scale * median * math.Exp(sigma*rng.NormFloat64())
	if paused && rng.Float64() < .3 {
		ms *= 8
	}
	return ms
}
