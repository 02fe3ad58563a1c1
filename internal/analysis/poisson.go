package analysis

import (
	"math"
	"slices"
)

// poisson draws numbers of events from uniform ones, with which they grow: so that a run and one with 1-u
// for each u are each other's mirror image.
type poisson struct {
	mean  float64
	first int64     // the number that the first entry is of
	below []float64 // the chance of that number or less, by number
}

// tabled is the mean above which the normal law stands in.
const tabled = 400

func newPoisson(mean float64) poisson {
	p := poisson{mean: mean}
	if mean <= 0 || mean > tabled {
		return p
	}
	const reach = 9 // standard deviations
	p.first = int64(max(0, mean-reach*math.Sqrt(mean)))
	logs, _ := math.Lgamma(float64(p.first) + 1)
	chance := math.Exp(float64(p.first)*math.Log(mean) - mean - logs)
	sum := 0.0
	for k := p.first; float64(k) <= mean+reach*(1+math.Sqrt(mean)); k++ {
		sum += chance
		p.below = append(p.below, sum)
		chance *= mean / float64(k+1)
	}
	return p
}

// draw returns the number for u, in [0, 1).
func (p poisson) draw(u float64) int64 {
	switch {
	case p.mean <= 0:
		return 0
	case p.below == nil:
		return max(0, int64(math.Round(p.mean+math.Sqrt(2*p.mean)*math.Erfinv(2*min(max(u, 1e-12), 1-1e-12)-1))))
	case u < p.below[0]:
		return p.first
	}
	k, _ := slices.BinarySearch(p.below, u)
	return p.first + int64(k)
}
