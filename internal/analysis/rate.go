package analysis

import "math"

const (
	// slowDecay and fastDecay are what a window leaves of the memory of stable's rate: about 20
	// windows and about 4.
	slowDecay = .95
	fastDecay = .75
	// slowRequests and fastRequests are to how many requests the views reach back at least from
	// which a low rate is taken: in windows of less than 50, further than high ones.
	slowRequests = 1000
	fastRequests = 200
	// marginWeight is the weight in requests of the past against one window's margins.
	marginWeight = 1000
	// sigmas is the width of the bounds of a frozen baseline, in standard deviations.
	sigmas = 2.33
)

// rate is a decayed count of requests and errors.
type rate struct{ n, x float64 }

func (r rate) after(decay float64, n, x int64) rate {
	return rate{n: r.n*decay + float64(n), x: r.x*decay + float64(x)}
}

// memory is what one host's stable track did lately: a slow and a fast view of its error rate.
// Taking the higher of the two, or the lower, errs to the careful side when the rate drifts. The
// lower needs some requests: of 20, most often none fails, whatever the rate.
type memory struct {
	slow, fast rate // for high
	long, late rate // for low and before
}

func (m memory) after(n, x int64) memory {
	return memory{
		slow: m.slow.after(slowDecay, n, x), fast: m.fast.after(fastDecay, n, x),
		long: m.long.after(max(slowDecay, 1-float64(n)/slowRequests), n, x),
		late: m.late.after(max(fastDecay, 1-float64(n)/fastRequests), n, x),
	}
}

// high returns a rate that stable is unlikely to be far above: half an error is added, so that
// little data mean a high value.
func (m memory) high() float64 { return max(m.slow.up(), m.fast.up()) }

// before is high of the longer views: it chooses the odds ratio that safety is proven against. Too
// low a rate would ask too little, too high a one too much.
func (m memory) before() float64 { return max(m.long.up(), m.late.up()) }

func (r rate) up() float64 { return (r.x + .5) / (r.n + 1) }

// low returns a rate that stable is likely to be above: one standard deviation under the lower
// of the two views.
func (m memory) low() float64 {
	down := func(r rate) float64 {
		if r.n == 0 {
			return 0
		}
		p := r.x / r.n
		return max(0, p-math.Sqrt(p/r.n))
	}
	return min(down(m.long), down(m.late))
}

// bounds returns Wilson's interval for a frozen baseline.
func bounds(c Counts) (low, high float64) {
	n, p := float64(c.Requests), float64(c.Errors)/float64(c.Requests)
	z2 := sigmas * sigmas
	mid := (p + z2/(2*n)) / (1 + z2/n)
	half := sigmas / (1 + z2/n) * math.Sqrt(p*(1-p)/n+z2/(4*n*n))
	return max(0, mid-half), min(1, mid+half)
}

// oddsMargin returns the odds ratio at which a canary is margin above a stable rate of p.
func oddsMargin(p, margin float64) float64 {
	const least, most = 1.05, 50
	q := min(p+margin, .999)
	return max(least, min(most, q/(1-q)*(1-p)/max(p, 1e-9)))
}
