package main

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/analysis/peers"
)

// values are what the peers' authors have published, and what an implementation
// of the judge's own engine gave that shares no code with it.
func values() []peers.Value {
	all := peers.Published()
	psi := []float64{.1, .5, 1.5, 2, 5, 20, 1000}
	for _, g := range []struct {
		table analysis.Table
		lnLR  []float64
	}{
		{analysis.Table{CanaryN: 10, CanaryX: 1, StableN: 990}, []float64{-2.293544, -.688135, .400478, .683197, 1.570217, 2.821779, 4.510770}},
		{analysis.Table{CanaryN: 50, CanaryX: 8, StableN: 50, StableX: 2}, []float64{-12.119474, -2.617379, 1.030528, 1.541504, 2.099314, .852577, -6.398087}},
		{analysis.Table{CanaryN: 5, CanaryX: 5, StableN: 5}, []float64{-7.510098, -1.898904, .956672, 1.566832, 3.146157, 4.608089, 5.504639}},
		{analysis.Table{CanaryN: 500, CanaryX: 260, StableN: 500, StableX: 240}, []float64{-180.452290, -21.886038, -1.079270, -8.023094, -62.836906, -227.889380, -996.915852}},
	} {
		for i, p := range psi {
			all = append(all, peers.Value{
				Source: "a prototype of the judge",
				Quantity: fmt.Sprintf("ln likelihood ratio of odds ratio %g, %d of %d and %d of %d", p,
					g.table.CanaryX, g.table.CanaryN, g.table.StableX, g.table.StableN),
				Published: g.lnLR[i], Ours: g.table.LogLR(p), Tolerance: 1e-6 * max(1, math.Abs(g.lnLR[i])),
			})
		}
	}
	return all
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
