package analysis

import "math"

// safeRelative is the weight of the relative test in the evidence of safety; the test against the
// absolute margin has the rest. Of an average of e-values each may be small.
const safeRelative = .25

// metric is the evidence of one metric of a rollout. It sees tables only, so that another metric
// (requests slower than a threshold) is another metric with other tables; the e-values of several
// metrics are then averaged, not multiplied, for the same requests are in all.
type metric struct {
	grid   grid
	worse  broad // against "canary's odds are no higher than stable's"
	beyond broad // against "canary's rate is at most the margin above stable's"

	safer  pool // against "canary's odds are higher by the margin or more"
	within pool // against "canary's rate is above stable's by the margin or more"; 6 points used
	odds   pool // unclipped likelihood over the grid, to show
}

func newMetric() metric {
	g := newGrid()
	m := metric{
		grid:   g,
		worse:  newBroad(g.worseWeights(), firstShare),
		beyond: newBroad(g.beyondWeights(), firstShare),
	}
	m.restartStep()
	return m
}

// restartStep forgets the evidence of safety: behaviour at 1 % of the load proves little at 50 %.
func (m *metric) restartStep() {
	m.safer = newPool(m.grid.saferWeights(), 1)
	m.within = newPool(fractionWeights(), 1)
	m.odds = newPool(m.grid.logWeights(func(float64) float64 { return 1 }), 1)
}

// restart adds a starting point to the evidence for a roll-back.
func (m *metric) restart() {
	m.worse.restart()
	m.beyond.restart()
}

// control is what a table is held against.
type control struct {
	margin    float64 // allowed increase, as a rate
	safe      float64 // increase that safety is proven against
	past      float64 // stable's rate before this window, high view
	high, low float64 // stable's rate with this window, high and low view
	known     bool    // false: there is no stable rate at all to compare with
	nature    unlike  // what is between the tracks but the version
	pair      float64 // overdispersion of the comparison
	single    float64 // overdispersion of canary alone
	moment    moment
}

// observe adds the table of one host-window.
func (m *metric) observe(host string, t Table, c control) {
	if t.CanaryN == 0 {
		return
	}
	if t.StableN > 0 {
		m.compare(host, t, c)
	} else if c.known {
		m.compareWith(host, t, c)
	}
	if c.known {
		lr := m.grid.oneSample(t, min(shifted(c.high, c.nature.most)+c.margin, .999))
		// It has no limit for bouts: it counts only if the evidence for worse does, which has one.
		m.beyond.addFrom(host, m.grid.above(&lr, c.single), moment{free: true})
	}
	m.within.add(below(t, min(shifted(c.low, c.nature.about)+c.safe, .999), c.single))
}

// compare holds canary against stable in the same window of the same host, exactly.
func (m *metric) compare(host string, t Table, c control) {
	var worse, safer, odds vector
	if t.informative() {
		law := newConditional(t)
		lr := law.ratios(&m.grid)
		null := oddsMargin(marginRate(t, c.past), c.safe) * c.nature.about
		worse = m.grid.aboveNull(law, &lr, c.nature.most, c.pair)
		safer = m.grid.below(&lr, null, law.logLR(null), c.pair)
		odds = lr.over(c.pair)
	}
	m.worse.addFrom(host, worse, c.moment)
	m.safer.add(safer)
	m.odds.add(odds)
}

// compareWith holds canary against a rate that is taken for known.
func (m *metric) compareWith(host string, t Table, c control) {
	lr := m.grid.oneSample(t, c.high)
	m.odds.add(lr.over(c.single))
	m.worse.addFrom(host, m.grid.above(&lr, c.single), c.moment)
}

// marginRate estimates stable's rate for the choice of the margin's odds ratio. It may use the
// table's margins, on which the test is conditional anyway, but not which track had the errors.
func marginRate(t Table, past float64) float64 {
	bad, all := float64(t.CanaryX+t.StableX), float64(t.CanaryN+t.StableN)
	return (bad + marginWeight*past) / (all + marginWeight)
}

// parts is the number of alternatives of the absolute test for safety.
const parts = 6

// fractions are these alternatives: rates as parts of the limit.
func fractions() [parts]float64 { return [parts]float64{0, .05, .15, .35, .6, .8} }

func fractionWeights() vector {
	var w vector
	for k := range w {
		w[k] = math.Inf(-1)
	}
	for k := range parts {
		w[k] = -math.Log(parts)
	}
	return w
}

// below returns the evidence of canary alone for rates that are a part of p0.
func below(t Table, p0, phi float64) vector {
	var v vector
	good, bad := float64(t.CanaryN-t.CanaryX), float64(t.CanaryX)
	for k, f := range fractions() {
		p := p0 * f
		lr := good * (math.Log1p(-p) - math.Log1p(-p0))
		if bad > 0 {
			lr += bad * math.Log(max(p, 1e-9)/p0)
		}
		v[k] = temper(lr, phi)
	}
	return v
}

// safety returns ln of the evidence that canary is within the margin.
func (m *metric) safety() float64 {
	return logSumExp(
		math.Log(safeRelative)+m.safer.logE(),
		math.Log(1-safeRelative)+m.within.logE(),
	)
}
