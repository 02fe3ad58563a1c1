package peers

import (
	"math"
	"slices"
)

// EqualQuantiles returns the p-value, valid at all times, that canary and stable have the same
// quantile, tightest at about t0 values of each (theorem 5 of arXiv:1906.09712). Were x the quantile
// of both, the number of values below it would be a fair game in each sample, whose evidence against
// that is a mixture as [RateMixture]'s; the x that both samples bear best tells how far they bear any.
func EqualQuantiles(canary, stable []float64, quantile, t0 float64) float64 {
	samples := [2][]float64{slices.Sorted(slices.Values(canary)), slices.Sorted(slices.Values(stable))}
	least := math.Inf(1)
	for _, x := range slices.Concat(samples[0], samples[1]) {
		evidence := 0.
		for _, sorted := range samples {
			evidence += quantileEvidence(sorted, x, quantile, t0)
		}
		least = min(least, evidence)
	}
	return min(1, math.Exp(-least))
}

// quantileEvidence returns ln of the evidence of a sorted sample against x as its quantile. Where
// values lie on x, any part of them may count as below: the part that x is borne best with.
func quantileEvidence(sorted []float64, x, quantile, t0 float64) float64 {
	const alpha = .05 // that the mixture is tightest for
	variance := quantile * (1 - quantile)
	m := NewRateMixture(variance*t0, alpha, quantile, 1-quantile, false)
	n := float64(len(sorted))
	first, _ := slices.BinarySearch(sorted, x)
	last := first
	for last < len(sorted) && sorted[last] == x {
		last++
	}
	// The evidence falls towards one share below and rises beyond it.
	low, high := float64(first)/n, float64(last)/n
	at := func(share float64) float64 { return m.Evidence((share-quantile)*n, variance*n) }
	for range 60 {
		a, b := low+(high-low)/3, high-(high-low)/3
		if at(a) < at(b) {
			high = b
		} else {
			low = a
		}
	}
	return at((low + high) / 2)
}
