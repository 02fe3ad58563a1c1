package analysis

import "math"

// RateInterval bounds the share of bad events behind counts, as shares of one.
// The bounds hold with probability 1-alpha at all times at once, so one may look
// after every event: they are the shares p at which a test of p by the uniform
// mixture of likelihoods has not failed, B(k+1, n-k+1) / (p^k (1-p)^(n-k)) < 1/alpha
// (Robbins 1970). Events that come in bursts make them too narrow: they are for a
// picture, and decide nothing. Without events they are 0 and 1.
func RateInterval(c Counts, alpha float64) (low, high float64) {
	n, k := float64(c.Requests), float64(min(max(c.Errors, 0), c.Requests))
	if n <= 0 {
		return 0, 1
	}
	m := mixture{n: n, limit: -math.Log(alpha)}
	low = bisect(0, k/n, func(p float64) bool { return m.holds(k, p) })
	high = bisect(1, k/n, func(p float64) bool { return m.holds(k, p) })
	return low, high
}

// QuantileInterval bounds the quantile q of n times by their ranks: it lies between
// the low and the high quantile of what was seen, with probability 1-alpha at all
// times at once. Without times they are 0 and 1.
func QuantileInterval(n int64, q, alpha float64) (low, high float64) {
	if n <= 0 {
		return 0, 1
	}
	m := mixture{n: float64(n), limit: -math.Log(alpha)}
	low = bisect(0, q, func(rank float64) bool { return m.holds(rank*m.n, q) })
	high = bisect(1, q, func(rank float64) bool { return m.holds(rank*m.n, q) })
	return low, high
}

// Private

// mixture tests shares against n events.
type mixture struct{ n, limit float64 }

// holds reports whether k bad events of n are no sign against the share p.
func (m mixture) holds(k, p float64) bool {
	a, _ := math.Lgamma(k + 1)
	b, _ := math.Lgamma(m.n - k + 1)
	c, _ := math.Lgamma(m.n + 2)
	return a+b-c-timesLog(k, math.Log(p))-timesLog(m.n-k, math.Log1p(-p)) < m.limit
}

// timesLog is k·log where 0 times minus infinity is nothing.
func timesLog(k, log float64) float64 {
	if k == 0 {
		return 0
	}
	return k * log
}

// bisect finds where ok begins between out, where it may not hold, and in, where
// it does.
func bisect(out, in float64, ok func(float64) bool) float64 {
	if ok(out) {
		return out
	}
	for range 50 {
		if middle := (out + in) / 2; ok(middle) {
			in = middle
		} else {
			out = middle
		}
	}
	return in
}
