package analysis

import (
	"math"

	"github.com/serin-rollouts/serin/internal/latency"
)

// leastLearned is the least number of stable's requests that a threshold is learned from.
const leastLearned = 1000

// band is one threshold of a gate, with its evidence: whether canary is slower than it more often
// than stable, each in the same window of the same host.
type band struct {
	quantile int    // basis points
	vital    bool   // no pass without it
	learned  Counts // stable's past: requests, and those slower than the threshold
	spread   dispersion

	worse broad // against "canary's odds of being slower are no higher than stable's"
	safer pool  // against "they are higher by saferOdds or more"
	odds  pool  // unclipped likelihood over the grid, to show

	canary, stable Counts  // of the step; Errors are the slower ones
	phi            float64 // sum over canary requests of their overdispersion
}

// newBands returns the bands of a quantile, or several for the whole distribution; those that are
// learned from fewer requests come first.
func newBands(quantile int, g grid, long int) []band {
	quantiles, vital := []int{quantile}, func(int) bool { return true }
	if quantile == 0 {
		quantiles = []int{5000, 7500, 9000, 9500, 9900, 9990}
		vital = func(q int) bool { return q == 5000 || q == 9000 || q == 9900 }
	}
	bands := make([]band, len(quantiles))
	for k, q := range quantiles {
		bands[k] = band{
			quantile: q, vital: vital(q), spread: newDispersion(long),
			worse: newBroad(g.worseWeights(), firstShare),
		}
	}
	return bands
}

func (b *band) restartStep(g grid) {
	b.safer = newPool(g.saferThan(saferOdds), 1)
	b.odds = newPool(g.logWeights(func(float64) float64 { return 1 }), 1)
	b.canary, b.stable, b.phi = Counts{}, Counts{}, 0
}

// share returns the quantile as a share of the requests.
func (b *band) share() float64 { return float64(b.quantile) / 1e4 }

// needs returns the number of stable's requests that the threshold is learned from.
func (b *band) needs() int64 {
	return max(leastLearned, int64(math.Ceil(10/(1-b.share())-1e-6)))
}

// Learns returns how many of stable's requests a gate on a quantile in basis points,
// or on the whole distribution (0), learns its first thresholds from in each step.
func Learns(quantile int) int64 {
	most := int64(0)
	for _, b := range newBands(quantile, grid{}, 1) {
		if b.vital || quantile != 0 {
			most = max(most, b.needs())
		}
	}
	return most
}

// learn returns the threshold as stable's past has it.
func (b *band) learn(past *latency.Sketch) (edge latency.Edge, known bool) {
	n := past.Count()
	if n < b.needs() {
		return 0, false
	}
	if edge, known = past.Edge(b.share()); known {
		b.learned = Counts{n, past.Above(edge)}
	}
	return edge, known
}

// control is what canary is held against where stable had no requests: its past, with an upper
// end for a failure and a lower one for a pass. A host may be slower than the fleet.
func (b *band) control(m memory, phi factors) control {
	c := control{nature: alike(), pair: phi.pair, single: phi.single}
	if b.learned.Requests == 0 {
		return c
	}
	c.known = true
	c.low, c.high = bounds(b.learned)
	if m.slow.n > 0 {
		c.high = max(c.high, m.high())
	}
	return c
}

// observe adds the tables of one host-window.
func (b *band) observe(host string, g grid, fail, pass Table, c control) {
	switch {
	case fail.CanaryN == 0:
	case fail.StableN > 0:
		b.compare(host, g, fail, pass, c)
	case c.known:
		high, low := g.oneSample(fail, c.high), g.oneSample(pass, c.low)
		b.worse.addFrom(host, g.above(&high, c.single), c.moment)
		b.odds.add(high.over(c.single))
		b.safer.add(g.below(&low, saferOdds, oneSampleLR(pass.CanaryN, pass.CanaryX, c.low, saferOdds), c.single))
	}
}

func (b *band) compare(host string, g grid, fail, pass Table, c control) {
	var worse vector
	if fail.informative() {
		law := newConditional(fail)
		lr := law.ratios(&g)
		worse = g.aboveNull(law, &lr, c.nature.most, c.pair)
		b.odds.add(lr.over(c.pair))
	}
	b.worse.addFrom(host, worse, c.moment)
	if pass.informative() {
		law := newConditional(pass)
		lr := law.ratios(&g)
		b.safer.add(g.below(&lr, saferOdds, law.logLR(saferOdds), c.pair))
	}
}

// sum adds to the totals that are shown.
func (b *band) sum(t Table, phi factors) {
	b.canary = b.canary.plus(Counts{t.CanaryN, t.CanaryX})
	b.stable = b.stable.plus(Counts{t.StableN, t.StableX})
	f := phi.pair
	if t.StableN == 0 {
		f = phi.single
	}
	b.phi += math.Round(f*1024) / 1024 * float64(t.CanaryN)
}
