package analysis_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/serin-rollouts/serin/internal/analysis"
)

func TestRateInterval(t *testing.T) {
	for _, c := range []struct {
		errors, requests int64
		low, high        float64
	}{
		{0, 0, 0, 1},
		{0, 100, 0, .0732}, // 1 - (1/(20·101))^(1/100)
		{100, 100, .9268, 1},
		{50, 100, .3446, .6554},
		{10, 1000, .0021, .0279},
	} {
		low, high := analysis.RateInterval(analysis.Counts{Requests: c.requests, Errors: c.errors}, .05)
		if math.Abs(low-c.low) > 5e-4 || math.Abs(high-c.high) > 5e-4 {
			t.Errorf("%d of %d: %.4f to %.4f, want %.4f to %.4f", c.errors, c.requests, low, high, c.low, c.high)
		}
	}
}

// The share is outside at any of 2,000 looks in at most 5 % of the runs, and that
// bound is not idle: looks that took the interval of one look would miss in half.
func TestRateIntervalHoldsAtAllTimes(t *testing.T) {
	const runs, looks, share = 400, 2000, .05
	missed, random := 0, rand.New(rand.NewPCG(1, 2))
	for range runs {
		var c analysis.Counts
		for range looks {
			c.Requests++
			if random.Float64() < share {
				c.Errors++
			}
			if c.Requests%10 != 0 {
				continue
			}
			if low, high := analysis.RateInterval(c, .05); share < low || share > high {
				missed++
				break
			}
		}
	}
	if missed > runs*7/100 {
		t.Errorf("missed in %d of %d runs", missed, runs)
	}
}

func TestQuantileInterval(t *testing.T) {
	for _, c := range []struct {
		n      int64
		q      float64
		within float64
	}{{0, .5, 1}, {100, .5, .16}, {10000, .5, .03}, {10000, .99, .01}} {
		low, high := analysis.QuantileInterval(c.n, c.q, .05)
		if low > c.q || high < c.q || c.n > 0 && (c.q-low > c.within || high-c.q > c.within) {
			t.Errorf("p%.0f of %d: %.4f to %.4f", 100*c.q, c.n, low, high)
		}
	}
}
