package peers

import (
	"math"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
)

// fewest is how many errors the tests that rest on the normal law wait for.
const fewest = 5

// Z is what most dashboards do: pool all requests so far, and test as if this
// were the only look. The zero value has seen nothing.
type Z struct{ sum analysis.Table }

// Observe takes in what the hosts served since the last look.
func (z *Z) Observe(_ time.Duration, hosts []analysis.Table) { pool(&z.sum, hosts) }

// Fires tells whether the one-sided test is significant at alpha.
func (z *Z) Fires(alpha float64) bool {
	t := z.sum
	n, x := float64(t.CanaryN+t.StableN), float64(t.CanaryX+t.StableX)
	if t.CanaryN == 0 || t.StableN == 0 || x < fewest || x == n {
		return false
	}
	p := x / n
	se := math.Sqrt(p * (1 - p) * (1/float64(t.CanaryN) + 1/float64(t.StableN)))
	return math.Erfc(difference(t)/se/math.Sqrt2)/2 < alpha
}

// MSPRT is the mixture sequential probability ratio test with a normal prior on
// the difference of two rates, as used for A/B tests that are watched. The
// variance is an estimate, so it is not exact. The zero value has seen nothing.
type MSPRT struct{ sum analysis.Table }

// prior is the standard deviation of the differences that MSPRT looks for.
const prior = .01

// Observe takes in what the hosts served since the last look.
func (m *MSPRT) Observe(_ time.Duration, hosts []analysis.Table) { pool(&m.sum, hosts) }

// Fires tells whether the mixture exceeds 1/alpha and canary is the worse one.
func (m *MSPRT) Fires(alpha float64) bool {
	t := m.sum
	d := difference(t)
	if t.CanaryX+t.StableX < fewest || !(d > 0) {
		return false
	}
	variance := rateVariance(t.CanaryX, t.CanaryN) + rateVariance(t.StableX, t.StableN)
	if variance <= 0 {
		return false
	}
	const tau2 = prior * prior
	lnE := math.Log(variance/(variance+tau2))/2 + d*d*tau2/(2*variance*(variance+tau2))
	return lnE >= -math.Log(alpha)
}

func pool(sum *analysis.Table, hosts []analysis.Table) {
	for _, t := range hosts {
		sum.CanaryN += t.CanaryN
		sum.CanaryX += t.CanaryX
		sum.StableN += t.StableN
		sum.StableX += t.StableX
	}
}

// difference is canary's error rate less stable's.
func difference(t analysis.Table) float64 {
	return float64(t.CanaryX)/float64(t.CanaryN) - float64(t.StableX)/float64(t.StableN)
}

// rateVariance is the variance of an estimated rate.
func rateVariance(x, n int64) float64 {
	p := float64(x) / float64(n)
	return p * (1 - p) / float64(n)
}
