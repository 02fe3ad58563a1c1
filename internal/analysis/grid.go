package analysis

import "math"

// points is the size of the grid of odds ratios, unity the index of the odds ratio 1.
const (
	points = 23
	unity  = 10
)

// vector holds one number for each odds ratio of the grid: a log-likelihood ratio, a sum of such,
// or the logarithm of a weight.
type vector [points]float64

// grid is the fixed set of odds ratios (canary's odds of an error over stable's) on which all
// evidence is kept. Because the set never changes, evidence of different windows and hosts adds.
type grid struct {
	psi vector
	ln  vector
}

func newGrid() grid {
	g := grid{psi: vector{
		.01, .02, .05, .1, .2, .33, .5, .67, .8, .9, 1,
		1.1, 1.25, 1.5, 2, 3, 5, 10, 20, 50, 100, 300, 1000,
	}}
	for k, psi := range g.psi {
		g.ln[k] = math.Log(psi)
	}
	return g
}

// worseWeights returns the logarithms of the weights of the odds ratios above 1: the alternatives of
// the roll-back test. Beyond 100 a window says no more than at 100, for it is clipped; below 1.5 a
// difference takes so much traffic that little is spent on it.
func (g grid) worseWeights() vector {
	return g.logWeights(func(psi float64) float64 {
		switch psi {
		case 1.1, 50, 100:
			return .5
		case 1.25:
			return .75
		case 1.5, 2, 3, 5, 20:
			return 1
		case 10:
			return 2
		}
		return 0
	})
}

// beyondWeights returns the logarithms of equal weights on a few odds ratios above 1: the
// alternatives of the test against the margin. A finer set would cost more than it finds.
func (g grid) beyondWeights() vector {
	return g.logWeights(func(psi float64) float64 {
		switch psi {
		case 1.5, 2, 3, 5, 10, 50:
			return 1
		}
		return 0
	})
}

// saferWeights returns the logarithms of the weights of the relative test for safety. Most of the
// mass lies where a harmless canary is: at odds about equal to stable's.
func (g grid) saferWeights() vector {
	return g.logWeights(func(psi float64) float64 {
		if psi >= .33 && psi <= 1.1 {
			return 4
		}
		return 1
	})
}

// saferThan is saferWeights for a null odds ratio that is fixed: nothing is spent on others.
func (g grid) saferThan(null float64) vector {
	return g.logWeights(func(psi float64) float64 {
		switch {
		case psi >= null:
			return 0
		case psi >= .33 && psi <= 1.1:
			return 4
		}
		return 1
	})
}

func (g grid) logWeights(weight func(psi float64) float64) vector {
	var w vector
	total := 0.0
	for k, psi := range g.psi {
		w[k] = weight(psi)
		total += w[k]
	}
	for k := range w {
		w[k] = math.Log(w[k] / total)
	}
	return w
}

// logSumExp returns ln of the sum of exp(x), without overflow; -Inf for no terms.
func logSumExp(xs ...float64) float64 {
	top := math.Inf(-1)
	for _, x := range xs {
		top = max(top, x)
	}
	if math.IsInf(top, -1) {
		return top
	}
	sum := 0.0
	for _, x := range xs {
		sum += math.Exp(x - top)
	}
	return top + math.Log(sum)
}

// above returns the tempered evidence for each odds ratio above 1 against 1, of the logarithms of
// likelihood ratios lr.
func (g grid) above(lr *vector, phi float64) vector {
	var v vector
	for k := unity + 1; k < points; k++ {
		v[k] = temper(lr[k], phi)
	}
	return v
}

// aboveNull is above against an odds ratio other than 1: for so many times it.
func (g grid) aboveNull(law conditional, lr *vector, null, phi float64) vector {
	if null == 1 {
		return g.above(lr, phi)
	}
	var beyond vector
	for k := unity + 1; k < points; k++ {
		beyond[k] = law.logLR(g.psi[k]*null) - law.logLR(null)
	}
	return g.above(&beyond, phi)
}

// below returns the tempered evidence for each odds ratio below a null one, of the logarithms of
// likelihood ratios lr, and of the null's.
func (g grid) below(lr *vector, null, atNull, phi float64) vector {
	var v vector
	for k, psi := range g.psi {
		if psi < null {
			v[k] = temper(lr[k]-atNull, phi)
		}
	}
	return v
}

// over returns the vector divided by phi, to the quantum.
func (v vector) over(phi float64) vector {
	for k := range v {
		v[k] = math.Round(v[k]/phi/quantum) * quantum
	}
	return v
}

// interval returns the most likely odds ratio of the grid and the ends of a confidence sequence
// at level 1-alpha, of unclipped evidence: ratios outside it are refuted, however often one looks.
func (g grid) interval(odds *pool, alpha float64) (estimate, low, high float64) {
	best, limit := unity, odds.logE()+math.Log(alpha)
	low, high = math.Inf(1), 0
	for k, psi := range g.psi {
		if odds.total[k] > odds.total[best] {
			best = k
		}
		if odds.total[k] > limit {
			low, high = min(low, psi), max(high, psi)
		}
	}
	return g.psi[best], low, high
}
