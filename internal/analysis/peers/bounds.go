package peers

import "math"

// StitchedQuantile returns how far, in requests, the number of t values below
// the true p-quantile may be from p*t at any time, with probability 1-alpha and
// tightest at about t0 (theorem 3 of arXiv:1906.09712).
func StitchedQuantile(p, t, alpha, t0 float64) float64 {
	const delta, s, eta = .5, 1.4, 2
	k1 := (math.Pow(eta, .25) + math.Pow(eta, -.25)) / math.Sqrt2
	k2 := (math.Sqrt(eta) + 1) / 2
	t = max(t, t0)
	odds := math.Log(p / (1 - p))
	r := p
	if p < .5 {
		r = min(.5, 1/(1+math.Exp(-odds-2*delta*math.Sqrt(t0*eta/t))))
	}
	variance := r * (1 - r)
	epoch := math.Sqrt(t/t0)*math.Abs(odds)/(2*delta) + 1
	z := zeta(s)
	l := s*math.Log(math.Log(eta*t/t0)) + s*math.Log(epoch) +
		math.Log(2*z*(2*z+1)/(alpha*math.Pow(math.Log(eta), s)))
	skew := k2 * (1 - 2*p) / 3 * l
	return delta*math.Sqrt(eta*t*variance/t0) + math.Sqrt(k1*k1*variance*t*l+skew*skew) + skew
}

// zeta is Riemann's function for s > 1, by Euler and Maclaurin.
func zeta(s float64) float64 {
	const n = 20
	sum := math.Pow(n, 1-s)/(s-1) + math.Pow(n, -s)/2 + s*math.Pow(n, -s-1)/12 -
		s*(s+1)*(s+2)*math.Pow(n, -s-3)/720
	for k := 1; k < n; k++ {
		sum += math.Pow(float64(k), -s)
	}
	return sum
}

// RateMixture is the beta-binomial mixture of Howard, Ramdas, McAuliffe and
// Sekhon 2021 (propositions 6 and 7) for sums of values that fall g below or
// rise h above their mean at most.
type RateMixture struct {
	g, h, weight float64
	oneSided     bool
}

// NewRateMixture returns the mixture that is tightest at the variance v0 and
// the level alpha.
func NewRateMixture(v0, alpha, g, h float64, oneSided bool) RateMixture {
	if oneSided {
		alpha *= 2
	}
	l := -math.Log(alpha)
	rho := v0 / (2*l + math.Log1p(2*l))
	return RateMixture{g: g, h: h, weight: max(rho-g*h, 1e-3*g*h), oneSided: oneSided}
}

// Evidence returns ln of the mixture at the sum s with variance v.
func (m RateMixture) Evidence(s, v float64) float64 {
	g, h := m.g, m.h
	return v/(g*h)*math.Log(g+h) -
		(v+h*s)/(h*(g+h))*math.Log(g) - (v-g*s)/(g*(g+h))*math.Log(h) +
		m.logBeta((m.weight+v-g*s)/(g*(g+h)), (m.weight+v+h*s)/(h*(g+h))) -
		m.logBeta(m.weight/(g*(g+h)), m.weight/(h*(g+h)))
}

func (m RateMixture) logBeta(a, b float64) float64 {
	whole := lgamma(a) + lgamma(b) - lgamma(a+b)
	if !m.oneSided {
		return whole
	}
	return whole + math.Log(betaBelow(a, b, m.h/(m.g+m.h)))
}

// betaBelow is the probability that a beta variable is below x, by the
// continued fraction of the incomplete beta function.
func betaBelow(a, b, x float64) float64 {
	if x > (a+1)/(a+b+2) {
		return 1 - betaBelow(b, a, 1-x)
	}
	front := math.Exp(lgamma(a+b) - lgamma(a) - lgamma(b) + a*math.Log(x) + b*math.Log1p(-x))
	fraction := 0. // evaluated from its tail
	for m := 200.; m >= 1; m-- {
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		odd := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		fraction = even / (1 + odd/(1+fraction))
	}
	first := -(a + b) * x / (a + 1)
	return front / a / (1 + first/(1+fraction))
}

// RateInterval returns a confidence sequence at level 1-alpha for a rate of
// which x in n have been seen, tightest at about n0.
func RateInterval(x, n, alpha, n0 float64) (low, high float64) {
	rejected := func(p float64) bool {
		m := NewRateMixture(p*(1-p)*n0, .05, p, 1-p, false)
		return m.Evidence(x-p*n, p*(1-p)*n) > -math.Log(alpha)
	}
	bisect := func(out, in float64) float64 {
		for range 60 {
			if mid := (out + in) / 2; rejected(mid) {
				out = mid
			} else {
				in = mid
			}
		}
		return in
	}
	seen := x / n
	low, high = 0, 1
	if x > 0 {
		low = bisect(0, seen)
	}
	if x < n {
		high = bisect(1, seen)
	}
	return low, high
}
