package analysis

import "math"

const (
	// mixtureCost is about what it costs, in nats, not to know the alternative beforehand.
	mixtureCost = 1.1
	// farAway is the number of requests above which a forecast is no use.
	farAway = 10_000_000
)

// Plan returns about how many canary requests a step takes to pass if canary is exactly as good
// as stable, whose counts so far are given, when each canary instance serves perWindow requests
// in a host-window; 0 if there is no telling.
func Plan(config Config, stable Counts, perWindow int64) int64 {
	config = config.withDefaults()
	q := shrunk(stable, 0)
	spread := newDispersion(config.longBlock())
	phi := spread.single(spread.icc(0), float64(perWindow), 1)
	target := -math.Log(config.alphaSafe()) - math.Log(1-safeRelative) + mixtureCost
	n := forecast(target, growthBelow(q, q+config.safeMargin())/phi)
	if n == 0 {
		return 0
	}
	return max(config.MinRequests, n)
}

// Finds returns about how many canary requests it takes to find a canary that fails in so much more
// of its requests than stable, whose counts so far are given, at a share of the traffic, both as
// parts of 1; 0 if there is no telling, for such a canary is hardly beyond what is allowed.
func Finds(config Config, stable Counts, increase, share float64) int64 {
	config = config.withDefaults()
	q := shrunk(stable, 0)
	rate := min(.999, q+increase)
	// What a request tells of worse: how far the split of the errors is from that of the requests.
	split := share * rate / (share*rate + (1-share)*q)
	growth := (rate + q*(1-share)/share) * divergence(split, share)
	if config.MaxIncrease > 0 {
		limit := min(.999, q+config.margin())
		if rate <= limit {
			return 0
		}
		growth = min(growth, divergence(rate, limit))
	}
	return forecast(-math.Log(config.alpha())+2*mixtureCost, growth)
}

// needed forecasts the canary requests to the nearer decision, at the rates seen so far.
func (j *Judge) needed(s scores) int64 {
	base := shrunk(j.shown(), 0)
	limit := min(.999, base+j.config.safeMargin())
	rate := shrunk(j.step.canary, base)
	phi := 1.0
	if n := j.step.canary.Requests; n > 0 {
		phi = j.step.spread / float64(n)
	}
	if rate > limit && s.against.total == (vector{}) {
		return 0 // nothing to hold it against
	}
	if rate > limit {
		growth := divergence(rate, limit) / phi
		return forecast(s.failLimit+2*mixtureCost-best(&s.against.pool), growth)
	}
	target := s.safeLimit - math.Log(1-safeRelative) + mixtureCost - best(&j.errors.within)
	n := forecast(target, growthBelow(rate, limit)/phi)
	if floor := j.config.MinRequests - j.step.canary.Requests; n > 0 && floor > n {
		return floor
	}
	return n
}

// best returns the largest sum of a pool: what the evidence grows with.
func best(p *pool) float64 {
	top := math.Inf(-1)
	for k, w := range p.weights {
		if !math.IsInf(w, -1) {
			top = max(top, p.total[k])
		}
	}
	return top
}

// forecast returns target/growth as a number of requests, 0 if that is out of reach.
func forecast(target, growth float64) int64 {
	n := math.Ceil(max(1, target/growth))
	if growth <= 0 || math.IsNaN(n) || n > farAway {
		return 0
	}
	return int64(n)
}

// growthBelow returns the expected evidence per request for "below limit" at a true rate p.
func growthBelow(p, limit float64) float64 {
	top := 0.0
	for _, f := range fractions() {
		q := f * limit
		if q == 0 && p > 0 {
			continue
		}
		g := (1 - p) * (math.Log1p(-q) - math.Log1p(-limit))
		if p > 0 {
			g += p * math.Log(q/limit)
		}
		top = max(top, g)
	}
	return top
}

// divergence returns the Kullback-Leibler divergence of rate p from rate q, per request.
func divergence(p, q float64) float64 {
	d := 0.0
	if p > 0 {
		d += p * math.Log(p/q)
	}
	if p < 1 {
		d += (1 - p) * math.Log((1-p)/(1-q))
	}
	return d
}

// shrunk returns a rate drawn towards a guess by the weight of ten requests.
func shrunk(c Counts, guess float64) float64 {
	const weight = 10
	return (float64(c.Errors) + weight*guess) / (float64(c.Requests) + weight)
}
