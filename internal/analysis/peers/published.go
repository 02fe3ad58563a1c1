package peers

import (
	_ "embed" // the samples of Kayenta's test of wilcoxonDiff
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/serin-rollouts/serin/internal/analysis"
)

// Value is a number that somebody has published, and what comes out here.
type Value struct {
	Source, Quantity string
	Published, Ours  float64
	Tolerance        float64 // absolute
}

// Agrees tells whether ours is as near to the published value as it must be.
func (v Value) Agrees() bool { return math.Abs(v.Ours-v.Published) <= v.Tolerance }

// Published recomputes the values that each peer's authors have printed or hold
// their own code to.
func Published() []Value {
	var values []Value
	for _, some := range [][]Value{boundValues(), multinomialValues(), kayentaValues(), blockValues()} {
		values = append(values, some...)
	}
	return values
}

func boundValues() []Value {
	const source = "confseq, its unit tests (Howard and Ramdas)"
	var vs []Value
	add := func(quantity string, published, ours, tolerance float64) {
		vs = append(vs, Value{source, quantity, published, ours, tolerance})
	}
	add("uniform band, 1,000 values, alpha 5 %, from 100 on", .08204769,
		newBandConstant(.05, .85).bound(1000, 100, .85), 1e-7)
	for _, c := range []struct{ p, published float64 }{{.5, 68.62803}, {.9, 43.72119}, {.1, 59.96521}} {
		add(fmt.Sprintf("stitched bound, quantile %g, 1,000 values", c.p), c.published,
			StitchedQuantile(c.p, 1000, .05, 100), 1e-4)
	}
	add("beta-binomial mixture, two-sided, ln", -.6941012, NewRateMixture(100, .05, .2, .8, false).Evidence(10, 100), 1e-6)
	add("beta-binomial mixture, one-sided, ln", -.07134019, NewRateMixture(100, .05, .2, .8, true).Evidence(10, 100), 1e-6)
	for _, c := range []struct{ x, n, n0, low, high float64 }{
		{700, 1000, 100, .651629, .745949}, {15, 50, 50, .129556, .511896}, {1, 50, 50, 0, .13489},
	} {
		low, high := RateInterval(c.x, c.n, .05, c.n0)
		add(fmt.Sprintf("interval for %g of %g, lower end", c.x, c.n), c.low, low, 1e-5)
		add(fmt.Sprintf("interval for %g of %g, upper end", c.x, c.n), c.high, high, 1e-5)
	}
	for _, c := range []struct {
		quantile  float64
		offset    int
		published float64
	}{{.5, 70, .814704}, {.5, 85, .0838055}, {.5, 100, .0054947}, {.9, 55, .0340463}} {
		add(fmt.Sprintf("p of equal quantiles %g, 1..1,000 and the same plus %d", c.quantile, c.offset), c.published,
			EqualQuantiles(upwards(1, 1000), upwards(1+c.offset, 1000), c.quantile, 100), 1e-5)
	}
	return vs
}

// upwards returns n whole numbers.
func upwards(from, n int) []float64 {
	var xs []float64
	for i := range n {
		xs = append(xs, float64(from+i))
	}
	return xs
}

func multinomialValues() []Value {
	p := func(counts []int64, theta ...float64) float64 {
		return math.Exp(-MultinomialEvidence(counts, theta, 100))
	}
	sequence, theta := []int64{2, 2, 0}, []float64{.4, .4, .2}
	return []Value{
		{"savvi, an example of its documentation", "p of 148 and 62, expected 80:20", .0456, p([]int64{148, 62}, .8, .2), 5e-5},
		{"savvi, an example of its documentation", "p of 40, 129 and 233, expected 10:40:50", .0485, p([]int64{40, 129, 233}, .1, .4, .5), 5e-5},
		{"seqabpy, its documentation", "p of 156 and 212, expected 50:50", .075, p([]int64{156, 212}, .5, .5), 5e-4},
		{
			"ssrm, its unit tests (Optimizely)", "ln marginal of 1, 2, 1, 2 under Dirichlet(1, 1, 1)", -4.499809670330265,
			dirichletMarginal(sequence, []float64{1, 1, 1}), 1e-12,
		},
		{
			"ssrm, its unit tests (Optimizely)", "ln likelihood of the same at 40:40:20", -3.66516292749662,
			dirichletMarginal(sequence, theta) - MultinomialEvidence(sequence, theta, 1), 1e-12,
		},
	}
}

func kayentaValues() []Value {
	const source = "Kayenta, its unit tests"
	var vs []Value
	interval := func(name string, canary, stable []float64, level, low, high, estimate float64) {
		l, h, e := Shift(canary, stable, level)
		vs = append(
			vs,
			Value{source, name + ", lower end", low, l, 1e-4},
			Value{source, name + ", upper end", high, h, 1e-4},
			Value{source, name + ", estimate", estimate, e, 1e-4},
		)
	}
	interval("Mann-Whitney, 10..40 and 1..4", []float64{10, 20, 30, 40}, []float64{1, 2, 3, 4}, .98, 6, 39, 22.5)
	interval("Mann-Whitney, 90 and 90 values with ties", numbers(tieExperiment), numbers(tieControl), .95,
		-.500002521696696, -3.486287505871302e-5, -.4999393907180323)
	interval("Mann-Whitney, 180 and 180 values with ties", numbers(largeExperiment), numbers(largeControl), .98,
		-.4999173250549087, -6.912685789769486e-6, -3.45044082729315e-5)
	r := newRanks(numbers(wilcoxonCanary), numbers(wilcoxonStable))
	for _, c := range []struct{ mu, published float64 }{{0, -1.229416}, {5, -35.80606}} {
		name := fmt.Sprintf("Mann-Whitney, 850 and 850 values near 1/30, statistic at a shift of %g", c.mu)
		vs = append(vs, Value{source, name, c.published, r.statistic(c.mu), 1e-6})
	}
	return vs
}

func blockValues() []Value {
	// One request of each track in each block, the example of safestats.
	var b Blocks
	for i, canary := range "1111110111" {
		t := analysis.Table{CanaryN: 1, StableN: 1}
		t.CanaryX, t.StableX = int64(canary-'0'), int64("0010100000"[i]-'0')
		b.Observe(0, []analysis.Table{t})
	}
	return []Value{{"safestats, the data of its vignette", "Turner and Grünwald's E after ten blocks", 11.150294884812352, math.Exp(b.lnE), 1e-9}}
}

// The samples of Kayenta's test "tie out with R version".
const (
	tieControl = `1.5 6 5 2.5 2.5 2 2 3.5 3 3 3 2 3 8 4 2.5 3 2.5 2.5 2 2.5 2 2 2.5 3.5 3 1.5 5 2.5 5.5
2 2.5 3.5 2 2.5 4 2 2 2 2 5.5 4.5 4 3 3 3.5 2.5 3 2.5 4 6 2 5 6 3.5 3 54.5 3 5 6
3.5 4.5 2.5 2 6 5 2.5 3.5 2 3 2.5 3.5 3.5 2.5 3 4.5 3 15.5 5 2.5 3 4 3.5 4 4 2 4.5 2.5 4 3`
	tieExperiment = `2.5 2.5 2 2.5 3.5 2 3.5 1.5 3 3 2.5 3.5 2 2.5 2 2 5 3 2 1.5 2 4 3 2.5 3 2 2 2 2.5 3.5
1.5 1.5 3.5 2 2.5 2.5 3 3.5 2.5 6.5 2.5 4 2.5 3 2.5 6.5 2.5 3 1.5 2 2.5 3 7.5 1.5 2 4 2.5 2 2.5 3.5
4 2.5 3 2.5 2 3.5 3 16.5 3 3 7 4.5 5 2 3.5 6 1.5 3 2.5 4 3 1.5 5 3 2.5 5.5 3 1.5 2.5 6`
)

// The samples of its larger test of the same name.
const (
	largeControl = `1.5 1.5 1 2 1.5 1.5 1.5 2 1 1 2 1.5 1.5 1 1.5 1.5 1.5 1.5 1.5 2 1 1.5 3 2 1 1.5 1.5 1.5 2 1.5
1 1 1.5 2.5 2 0 1 2 2 1.5 3 2 1 2.5 0.5 1.5 0.5 2.5 2 1.5 1.5 2 1 4.5 2.5 0.5 2.5 1.5 1.5 1
2 1 2.5 1.5 2 1.5 3 1.5 1.5 1.5 1.5 2 1 2.5 1 1.5 2.5 1.5 2.5 2 1.5 1.5 1.5 2.5 1 7.5 1.5 3 5.5 1
1.5 2 1 1.5 2.5 2.5 1 1 2.5 1.5 1.5 3 4 1 1.5 2 1.5 1.5 1.5 2.5 1.5 3.5 2.5 1.5 2 1 4 1.5 1 1.5
2.5 2.5 2 2.5 1.5 1.5 2 1 1.5 2 1.5 1 2.5 1.5 1.5 2 2 1 1.5 2.5 0.5 2 2.5 2 1 2 0.5 1.5 1 2.5
1 1.5 1 7 1 3.5 1.5 2 1.5 1.5 2 3 1.5 1.5 2 1.5 2 1.5 4 2 1.5 1.5 1.5 1.5 1.5 0.5 2 1 1.5 0.5`
	largeExperiment = `1.5 2 5 1.5 1.5 8.5 1 1 2 1 1.5 0.5 2 1.5 2 1.5 1 2.5 1.5 1.5 2 1.5 1.5 1.5 2 2 1 5.5 1.5 2
1.5 1.5 1 2.5 1 2 1.5 1.5 2 2 1.5 1.5 1 1 2 0.5 1.5 0.5 3.5 1.5 3 19 0.5 1.5 0.5 1.5 2 1.5 1.5 1.5
1.5 2 1.5 2 2 1.5 1 1.5 1 2 1 2 1.5 1.5 3 2 1.5 1.5 0.5 2 1.5 1 2 1 1 2 1 2 1.5 1
1 2 1.5 1.5 1.5 0.5 1.5 1.5 0.5 1 1.5 1.5 1.5 1 2 2 2 1.5 1 1.5 1 1 1.5 3.5 2 1.5 1 2 1.5 5.5
0.5 2 3.5 1.5 1 2 0.5 2.5 1 1.5 0.5 2 2 1 0.5 1.5 1 1.5 0.5 0.5 1 1.5 1 1.5 0.5 1.5 1 1 0.5 1
0.5 4 1 1.5 2 5.5 1.5 0.5 2 1 1.5 1 1.5 1.5 1 1.5 1.5 1.5 1.5 1.5 1.5 2 0.5 1.5 1 2 1 1 0.5 1`
)

// The samples of its test of wilcoxonDiff, experiment and control, sorted. Every digit is needed:
// some differ by one in the last place of a float64, and the statistic depends on what is tied.
var (
	//go:embed wilcoxon_canary.txt
	wilcoxonCanary string
	//go:embed wilcoxon_stable.txt
	wilcoxonStable string
)

// numbers reads a text of words like 2.5, or 2.5*3 for three times that value.
func numbers(text string) []float64 {
	var xs []float64
	for word := range strings.FieldsSeq(text) {
		value, times, several := strings.Cut(word, "*")
		x, err := strconv.ParseFloat(value, 64)
		n := 1
		if several && err == nil {
			n, err = strconv.Atoi(times)
		}
		if err != nil {
			panic(err) // the text is a constant
		}
		xs = append(xs, slices.Repeat([]float64{x}, n)...)
	}
	return xs
}
