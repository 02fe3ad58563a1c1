package main

import (
	"math"
	"slices"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/analysis/peers"
	"github.com/serin-rollouts/serin/internal/analysis/traffic"
)

// halfPoint is the allowance of a spec that says nothing, in basis points.
const halfPoint = 50

// panel plays a fleet's reports to the product's judge, once for all who ask.
type panel struct {
	panel   *analysis.Panel
	at      time.Duration
	verdict analysis.Verdict
}

func newPanel(increase int, window time.Duration) *panel {
	return &panel{panel: analysis.NewPanel(analysis.Gates{
		Window: window,
		Errors: analysis.RateGate{
			Conduct:     analysis.Conduct{Name: "errors"},
			MaxIncrease: increase, MinRequests: 100,
		},
	})}
}

func (p *panel) look(f *traffic.Fleet, reports []analysis.Report) {
	if p.at == f.Now() {
		return
	}
	p.at = f.Now()
	for _, r := range reports {
		p.panel.Observe(r)
	}
	p.verdict = p.panel.Verdict(p.at)
}

// worse fires when canary is refuted to be no worse than stable at all: what a
// spec with no allowance acts on.
type worse struct{ *errorsJudge }

func (w worse) fires(alpha float64) bool { return proven(w.worse, alpha) }

// beyond fires when canary is refuted to be within the allowance, too.
type beyond struct{ *errorsJudge }

func (b beyond) fires(alpha float64) bool { return proven(b.both, alpha) }

// gate is one of a panel's, asked about what speaks for a failure.
type gate struct {
	*panel

	seat int
}

func (g gate) fires(alpha float64) bool {
	f := g.verdict.Findings[g.seat]
	return proven(min(f.Worse, f.Beyond), alpha)
}

// together are gates that share alpha in equal parts: it fires when one of them does.
type together []gate

func (t together) look(f *traffic.Fleet, reports []analysis.Report) {
	for _, g := range t {
		g.look(f, reports)
	}
}

func (t together) fires(alpha float64) bool {
	return slices.ContainsFunc(t, func(g gate) bool { return g.fires(alpha / float64(len(t))) })
}

// safe fires when a step may pass as far as the gate asked is concerned, at
// whatever level.
type safe gate

func (s safe) fires(float64) bool { return s.verdict.Findings[s.seat].Outcome == analysis.Pass }

// errorsJudge plays a fleet's reports to the product's judge of errors, once for all who ask. It looks
// only where canary had errors not long ago: evidence against it rises in no other window.
type errorsJudge struct {
	judge *analysis.Judge
	// each: it looks after each host's report, as a leader may, and not after each round of them.
	each  bool
	at    time.Duration
	until time.Duration // when the last window with errors of canary has closed
	// worse is the evidence that canary is worse, both that it is so and beyond the allowance, in
	// thousandths of a nat: the highest of the looks at the last round.
	worse, both int64
}

func newErrorsJudge(window time.Duration) *errorsJudge {
	return &errorsJudge{judge: analysis.NewJudge(analysis.Config{MaxIncrease: halfPoint, Window: window})}
}

func (e *errorsJudge) look(f *traffic.Fleet, reports []analysis.Report) {
	if e.at == f.Now() {
		return
	}
	e.at = f.Now()
	for _, t := range f.Tables() {
		if t.CanaryX > 0 {
			e.until = e.at + 2*time.Minute
		}
	}
	open := e.at <= e.until && len(reports) > 0
	if open {
		e.worse, e.both = math.MinInt64, math.MinInt64
	}
	for k, r := range reports {
		e.judge.Observe(r)
		if open && (e.each || k == len(reports)-1) {
			v := e.judge.Finding(e.at)
			e.worse, e.both = max(e.worse, v.Worse), max(e.both, min(v.Worse, v.Beyond))
		}
	}
}

// proven tells whether evidence in thousandths of a nat reaches 1/alpha.
func proven(milli int64, alpha float64) bool {
	return milli >= int64(math.Round(-1000*math.Log(alpha)))
}

// rates fits a peer that compares rates.
type rates struct {
	peer interface {
		Observe(at time.Duration, hosts []analysis.Table)
		Fires(alpha float64) bool
	}
}

func (r rates) look(f *traffic.Fleet, _ []analysis.Report) {
	var hosts []analysis.Table
	for _, t := range f.Tables() {
		hosts = append(hosts, analysis.Table(t))
	}
	r.peer.Observe(f.Now(), hosts)
}

func (r rates) fires(alpha float64) bool { return r.peer.Fires(alpha) }

// ours is the product's judge, with windows of this length, at both allowances.
func ours(window time.Duration) []watcher {
	p := newErrorsJudge(window)
	return []watcher{worse{p}, beyond{p}}
}

// oursAtEach is ours, looking after each host's report.
func oursAtEach(window time.Duration) []watcher {
	p := newErrorsJudge(window)
	p.each = true
	return []watcher{worse{p}, beyond{p}}
}

// others are the peers that judge errors.
func others(share float64) []watcher {
	return []watcher{
		rates{new(peers.Z)},
		rates{new(peers.Kayenta)},
		rates{new(peers.Flagger)},
		rates{new(peers.Argo)},
		rates{new(peers.MSPRT)},
		rates{peers.NewMultinomial(share)},
		rates{new(peers.Blocks)},
	}
}

// cast is all judges of errors.
func cast(share float64) []watcher {
	const short, long = 5 * time.Second, 10 * time.Second
	return slices.Concat(ours(short), others(share), ours(long))
}

// The places of cast.
const (
	worse5 = iota
	beyond5
	zTest
	kayenta
	flagger
	argo
	msprt
	multinomial
	blocks
	worse10
	beyond10
)
