package analysis

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/serin-rollouts/serin/internal/latency"
)

// TestLatencyHostOrder: neither the order in which hosts report within a round, nor the order of
// what a report tells, nor a report that comes twice, changes anything at all.
func TestLatencyHostOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		w := timed{
			hosts: 4, stable: 2, perSecond: 20, share: .2, mood: noise(.1, .02),
			draw: lognormal(rapid.Float64Range(.9, 1.5).Draw(t, "slowdown")),
		}
		w.gate.Quantile = rapid.SampledFrom([]int{0, 5000, 9900}).Draw(t, "quantile")
		w.gate.MaxIncrease = rapid.SampledFrom([]int{NoIncrease, 1000, 2000}).Draw(t, "allowed")
		c := newClockwork(w, rand.New(rand.NewPCG(seed, 0)))
		order := rand.New(rand.NewPCG(seed, 1))
		a, b, again := w.judge(), w.judge(), w.judge()
		for at := time.Duration(0); at <= 3*time.Minute; at += tick {
			c.serve(at)
			rs := c.reports(at)
			for _, r := range rs {
				a.observe(r)
				again.observe(r)
			}
			for _, i := range order.Perm(len(rs)) {
				order.Shuffle(len(rs[i].Latencies), func(x, y int) {
					l := rs[i].Latencies
					l[x], l[y] = l[y], l[x]
				})
				b.observe(rs[i])
				if order.IntN(3) == 0 {
					b.observe(rs[order.IntN(i+1)]) // early, or once more
				}
			}
			if at == 2*time.Minute {
				for _, j := range []*latencyJudge{a, b, again} {
					j.restart(at, Step{})
				}
			}
			if d := cmp.Diff(a.finding(at), b.finding(at)); d != "" {
				t.Fatalf("in another order at %s:\n%s", at, d)
			}
			if d := cmp.Diff(a.finding(at), again.finding(at)); d != "" {
				t.Fatalf("a second judge at %s:\n%s", at, d)
			}
		}
	})
}

// TestLatencyRepeats: what has been told already changes no evidence, whenever it is told again.
func TestLatencyRepeats(t *testing.T) {
	w := known(.2, LatencyGate{})
	c := newClockwork(w, rand.New(rand.NewPCG(4, 4)))
	j := w.judge()
	w.feed(j, c, 0, 3*time.Minute)
	before := j.finding(3 * time.Minute)
	for range 3 {
		for _, r := range c.reports(3 * time.Minute) {
			j.observe(r)
		}
	}
	if d := cmp.Diff(before, j.finding(3*time.Minute)); d != "" {
		t.Error(d)
	}
}

// TestLatencyCountsOnce: over restarts of counters, repeated, late and lost reports, no request is
// tested twice, none in whose time the thresholds were learned, and none of a cold canary. Of a run that
// has ended unheard nothing comes, and nothing old once a host has been silent for so long that lower
// counters are taken for restarted ones: whoever feeds a judge orders runs and reports by their numbers.
// Late is what comes after a newer report.
func TestLatencyCountsOnce(t *testing.T) {
	some := int64(0)
	rapid.Check(t, func(t *rapid.T) {
		j := newLatencyJudge(Gates{}, LatencyGate{Quantile: 9000}, 10_000)
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		var sent []Report
		canary, stable := latency.New(), latency.New()
		life, tested, testable, unheard := 0, int64(0), int64(0), int64(0)
		heard, last, newest := map[string]bool{}, time.Duration(0), -1
		for i := range rapid.IntRange(60, 200).Draw(t, "reports") {
			at := time.Duration(i) * time.Second
			switch rapid.IntRange(0, 19).Draw(t, "what") {
			case 0:
				if life < mostIncarnations {
					life++
					unheard = 0
					canary.Clear()
					stable.Clear()
				}
			case 1, 2:
				if newest >= 0 && at-last < stuck {
					if r := sent[rapid.IntRange(0, newest).Draw(t, "old")]; heard[r.Incarnation] {
						r.At = at
						j.observe(r)
					}
				}
			default:
				for range 60 {
					stable.Add(int64(100_000 * random.ExpFloat64()))
				}
				n := random.IntN(30)
				for range n {
					canary.Add(int64(100_000 * random.ExpFloat64()))
				}
				unheard += int64(n)
				r := told("h", strconv.Itoa(life), at, canary, stable)
				sent = append(sent, r)
				if rapid.IntRange(0, 3).Draw(t, "lost") > 0 {
					if at >= ColdStart && j.cuts.known > 0 {
						testable += unheard
					}
					j.observe(r)
					heard[r.Incarnation], last, newest, unheard = true, at, len(sent)-1, 0
				}
			}
			if n := j.bands[0].canary.Requests; n < tested || n > testable {
				t.Fatalf("at %s: %d requests tested, %d before, of %d", at, n, tested, testable)
			} else {
				tested = n
			}
		}
		some = max(some, tested)
	})
	if some == 0 {
		t.Error("nothing was ever tested")
	}
}
