package peers

import (
	"math"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
)

// Multinomial tests whether errors fall on the tracks in the parts in which the
// traffic was meant to be split. It never sees how many requests there were.
type Multinomial struct {
	share float64
	sum   analysis.Table
}

// NewMultinomial returns a test for a canary that is meant to get this share.
func NewMultinomial(share float64) *Multinomial { return &Multinomial{share: share} }

// Observe takes in what the hosts served since the last look.
func (m *Multinomial) Observe(_ time.Duration, hosts []analysis.Table) { pool(&m.sum, hosts) }

// Fires tells whether the evidence exceeds 1/alpha and canary has too many errors.
func (m *Multinomial) Fires(alpha float64) bool {
	x, y := m.sum.CanaryX, m.sum.StableX
	if float64(x) <= m.share*float64(x+y) {
		return false
	}
	lnE := MultinomialEvidence([]int64{x, y}, []float64{m.share, 1 - m.share}, 1)
	return lnE >= -math.Log(alpha)
}

// MultinomialEvidence returns ln of the Bayes factor against the probabilities
// theta, with a Dirichlet prior that is centred there and has this weight.
func MultinomialEvidence(counts []int64, theta []float64, weight float64) float64 {
	alpha := make([]float64, len(theta))
	null := 0.
	for i, p := range theta {
		alpha[i] = weight * p
		null += float64(counts[i]) * math.Log(p)
	}
	return dirichletMarginal(counts, alpha) - null
}

// dirichletMarginal returns ln of the probability of a sequence with these
// counts under a Dirichlet prior.
func dirichletMarginal(counts []int64, alpha []float64) float64 {
	sum, prior, all := 0., 0., 0.
	for i, n := range counts {
		sum += lgamma(alpha[i]+float64(n)) - lgamma(alpha[i])
		prior += alpha[i]
		all += float64(n)
	}
	return sum + lgamma(prior) - lgamma(prior+all)
}

func lgamma(x float64) float64 {
	v, _ := math.Lgamma(x)
	return v
}

// Blocks is the sequential test of two rates by blocks, one block for each host
// and look: exact, whatever the common rate of a block is.
type Blocks struct {
	canary, stable learner
	lnE            float64
}

// blockPrior is the weight of a success and of a failure before there are any;
// it is the authors' default.
const blockPrior = .18

type learner struct{ n, x float64 }

func (l learner) rate() float64 { return (l.x + blockPrior) / (l.n + 2*blockPrior) }

// Observe takes in what the hosts served since the last look.
func (b *Blocks) Observe(_ time.Duration, hosts []analysis.Table) {
	before := *b
	for _, t := range hosts {
		if t.CanaryN == 0 || t.StableN == 0 {
			continue
		}
		b.lnE += blockEvidence(t, before.canary.rate(), before.stable.rate())
		b.canary = learner{b.canary.n + float64(t.CanaryN), b.canary.x + float64(t.CanaryX)}
		b.stable = learner{b.stable.n + float64(t.StableN), b.stable.x + float64(t.StableX)}
	}
}

// Fires tells whether the evidence exceeds 1/alpha and canary is the worse one.
func (b *Blocks) Fires(alpha float64) bool {
	return b.lnE >= -math.Log(alpha) && b.canary.rate() > b.stable.rate()
}

// blockEvidence returns ln of the e-value of one block for the two rates.
func blockEvidence(t analysis.Table, p, q float64) float64 {
	nc, ns := float64(t.CanaryN), float64(t.StableN)
	common := (nc*p + ns*q) / (nc + ns)
	return logBernoulli(t.CanaryN, t.CanaryX, p) + logBernoulli(t.StableN, t.StableX, q) -
		logBernoulli(t.CanaryN+t.StableN, t.CanaryX+t.StableX, common)
}

func logBernoulli(n, x int64, p float64) float64 {
	return float64(x)*math.Log(p) + float64(n-x)*math.Log1p(-p)
}
