package peers

import "math"

// Bands holds the empirical distributions of canary and stable against each
// other: it fires when canary's is below stable's somewhere by more than both
// uniform bands allow, so that some quantile of canary is larger.
type Bands struct {
	bounds         map[float64]bandConstant
	canary, stable []float64 // counts in buckets of 2 %
	nc, ns         float64
}

const (
	// bandFactor is A of the published bound, bandStart the number of requests
	// of either track from which on it holds.
	bandFactor = .85
	bandStart  = 100
	// Times are counted in buckets, which are as fine as the judge's sketches.
	bandBuckets = 800
	bandGrowth  = 1.0202
	bandLeast   = .05 // milliseconds
)

type bandConstant float64

// NewBands returns a comparison that may be asked at these levels.
func NewBands(alphas ...float64) *Bands {
	b := &Bands{
		bounds: make(map[float64]bandConstant),
		canary: make([]float64, bandBuckets), stable: make([]float64, bandBuckets),
	}
	for _, alpha := range alphas {
		b.bounds[alpha] = newBandConstant(alpha/2, bandFactor) // half for each track
	}
	return b
}

// Observe takes in how long requests took since the last look, in milliseconds.
func (b *Bands) Observe(canary, stable []float64) {
	for _, ms := range canary {
		b.canary[bucket(ms)]++
	}
	for _, ms := range stable {
		b.stable[bucket(ms)]++
	}
	b.nc += float64(len(canary))
	b.ns += float64(len(stable))
}

// Fires tells whether the bands part, at one of the levels given to NewBands.
func (b *Bands) Fires(alpha float64) bool {
	if b.nc < bandStart || b.ns < bandStart {
		return false
	}
	c := b.bounds[alpha]
	limit := c.bound(b.nc, bandStart, bandFactor) + c.bound(b.ns, bandStart, bandFactor)
	canary, stable := 0., 0.
	for k := range b.canary {
		canary += b.canary[k] / b.nc
		stable += b.stable[k] / b.ns
		if stable-canary > limit {
			return true
		}
	}
	return false
}

func bucket(ms float64) int {
	k := int(math.Log(max(ms, bandLeast)/bandLeast) / math.Log(bandGrowth))
	return min(k, bandBuckets-1)
}

// bound returns how far an empirical distribution of t values may be from the
// true one, at all times from start on.
func (c bandConstant) bound(t, start, factor float64) float64 {
	return factor * math.Sqrt((math.Log1p(math.Log(t/start))+float64(c))/t)
}

// newBandConstant returns the C for which the bound's error is alpha
// (theorem 2 of arXiv:1906.09712).
func newBandConstant(alpha, factor float64) bandConstant {
	low, high := 1., 100.
	for range 60 {
		mid := (low + high) / 2
		if bandError(mid, factor) > alpha {
			low = mid
		} else {
			high = mid
		}
	}
	return bandConstant(high)
}

// bandError returns the least error that any width of the epochs gives.
func bandError(c, factor float64) float64 {
	failure := func(eta float64) float64 {
		root := factor - math.Sqrt(2*(eta-1)/c)
		g := 2 / eta * root * root
		if root <= 0 || g <= 1 {
			return math.Inf(1)
		}
		return 4 * math.Exp(-g*c) * (1 + 1/((g-1)*math.Log(eta)))
	}
	const steps = 200
	best, at := math.Inf(1), 1.
	for i := 1; i < steps; i++ {
		eta := 1 + (2*factor*factor-1)*float64(i)/steps
		if e := failure(eta); e < best {
			best, at = e, eta
		}
	}
	step := (2*factor*factor - 1) / steps
	for range 60 {
		step /= 1.5
		for _, eta := range []float64{at - step, at + step} {
			if e := failure(eta); eta > 1 && e < best {
				best, at = e, eta
			}
		}
	}
	return best
}
