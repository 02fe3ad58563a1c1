package analysis

import (
	"math"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// against is a vector that says so much for every odds ratio above 1.
func against(nats float64) vector {
	var v vector
	for k := unity + 1; k < points; k++ {
		v[k] = down(nats)
	}
	return v
}

func second(n int, limit float64) moment {
	return moment{at: time.Duration(n) * time.Second, limit: down(limit)}
}

// TestBout: what a host shows within a minute is worth the limit, what follows at once half as much
// again, and what comes later the limit again. What speaks for canary counts in full.
func TestBout(t *testing.T) {
	var b bout
	sum := 0.0
	for _, c := range []struct {
		at   int
		nats float64
		want float64 // in all
	}{
		{0, -1, -1},
		{5, 1, 0},
		{10, 1.5, .5},
		{15, 1.5, .5},
		{20, -2, .5},
		{25, -1, 0},
		{60, 9, .5},
		{65, 9, .5}, // still of the bout that began at 5
		{70, 9, 2.75},
		{129, 9, 2.75}, // half as much again
		{150, -4, -1.25},
		{151, 9, .25}, // another bout, but long after
	} {
		sum += b.take(against(c.nats), second(c.at, 1.5))[unity+1]
		near(t, "sum at "+time.Duration(c.at).String(), sum, c.want, 1e-6)
	}
}

// TestBoutAlone: on the only host a bout lasts longer, and so does the time in which another follows. A
// second host counts from the moment after it came, whichever is heard first.
func TestBoutAlone(t *testing.T) {
	for name, second := range map[string]bool{"alone": false, "of two": true} {
		t.Run(name, func(t *testing.T) {
			b := newBroad(newGrid().worseWeights(), 1)
			sum := func() float64 { return b.hosts["a"].sum[unity+1] }
			if second {
				b.addFrom("b", vector{}, moment{})
			}
			for _, c := range []struct {
				at            int
				alone, beside float64
			}{
				{5, 1.5, 1.5}, {60, 1.5, 1.5}, {70, 1.5, 3.75}, {75, 1.5, 3.75}, {80, 3.75, 3.75}, {145, 3.75, 7.125}, {155, 7.125, 7.125},
			} {
				b.addFrom("a", against(9), moment{at: time.Duration(c.at) * time.Second, limit: down(1.5)})
				want := c.alone
				if second {
					want = c.beside
				}
				near(t, "sum at "+strconv.Itoa(c.at), sum(), want, 1e-6)
			}
		})
	}
}

// TestBoutGross: a window in which nothing goes right on canary has no limit.
func TestBoutGross(t *testing.T) {
	for name, c := range map[string]struct {
		table Table
		bad   float64
		gross bool
	}{
		"all":               {Table{4, 4, 40, 0}, 0, true},
		"nearly all":        {Table{20, 18, 40, 10}, 0, true},
		"most":              {Table{20, 17, 40, 0}, 0, false},
		"few":               {Table{3, 3, 40, 0}, 0, false},
		"stable, too":       {Table{20, 20, 40, 20}, 0, false},
		"without stable":    {Table{20, 20, 0, 0}, .1, true},
		"stable was so bad": {Table{20, 20, 0, 0}, .6, false},
	} {
		if got := momentOf(0, c.table, 1, 4, c.bad).free; got != c.gross {
			t.Errorf("%s: gross is %t", name, got)
		}
	}
}

// TestBoutAid: while all hosts show something, each is worth more than its limit, and afterwards it
// is not. A starting point does not hold what a bout held back before.
func TestBoutAid(t *testing.T) {
	b := newBroad(newGrid().worseWeights(), firstShare)
	tell := func(at int, nats float64, hosts ...string) {
		for _, h := range hosts {
			b.addFrom(h, against(nats), second(at, 1))
		}
	}
	tell(0, 0, "a", "b", "c")
	tell(5, 9, "a")
	near(t, "one of three", b.aided().total[unity+1], 1, 1e-6)
	tell(5, 9, "b")
	near(t, "two of three", b.aided().total[unity+1], 5, 1e-6) // each 1 and three times the mean of 1 and 0
	tell(10, 9, "c")
	near(t, "three of three", b.aided().total[unity+1], 12, 1e-6)
	near(t, "without aid", b.total[unity+1], 3, 1e-6)
	b.restart()
	near(t, "after a starting point", b.aided().total[unity+1], 3, 1e-6)
	tell(120, -1, "a", "b", "c")
	near(t, "when they are over", b.aided().total[unity+1], 0, 1e-6)
}

// TestBoutOnlyTakes: whatever windows there are, and whenever starting points, what counts since
// any starting point is never more than what was shown since then. The bounds hang on this.
func TestBoutOnlyTakes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBroad(newGrid().worseWeights(), firstShare)
		shown, at := 0.0, 0
		from := []float64{0} // what counted at the starting points, less what had been shown
		for range rapid.IntRange(1, 60).Draw(t, "windows") {
			at += rapid.IntRange(0, 40).Draw(t, "seconds")
			nats := down(rapid.Float64Range(-2, 2).Draw(t, "nats"))
			m := second(at, rapid.Float64Range(.1, 3).Draw(t, "limit"))
			m.free = rapid.IntRange(0, 9).Draw(t, "gross") == 0
			b.addFrom(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "host"), against(nats), m)
			shown += nats
			for _, start := range from {
				if counted := b.aided().total[unity+1] - start; counted > shown+1e-9 {
					t.Fatalf("%g counts, %g was shown", counted, shown)
				}
			}
			if rapid.IntRange(0, 9).Draw(t, "start") == 0 {
				b.restart()
				from = append(from, b.total[unity+1]-shown)
			}
			if math.IsNaN(b.logE()) {
				t.Fatal("no number")
			}
		}
	})
}

// TestPooledHasNoBouts: what stands for many hosts is found out as fast as many hosts are.
func TestPooledHasNoBouts(t *testing.T) {
	after := func(pooled bool) time.Duration {
		j := NewJudge(Config{})
		for i := range int64(600) {
			now := time.Duration(i) * time.Second
			j.Observe(Report{
				Host: "fleet", At: now, Pooled: pooled, CanaryInstances: 3,
				Canary: Counts{Requests: 20 * i, Errors: 2 * i}, Stable: map[string]Counts{"a": {Requests: 90 * i}, "b": {Requests: 90 * i}},
			})
			if j.Finding(now).Outcome == Fail {
				return now
			}
		}
		return time.Hour
	}
	one, many := after(false), after(true)
	if many > 30*time.Second || one <= boutLength {
		t.Errorf("one host after %s, a pool after %s", one, many)
	}
}
