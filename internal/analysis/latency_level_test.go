package analysis

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// sweepTimed makes runs of a timed fleet, on two processors.
func sweepTimed(w timed, runs int, stopAtPass bool) []result {
	results := make([]result, runs)
	var wg sync.WaitGroup
	for g := range 2 {
		wg.Go(func() {
			for i := g; i < runs; i += 2 {
				results[i] = w.run(uint64(i+1), stopAtPass)
			}
		})
	}
	wg.Wait()
	return results
}

// known is the fleet for which numbers are published in the package's sources: five hosts, four
// stable containers each, five canary requests a second.
func known(share float64, gate LatencyGate) timed {
	return timed{
		hosts: 5, stable: 4, perSecond: 5, share: share, gate: gate,
		length: 20 * time.Minute, lead: 30 * time.Second, draw: lognormal(1),
	}
}

// within wants a median of canary requests; one of a few runs is less certain.
func within(t *testing.T, xs []int64, limit int64) {
	t.Helper()
	m := median(xs)
	t.Logf("median %d canary requests", m)
	if len(xs) < 50 {
		limit += limit / 2
	}
	if m > limit {
		t.Errorf("median %d canary requests of %d runs, want at most %d", m, len(xs), limit)
	}
}

// TestLatencyFalseFail watches versions that are as fast as stable, with a look every five seconds.
func TestLatencyFalseFail(t *testing.T) {
	cases := map[string]func(*timed){
		"iid, no increase allowed": func(w *timed) { w.gate.MaxIncrease = NoIncrease },
		"containers are slow by turns, no increase allowed": func(w *timed) {
			w.gate.MaxIncrease = NoIncrease
			w.mood = noise(.1, 0)
		},
		"containers differ for good, 10 percent allowed": func(w *timed) {
			w.gate.MaxIncrease = 1000
			w.mood = noise(.05, .03)
		},
		"pauses, 10 percent allowed": func(w *timed) {
			w.gate.MaxIncrease = 1000
			w.draw = pauses(lognormal(1), 1.0/60*.3)
		},
		"8 percent slower, 10 percent allowed": func(w *timed) {
			w.gate.MaxIncrease = 1000
			w.draw = lognormal(1.08)
		},
		"half of the traffic, p99, no increase allowed": func(w *timed) {
			w.gate = LatencyGate{Quantile: 9900, MaxIncrease: NoIncrease}
			w.share, w.stable = .5, 2
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			w := known(.05, LatencyGate{})
			w.hosts, w.stable, w.length = 3, 3, 10*time.Minute
			change(&w)
			n := runs(t, 300)
			failed := decided(failures(sweepTimed(w, n, false)))
			t.Logf("%d of %d good versions failed", failed, n)
			if failed > most(n, .01) {
				t.Errorf("%d of %d good versions failed, alpha 1 %%", failed, n)
			}
		})
	}
}

// TestLatencyDetection counts canary requests until Fail.
func TestLatencyDetection(t *testing.T) {
	cases := []struct {
		name     string
		draw     func(*rand.Rand, bool) float64
		increase int
		share    float64
		within   int64
	}{
		{"p50 +10 percent, none allowed, 5 percent share", lognormal(1.1), NoIncrease, .05, 912},
		{"p50 +10 percent, none allowed, half", lognormal(1.1), NoIncrease, .5, 1728},
		{"p50 +10 percent, none allowed, 1 percent share", lognormal(1.1), NoIncrease, .01, 840},
		{"p50 +50 percent", lognormal(1.5), 1000, .05, 120},
		{"p99 x2", slowPath(.025), 1000, .05, 600},
		{"p99 x2, half", slowPath(.025), 1000, .5, 1116},
		{"p99 x2, 1 percent share", slowPath(.025), 1000, .01, 564},
		{"slow mode x2", bimodal(2), 1000, .05, 324},
		{"slow mode x2, half", bimodal(2), 1000, .5, 528},
		{"slow mode x2, 1 percent share", bimodal(2), 1000, .01, 312},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := known(c.share, LatencyGate{MaxIncrease: c.increase})
			w.draw = c.draw
			w.lead = 3 * time.Minute // enough for all thresholds
			if c.share == .5 {
				w.stable, w.rush = 2, 20
			}
			w.length = w.lead + 30*time.Minute
			n := 3 * runs(t, 20)
			within(t, failures(sweepTimed(w, n, false)), c.within)
		})
	}
}

// TestLatencyPass counts canary requests until Pass, of versions that are as fast as stable.
func TestLatencyPass(t *testing.T) {
	for name, c := range map[string]struct {
		draw   func(*rand.Rand, bool) float64
		gate   LatencyGate
		within int64
	}{
		"20 percent allowed":        {lognormal(1), LatencyGate{MaxIncrease: 2000}, 1500},
		"p99, 20 percent allowed":   {lognormal(1), LatencyGate{Quantile: 9900, MaxIncrease: 2000}, 1500},
		"two modes":                 {bimodal(1), LatencyGate{MaxIncrease: 2000}, 1500},
		"none allowed":              {lognormal(1), LatencyGate{MaxIncrease: NoIncrease}, 1500},
		"10 percent slower, 20 may": {lognormal(1.1), LatencyGate{MaxIncrease: 2000}, 1500},
	} {
		t.Run(name, func(t *testing.T) {
			w := known(.05, c.gate)
			w.draw = c.draw
			n := runs(t, 100)
			rs := sweepTimed(w, n, true)
			within(t, passes(rs), c.within)
			if failed := decided(failures(rs)); failed > most(n, .01) {
				t.Errorf("%d of %d failed", failed, n)
			}
		})
	}
}

// TestLatencyFalsePass watches versions that are slower than is allowed: few may pass.
func TestLatencyFalsePass(t *testing.T) {
	for name, draw := range map[string]func(*rand.Rand, bool) float64{
		"half slower": lognormal(1.5), "slow mode x2": bimodal(2), "slow path": slowPath(.025),
		"at the limit of p99": slowPath(.0115),
	} {
		t.Run(name, func(t *testing.T) {
			w := known(.05, LatencyGate{MaxIncrease: 2000})
			w.draw = draw
			n := runs(t, 200)
			passed := decided(passes(sweepTimed(w, n, true)))
			t.Logf("%d of %d slower versions passed", passed, n)
			if passed > most(n, .05) {
				t.Errorf("%d of %d slower versions passed, alpha 5 %%", passed, n)
			}
		})
	}
}
