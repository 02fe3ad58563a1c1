package analysis

import (
	"math"
	"testing"
)

// The words of a verdict and whoever reads its thousandths come to one number.
func TestOddsGoByThousandths(t *testing.T) {
	for logE, want := range map[float64]string{math.Log(380.05): "370", math.Log(380.2): "380", 0: "1", 99: "1000000", math.Inf(1): "1000000"} {
		if got := odds(logE); got != want {
			t.Errorf("e-value %.5g: 1 in %s, want %s", math.Exp(logE), got, want)
		}
	}
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance*max(1, math.Abs(want))) { // NaN is near nothing
		t.Errorf("%s = %.9g, want %.9g", what, got, want)
	}
}

// TestConditionalGolden holds the conditional likelihood ratio and its mixtures against values of
// an independent implementation.
func TestConditionalGolden(t *testing.T) {
	psi := [...]float64{.1, .5, 1.5, 2, 5, 20, 1000}
	cases := []struct {
		table Table
		lr    [7]float64
		worse float64 // mixture against odds <= 1
		safer float64 // mixture against odds >= 1.5
	}{
		{Table{10, 1, 990, 0}, [7]float64{-2.293544, -0.688135, 0.400478, 0.683197, 1.570217, 2.821779, 4.510770}, 24.128042, 0.450548},
		{Table{10, 2, 990, 1}, [7]float64{-4.578023, -1.371249, 0.795975, 1.356472, 3.101652, 5.477133, 6.887266}, 430.546548, 0.259127},
		{Table{50, 8, 50, 2}, [7]float64{-12.119474, -2.617379, 1.030528, 1.541504, 2.099314, 0.852577, -6.398087}, 2.874247, 0.181176},
		{Table{5, 5, 5, 0}, [7]float64{-7.510098, -1.898904, 0.956672, 1.566832, 3.146157, 4.608089, 5.504639}, 86.725932, 0.206220},
		{Table{100, 30, 100, 70}, [7]float64{14.439704, 10.860006, -9.140214, -16.865882, -48.038510, -111.691695, -352.225312}, 0.012412, 6.2759e9},
		{Table{500, 260, 500, 240}, [7]float64{-180.452290, -21.886038, -1.079270, -8.023094, -62.836906, -227.889380, -996.915852}, 0.354645, 1.285094},
	}
	g := newGrid()
	for _, c := range cases {
		law := newConditional(c.table)
		for i, p := range psi {
			near(t, "log LR", law.logLR(p), c.lr[i], 1e-6)
		}
		var worse, safer []float64
		weights := 0.0
		for _, p := range g.psi {
			if p > 1 {
				worse = append(worse, law.logLR(p)-math.Log(12))
			}
			if p < 1.5 {
				w := 1.0
				if p >= .33 && p <= 1.1 {
					w = 4
				}
				weights += w
				safer = append(safer, math.Log(w)+law.logLR(p)-law.logLR(1.5))
			}
		}
		near(t, "mixture against <= 1", math.Exp(logSumExp(worse...)), c.worse, 1e-4)
		near(t, "mixture against >= 1.5", math.Exp(logSumExp(safer...))/weights, c.safer, 1e-4)
	}
}

// TestLongSum holds the sum from the largest term against the plain one.
func TestLongSum(t *testing.T) {
	law := newConditional(Table{20_000, 9_000, 30_000, 13_400})
	for _, psi := range newGrid().psi {
		from, sum, term := law.logSumFromMode(psi), 0.0, 0.0
		for k := law.kmin; k < law.kmax; k++ {
			term += math.Log(law.ratio(k) * psi)
			sum = logSumExp(sum, term)
		}
		near(t, "log sum", from, sum, 1e-9)
	}
}

func TestHugeWindow(t *testing.T) {
	law := newConditional(Table{1 << 32, 1 << 30, 1 << 40, 1 << 38})
	for _, psi := range newGrid().psi {
		if lr := law.logLR(psi); math.IsNaN(lr) || lr > 1 {
			t.Errorf("log LR at %g = %g in a table without a difference", psi, lr)
		}
	}
}
