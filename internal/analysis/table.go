package analysis

import "math"

// Table is a 2x2 table of one host-window: how many requests each track served (N), and how many
// of them were bad (X). What "bad" means is the metric's affair: a 5xx answer for errors, slower
// than a fixed threshold for latency. All tests work on tables and know nothing else.
type Table struct {
	CanaryN, CanaryX int64
	StableN, StableX int64
}

// compares tells whether both tracks served requests.
func (t Table) compares() bool { return t.CanaryN > 0 && t.StableN > 0 }

// informative tells whether the conditional test can learn anything: both tracks served, and
// neither none nor all of the requests were bad.
func (t Table) informative() bool {
	bad, all := t.CanaryX+t.StableX, t.CanaryN+t.StableN
	return t.compares() && bad > 0 && bad < all
}

// LogLR returns ln of the likelihood that canary's odds of a bad request are psi times stable's,
// over the likelihood that they are equal, given the table's margins: the atom of all evidence,
// for those who want to check it. A table that tells nothing gives 0.
func (t Table) LogLR(psi float64) float64 {
	if !t.informative() {
		return 0
	}
	return newConditional(t).logLR(psi)
}

// shortSum is the number of terms up to which their ratios are computed once for the whole grid.
const shortSum = 64

// longSum is the number of terms above which the sum over tables starts at its largest term.
const longSum = 4096

// conditional is the law of a table given its margins, Fisher's noncentral hypergeometric
// distribution. The nuisance, stable's error rate in that window, has cancelled out: whatever it
// was, incident or not, the law depends on the odds ratio alone.
type conditional struct {
	nc, ns, bad float64 // margins: canary's and stable's requests, bad requests of both
	x           float64 // canary's bad requests
	kmin, kmax  float64 // support of x
	central     float64 // normaliser at odds ratio 1
}

func newConditional(t Table) conditional {
	c := conditional{
		nc: float64(t.CanaryN), ns: float64(t.StableN),
		bad: float64(t.CanaryX + t.StableX), x: float64(t.CanaryX),
	}
	c.kmin, c.kmax = max(0, c.bad-c.ns), min(c.nc, c.bad)
	c.central = c.logSum(1)
	return c
}

// logLR returns ln of the likelihood of odds ratio psi over that of odds ratio 1, exactly 0 at
// psi = 1. Its exponential has expectation 1 when the odds ratio is 1.
func (c conditional) logLR(psi float64) float64 {
	if psi == 1 {
		return 0
	}
	return (c.x-c.kmin)*math.Log(psi) - (c.logSum(psi) - c.central)
}

// ratios returns logLR at all odds ratios of the grid.
func (c conditional) ratios(g *grid) vector {
	var lr vector
	if c.kmax-c.kmin > shortSum {
		for k, psi := range g.psi {
			lr[k] = c.logLR(psi)
		}
		return lr
	}
	var room [shortSum]float64
	ratios := room[:int(c.kmax-c.kmin)]
	for i := range ratios {
		ratios[i] = c.ratio(c.kmin + float64(i))
	}
	for k, psi := range g.psi {
		if k != unity {
			lr[k] = (c.x-c.kmin)*g.ln[k] - (logSeries(ratios, psi) - c.central)
		}
	}
	return lr
}

// ratio returns the weight of k+1 over the weight of k at odds ratio 1; it falls with k.
func (c conditional) ratio(k float64) float64 {
	return (c.bad - k) * (c.nc - k) / ((k + 1) * (c.ns - c.bad + k + 1))
}

// logSum returns ln of the sum over k of w(k)/w(kmin) * psi^(k-kmin), where w(k) is the number of
// ways to have k bad requests on canary.
func (c conditional) logSum(psi float64) float64 {
	if c.kmax-c.kmin > longSum {
		return c.logSumFromMode(psi)
	}
	s := newSeries()
	for k := c.kmin; k < c.kmax; k++ {
		if !s.next(c.ratio(k) * psi) {
			break
		}
	}
	return s.log()
}

// logSeries is logSum of few terms, the ratios of which are known.
func logSeries(ratios []float64, psi float64) float64 {
	s := newSeries()
	for _, r := range ratios {
		if !s.next(r * psi) {
			break
		}
	}
	return s.log()
}

// series is a sum of terms of which each is so many times the one before; the first is 1.
type series struct{ sum, term, scale float64 }

func newSeries() series { return series{sum: 1, term: 1} }

// next adds a term, and tells whether those after it can count.
func (s *series) next(r float64) bool {
	const huge = 1e250
	s.term *= r
	s.sum += s.term
	if s.sum > huge {
		s.scale += math.Log(s.sum)
		s.term /= s.sum
		s.sum = 1
	}
	return r >= 1 || s.term >= 1e-18*s.sum
}

func (s *series) log() float64 { return s.scale + math.Log(s.sum) }

// logSumFromMode is logSum for long sums: it walks outwards from the largest term and stops where
// terms no longer count, so it costs some standard deviations, not the whole support.
func (c conditional) logSumFromMode(psi float64) float64 {
	mode := c.mode(psi)
	sum := 1.0
	for k, term := mode, 1.0; k < c.kmax && term > 1e-18*sum; k++ {
		term *= c.ratio(k) * psi
		sum += term
	}
	for k, term := mode, 1.0; k > c.kmin && term > 1e-18*sum; k-- {
		term /= c.ratio(k-1) * psi
		sum += term
	}
	return c.logWays(mode) - c.logWays(c.kmin) + (mode-c.kmin)*math.Log(psi) + math.Log(sum)
}

// mode returns the k of the largest term, by bisection: ratio*psi falls through 1 there.
func (c conditional) mode(psi float64) float64 {
	lo, hi := c.kmin, c.kmax
	for lo < hi {
		mid := math.Floor((lo + hi) / 2)
		if c.ratio(mid)*psi >= 1 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

func (c conditional) logWays(k float64) float64 {
	return logChoose(c.nc, k) + logChoose(c.ns, c.bad-k)
}

func logChoose(n, k float64) float64 {
	a, _ := math.Lgamma(n + 1)
	b, _ := math.Lgamma(k + 1)
	c, _ := math.Lgamma(n - k + 1)
	return a - b - c
}

// oneSampleLR returns ln of the likelihood of x bad in n requests at odds ratio psi to a known
// rate p, over the likelihood at p itself. It stands in where there is no stable traffic to
// condition on, and serves the tests against an absolute margin.
func oneSampleLR(n, x int64, p, psi float64) float64 {
	return float64(x)*math.Log(psi) - float64(n)*math.Log1p(p*(psi-1))
}

// oneSample returns oneSampleLR of canary's part of a table at all odds ratios of the grid.
func (g grid) oneSample(t Table, p float64) vector {
	var lr vector
	for k, psi := range g.psi {
		lr[k] = oneSampleLR(t.CanaryN, t.CanaryX, p, psi)
	}
	return lr
}
