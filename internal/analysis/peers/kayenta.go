package peers

import (
	"math"
	"slices"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
)

const (
	// kayentaTolerance, kayentaLevel and kayentaMinutes are how Kayenta's judge
	// is set by default, and after how many minutes it is first asked here.
	kayentaTolerance = .25
	kayentaLevel     = .98
	kayentaMinutes   = 5
)

// Kayenta compares the minutes' values of a metric by the judge of the same
// name: high if the lower end of a 98 % interval for the shift is above a
// quarter of the estimated shift. It is asked each minute, from the fifth on.
type Kayenta struct {
	minutes        minutes
	canary, stable []float64
	high           bool
}

// Observe takes in what the hosts served since the last look; the metric is the
// error rate.
func (k *Kayenta) Observe(at time.Duration, hosts []analysis.Table) {
	if t, full := k.minutes.observe(at, hosts); full {
		k.Minute(float64(t.CanaryX)/float64(t.CanaryN), float64(t.StableX)/float64(t.StableN))
	}
}

// Minute takes in a minute's value of any metric.
func (k *Kayenta) Minute(canary, stable float64) {
	k.canary, k.stable = append(k.canary, canary), append(k.stable, stable)
	if len(k.canary) >= kayentaMinutes {
		k.high = k.high || High(k.canary, k.stable)
	}
}

// Fires tells whether any minute's judgement was high; alpha has no meaning to it.
func (k *Kayenta) Fires(float64) bool { return k.high }

// High is one judgement.
func High(canary, stable []float64) bool {
	r := newRanks(canary, stable)
	if slices.Equal(r.canary, r.stable) {
		return false
	}
	quantile := math.Sqrt2 * math.Erfinv(kayentaLevel)
	// The interval's lower end is above 0 only if the test rejects a shift of 0.
	if !(r.statistic(0) > quantile) {
		return false
	}
	if r.low >= r.high {
		return true // two constants: the interval is their difference
	}
	return r.root(quantile) > kayentaTolerance*math.Abs(r.root(0))
}

// Shift returns an interval for how much canary's values are shifted against
// stable's, and an estimate: the asymptotic Mann-Whitney test, inverted, with a
// correction for continuity and for ties, as R's wilcox.test does it.
func Shift(canary, stable []float64, level float64) (low, high, estimate float64) {
	r := newRanks(canary, stable)
	quantile := math.Sqrt2 * math.Erfinv(level)
	return r.root(quantile), r.root(-quantile), r.root(0)
}

// ranks compares two samples, each sorted.
type ranks struct {
	canary, stable []float64
	low, high      float64   // the least and the largest difference
	merged         []float64 // scratch
}

func newRanks(canary, stable []float64) *ranks {
	r := &ranks{canary: slices.Sorted(slices.Values(canary)), stable: slices.Sorted(slices.Values(stable))}
	r.low = r.canary[0] - r.stable[len(stable)-1]
	r.high = r.canary[len(canary)-1] - r.stable[0]
	return r
}

// statistic returns the standardised statistic if canary is shifted back by mu.
func (r *ranks) statistic(mu float64) float64 {
	n, m := float64(len(r.canary)), float64(len(r.stable))
	d := -n * m / 2
	for _, x := range r.canary {
		first, _ := slices.BinarySearch(r.stable, x-mu)
		ties := 0
		for first+ties < len(r.stable) && r.stable[first+ties] == x-mu {
			ties++
		}
		d += float64(first) + float64(ties)/2
	}
	variance := n * m / 12 * (n + m + 1 - r.tied(mu)/((n+m)*(n+m-1)))
	if variance <= 0 {
		return math.NaN()
	}
	correction := 0.
	if d != 0 {
		correction = math.Copysign(.5, d)
	}
	return (d - correction) / math.Sqrt(variance)
}

// tied returns the sum of t^3 - t over groups of t equal values.
func (r *ranks) tied(mu float64) float64 {
	r.merged = append(r.merged[:0], r.stable...)
	for _, x := range r.canary {
		r.merged = append(r.merged, x-mu)
	}
	slices.Sort(r.merged)
	sum, run := 0., 1.
	for i := 1; i <= len(r.merged); i++ {
		if i < len(r.merged) && r.merged[i] == r.merged[i-1] {
			run++
			continue
		}
		sum += run*run*run - run
		run = 1
	}
	return sum
}

// root returns the shift at which the statistic, which falls with it, is at the
// quantile.
func (r *ranks) root(quantile float64) float64 {
	low, high := r.low, r.high
	switch {
	case !(r.statistic(low) > quantile):
		return low
	case !(r.statistic(high) < quantile):
		return high
	}
	for range 60 {
		mid := (low + high) / 2
		switch s := r.statistic(mid); {
		case s == quantile:
			return mid
		case s > quantile:
			low = mid
		default:
			high = mid
		}
	}
	return (low + high) / 2
}
