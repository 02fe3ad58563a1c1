package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/analysis/peers"
)

// golden is what an implementation of the judge's own engine gave that shares no
// code with it: ln of the likelihood ratios of one table, and mixtures of them.
type golden struct {
	table analysis.Table
	lnLR  [7]float64 // at goldenOdds
	// worse is the mean over the odds above 1, safer that over those below 1.5
	// against 1.5, in which those from 0.33 to 1.1 weigh four times as much.
	worse, safer float64
}

func goldenOdds() [7]float64 { return [7]float64{.1, .5, 1.5, 2, 5, 20, 1000} }

// mixedOdds are the odds of the mixtures.
func mixedOdds() []float64 {
	return []float64{.01, .02, .05, .1, .2, .33, .5, .67, .8, .9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 20, 50, 100, 300, 1000}
}

func goldens() []golden {
	return []golden{
		{analysis.Table{CanaryN: 10, CanaryX: 1, StableN: 990}, [7]float64{-2.293544, -.688135, .400478, .683197, 1.570217, 2.821779, 4.510770}, 24.128042, .450548},
		{analysis.Table{CanaryN: 10, CanaryX: 2, StableN: 990, StableX: 1}, [7]float64{-4.578023, -1.371249, .795975, 1.356472, 3.101652, 5.477133, 6.887266}, 430.546548, .259127},
		{analysis.Table{CanaryN: 50, CanaryX: 8, StableN: 50, StableX: 2}, [7]float64{-12.119474, -2.617379, 1.030528, 1.541504, 2.099314, .852577, -6.398087}, 2.874247, .181176},
		{analysis.Table{CanaryN: 5, CanaryX: 5, StableN: 5}, [7]float64{-7.510098, -1.898904, .956672, 1.566832, 3.146157, 4.608089, 5.504639}, 86.725932, .206220},
		{analysis.Table{CanaryN: 100, CanaryX: 30, StableN: 100, StableX: 70}, [7]float64{14.439704, 10.860006, -9.140214, -16.865882, -48.038510, -111.691695, -352.225312}, .012412, 6.2759e9},
		{analysis.Table{CanaryN: 500, CanaryX: 260, StableN: 500, StableX: 240}, [7]float64{-180.452290, -21.886038, -1.079270, -8.023094, -62.836906, -227.889380, -996.915852}, .354645, 1.285094},
	}
}

const prototype = "a prototype of the judge"

// values are what the peers' authors have published, and the golden ones.
func values() []peers.Value {
	return slices.Concat(peers.Published(), tableValues(), streamValues(), withinValues())
}

// tableValues are those of single tables.
func tableValues() []peers.Value {
	var all []peers.Value
	add := func(quantity string, g golden, published, ours, tolerance float64) {
		all = append(all, peers.Value{
			Source:   prototype,
			Quantity: fmt.Sprintf("%s, %d of %d and %d of %d", quantity, g.table.CanaryX, g.table.CanaryN, g.table.StableX, g.table.StableN),

			Published: published, Ours: ours, Tolerance: tolerance * max(1, math.Abs(published)),
		})
	}
	for _, g := range goldens() {
		for i, psi := range goldenOdds() {
			add(fmt.Sprintf("ln likelihood ratio of odds ratio %g", psi), g, g.lnLR[i], g.table.LogLR(psi), 1e-6)
		}
		worse, safer := mixtures(g.table)
		add("mixture against odds no worse", g, g.worse, worse, 1e-4)
		add("mixture against odds 1.5 times as high", g, g.safer, safer, 1e-4)
	}
	return all
}

// streamValues are those of six windows on three hosts, one after another. In each, canary has 20
// requests and two stable containers 190 each.
func streamValues() []peers.Value {
	steps := []struct {
		host          string
		canary, s0    int64 // errors
		s1            int64
		phi           float64 // 0: not given
		logE, score   float64 // 0: not given
		clustersAfter float64
	}{
		{"1", 2, 1, 0, 1.566667, 1.290134, 0, .015209},
		{"2", 0, 0, 0, 0, 1.290134, 0, .015209},
		{"3", 1, 0, 0, 0, 2.596964, 2.263881, .015209},
		{"1", 1, 2, 0, 0, 2.693482, 2.263881, .012011},
		{"2", 2, 0, 0, 0, 4.247869, 0, .012011},
		{"3", 1, 0, 1, 0, 5.145072, 5.145072, .010336},
	}
	var all []peers.Value
	p := analysis.NewPlain()
	for i, s := range steps {
		add := func(quantity string, published, ours, tolerance float64) {
			if published != 0 {
				all = append(all, peers.Value{
					Source: prototype, Quantity: fmt.Sprintf("%s after window %d of six on three hosts", quantity, i+1),
					Published: published, Ours: ours, Tolerance: tolerance * max(1, published),
				})
			}
		}
		got := p.Observe(analysis.PlainWindow{
			Host: s.host, Canary: analysis.Counts{Requests: 20, Errors: s.canary},
			Stable: map[string]analysis.Counts{"a": {Requests: 190, Errors: s.s0}, "b": {Requests: 190, Errors: s.s1}},
		})
		add("phi", s.phi, got.Phi, 1e-6)
		add("ln E", s.logE, got.LogE, 1e-5)
		add("ln E by the rule on hosts,", s.score, got.Score, 1e-5)
		add("correlation of errors", s.clustersAfter, got.ICC, 1e-4)
	}
	return all
}

// withinValues are those of canary alone: ten windows of 50 requests, one error in the fifth.
func withinValues() []peers.Value {
	windows := slices.Repeat([]analysis.Counts{{Requests: 50}}, 10)
	windows[4].Errors = 1
	ours := analysis.PlainWithin(.01, windows)
	var all []peers.Value
	for _, w := range []struct {
		after     int
		published float64
	}{{1, .350062}, {5, .086968}, {10, 1.686442}} {
		all = append(all, peers.Value{
			Source: prototype, Quantity: fmt.Sprintf("ln E of less than 1 %%, after %d windows of 50", w.after),
			Published: w.published, Ours: ours[w.after-1], Tolerance: 1e-5,
		})
	}
	return all
}

// mixtures returns the two means of likelihood ratios of a table.
func mixtures(t analysis.Table) (worse, safer float64) {
	weights, n := 0.0, 0.0
	for _, psi := range mixedOdds() {
		if psi > 1 {
			worse, n = worse+math.Exp(t.LogLR(psi)), n+1
		}
		if psi < 1.5 {
			w := 1.0
			if psi >= .33 && psi <= 1.1 {
				w = 4
			}
			weights, safer = weights+w, safer+w*math.Exp(t.LogLR(psi)-t.LogLR(1.5))
		}
	}
	return worse / n, safer / weights
}

func publishedTable(*studio) string {
	var b strings.Builder
	b.WriteString("| quantity | published | ours | by |\n|---|---|---|---|\n")
	for _, v := range values() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", v.Quantity, number(v.Published), number(v.Ours), v.Source)
	}
	return b.String()
}

// number writes eight digits, and what is below all tolerances as 0.
func number(x float64) string {
	if math.Abs(x) < 1e-12 {
		return "0"
	}
	return fmt.Sprintf("%.8g", x)
}

func publishedCheck(*studio) error {
	var wrong []error
	for _, v := range values() {
		if !v.Agrees() {
			wrong = append(wrong, fmt.Errorf("%s: %s is %s, published %s", v.Source, v.Quantity, number(v.Ours), number(v.Published)))
		}
	}
	return errors.Join(wrong...)
}
