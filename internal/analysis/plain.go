package analysis

import "maps"

// Plain is the engine as the implementation had it that it is held against: the same evidence of
// windows, tempering, limit on a window, rule of breadth and learning of dispersion, but with all odds
// above even weighed alike, no other starting point than the first, a single belief of clustering,
// and no limit on a minute. It judges nothing: with it anyone can hold the engine to that
// implementation's numbers.
type Plain struct {
	metric metric
	spread dispersion
	blocks map[string]*block
	tick   int64
}

// PlainWindow is one window of one host.
type PlainWindow struct {
	Host   string
	Canary Counts
	Stable map[string]Counts // by instance
}

// PlainStep is what a window made of the evidence against canary.
type PlainStep struct {
	Phi   float64 // by which the window's evidence was divided
	LogE  float64 // ln of the evidence
	Score float64 // the same after the rule of breadth
	ICC   float64 // the correlation of errors within ten seconds, as learnt up to here
}

// NewPlain returns it without evidence.
func NewPlain() *Plain {
	p := &Plain{metric: newMetric(), spread: newDispersion(6), blocks: make(map[string]*block)}
	p.metric.worse = newBroad(evenly(p.metric.grid), 1)
	p.spread.beliefs = []belief{{.02, 300}}
	return p
}

// evenly weighs all odds ratios above 1 alike.
func evenly(g grid) vector {
	return g.logWeights(func(psi float64) float64 {
		if psi > 1 {
			return 1
		}
		return 0
	})
}

// Observe takes in the next window. Each is its own tick, settled before the next one.
func (p *Plain) Observe(w PlainWindow) PlainStep {
	var stable Counts
	for c := range maps.Values(w.Stable) {
		stable = stable.plus(c)
	}
	t := Table{CanaryN: w.Canary.Requests, CanaryX: w.Canary.Errors, StableN: stable.Requests, StableX: stable.Errors}
	phi := p.spread.pair(p.spread.icc(p.tick), float64(t.CanaryN), 1, float64(t.StableN), float64(len(w.Stable)))
	p.metric.compare(w.Host, t, control{pair: phi, safe: .01, nature: alike(), moment: moment{limit: 100}})
	if p.blocks[w.Host] == nil {
		p.blocks[w.Host] = new(block)
	}
	p.spread.learn(p.tick, p.blocks[w.Host].observe(w.Stable, 6))
	p.tick += settle
	score, _, _ := p.metric.worse.score()
	return PlainStep{Phi: phi, LogE: p.metric.worse.logE(), Score: score, ICC: p.spread.icc(p.tick)[0]}
}

// PlainWithin returns ln of the evidence, after each window of canary, that its error rate is below
// the limit: the test of one sample, without clustering.
func PlainWithin(limit float64, windows []Counts) []float64 {
	p := newPool(fractionWeights(), 1)
	var all []float64
	for _, w := range windows {
		p.add(below(Table{CanaryN: w.Requests, CanaryX: w.Errors}, limit, 1))
		all = append(all, p.logE())
	}
	return all
}
