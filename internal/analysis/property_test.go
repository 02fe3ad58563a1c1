package analysis

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/serin-rollouts/serin/internal/analysis/traffic"
)

// drawMargins draws the margins of a table: requests of both tracks, bad requests in all.
func drawMargins(t *rapid.T) (nc, ns, bad int64) {
	nc = rapid.Int64Range(1, 120).Draw(t, "canary")
	ns = rapid.Int64Range(1, 400).Draw(t, "stable")
	return nc, ns, rapid.Int64Range(0, nc+ns).Draw(t, "bad")
}

// TestFairBet: when the odds ratio is 1, the likelihood ratio has expectation 1 for every
// alternative, whatever the margins. The whole guarantee hangs on this.
func TestFairBet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nc, ns, bad := drawMargins(t)
		psi := rapid.Float64Range(.01, 1000).Draw(t, "psi")
		var terms []float64
		for x := max(0, bad-ns); x <= min(nc, bad); x++ {
			law := newConditional(Table{nc, x, ns, bad - x})
			pmf := law.logWays(float64(x)) - logChoose(law.nc+law.ns, law.bad)
			terms = append(terms, pmf+law.logLR(psi))
		}
		if e := math.Exp(logSumExp(terms...)); math.Abs(e-1) > 1e-8 {
			t.Fatalf("expectation %.12f, want 1", e)
		}
	})
}

// TestMonotone: with the margins fixed, more errors on canary are more evidence against it, and
// less for it.
func TestMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nc, ns, bad := drawMargins(t)
		phi := rapid.Float64Range(1, 20).Draw(t, "phi")
		c := control{pair: phi, single: phi, known: true, high: .01, low: .01, past: .01, margin: .01, safe: .01}
		worse, safe := math.Inf(-1), math.Inf(1)
		for x := max(0, bad-ns); x <= min(nc, bad); x++ {
			m := newMetric()
			m.observe("h", Table{nc, x, ns, bad - x}, c)
			if e := m.worse.logE(); e < worse-1e-6 {
				t.Fatalf("evidence against falls from %g to %g at %d errors", worse, e, x)
			} else {
				worse = e
			}
			if e := m.safety(); e > safe+1e-6 {
				t.Fatalf("evidence for rises from %g to %g at %d errors", safe, e, x)
			} else {
				safe = e
			}
		}
	})
}

// TestClip: no window says more than the clip, whatever it holds.
func TestClip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := temper(rapid.Float64Range(-1e9, 1e9).Draw(t, "lr"), rapid.Float64Range(1, 100).Draw(t, "phi"))
		if v > math.Log(clipAt) || v < lowest || math.Trunc(v/quantum) != v/quantum {
			t.Fatalf("tempered to %g", v)
		}
	})
}

// TestHostOrder: the order in which hosts report within a round changes nothing at all.
func TestHostOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		f := traffic.NewFleet(traffic.Scene{
			Hosts: 4, Stable: 3, PerSecond: 20, Share: .2,
			Rate: traffic.Fixed(.02, rapid.Float64Range(0, .1).Draw(t, "rate")),
			Mood: traffic.Bursts(time.Minute, 5*time.Second, .4),
		}, seed)
		order := rand.New(rand.NewPCG(seed, 1))
		a, b := NewJudge(Config{}), NewJudge(Config{})
		for f.Now() < 7*time.Minute {
			f.Advance()
			at, rs := f.Now(), reportsOf(f)
			for _, r := range rs {
				a.Observe(r)
			}
			for _, i := range order.Perm(len(rs)) {
				b.Observe(rs[i])
				if order.IntN(3) == 0 {
					b.Observe(rs[order.IntN(i+1)]) // early, or once more
				}
			}
			if at == 4*time.Minute {
				a.Restart(at, Config{MaxIncrease: 100})
				b.Restart(at, Config{MaxIncrease: 100})
			}
			if d := cmp.Diff(a.Finding(at), b.Finding(at)); d != "" {
				t.Fatalf("at %s:\n%s", at, d)
			}
		}
	})
}

// TestCountsOnce: over restarts of counters, duplicates, late and lost reports, every request of
// a live incarnation is counted at most once, and none is negative.
func TestCountsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := NewJudge(Config{})
		var now, total Counts
		var sent []Report
		life := 0
		for i := range rapid.IntRange(1, 80).Draw(t, "reports") {
			at := time.Duration(i) * time.Second
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0: // the agent restarts
				life++
				now = Counts{}
			case 1, 2: // an old report comes late, or twice
				if len(sent) > 0 {
					r := sent[rapid.IntRange(0, len(sent)-1).Draw(t, "old")]
					r.At = at
					j.Observe(r)
				}
			default:
				n := rapid.Int64Range(0, 50).Draw(t, "requests")
				d := Counts{n, rapid.Int64Range(0, n).Draw(t, "errors")}
				now, total = now.plus(d), total.plus(d)
				r := Report{
					Host: "h", Incarnation: strconv.Itoa(life), At: at, Canary: now, CanaryInstances: 1,
					Stable: map[string]Counts{"a": now},
				}
				sent = append(sent, r)
				if rapid.IntRange(0, 3).Draw(t, "lost") > 0 {
					j.Observe(r)
				}
			}
		}
		v := j.Finding(time.Hour)
		for _, c := range []Counts{v.Canary, v.Stable} {
			if c.Requests < 0 || c.Errors < 0 || total.below(c) || c.Errors > c.Requests {
				t.Fatalf("counted %+v of %+v", c, total)
			}
		}
	})
}

// TestFailover: a judge that hears the counters only now comes to the same side, with less to say.
func TestFailover(t *testing.T) {
	w := target(.001, .08)
	w.Hosts = 6
	f := traffic.NewFleet(w.Scene, 3)
	first, second := NewJudge(w.config), NewJudge(w.config)
	for ; f.Now() < 30*time.Second; f.Advance() {
		for _, r := range reportsOf(f) {
			first.Observe(r)
		}
	}
	for _, r := range reportsOf(f) {
		first.Observe(r)
		second.Observe(r)
	}
	a, b := first.Finding(30*time.Second), second.Finding(30*time.Second)
	if a.Outcome != Fail || b.Canary != a.Canary || b.Worse <= 0 || b.Worse > a.Worse {
		t.Errorf("before %+v\nafter %+v", a, b)
	}
}

// The score is that of all hosts weighed, though most of them are passed over by a bound.
func TestScoreOfPassesOverNoOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pools := make([]*broad, rapid.IntRange(1, 3).Draw(t, "pools"))
		for i := range pools {
			b := newBroad(newGrid().worseWeights(), firstShare)
			pools[i] = &b
			for range rapid.IntRange(1, 40).Draw(t, "windows") {
				if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
					b.restart()
				}
				host := strconv.Itoa(rapid.IntRange(0, 7).Draw(t, "host"))
				b.addFrom(host, against(rapid.Float64Range(-2, 2).Draw(t, "nats")), moment{free: true})
			}
		}
		for name := range pools[0].hosts {
			for _, b := range pools[1:] {
				b.addFrom(name, vector{}, moment{free: true})
			}
		}
		score, host, rest := scoreOf(pools)
		if len(pools[0].hosts) < 2 {
			return
		}
		terms := make([]float64, len(pools))
		least, who := math.Inf(1), ""
		for name := range pools[0].hosts {
			for i, b := range pools {
				terms[i] = b.logWithout(name)
			}
			if e := mean(terms); e < least || e == least && name < who {
				least, who = e, name
			}
		}
		if rest != least || host != who || math.IsNaN(score) {
			t.Fatalf("%g without %s, not %g without %s", rest, host, least, who)
		}
	})
}
