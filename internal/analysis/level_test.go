package analysis

import (
	"math"
	"sync"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis/traffic"
)

// runs returns how many runs of a simulation to make: fewer where time is short.
func runs(t *testing.T, many int) int {
	t.Helper()
	if raced || testing.Short() {
		return many / 10
	}
	return many
}

// sweep makes runs of a world with seeds from 1 on, on two processors.
func sweep(w world, runs int, stopAtPass bool) []result {
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

func failures(rs []result) []int64 {
	var xs []int64
	for _, r := range rs {
		xs = append(xs, r.failed)
	}
	return xs
}

func passes(rs []result) []int64 {
	var xs []int64
	for _, r := range rs {
		xs = append(xs, r.passed)
	}
	return xs
}

func decided(xs []int64) int {
	n := 0
	for _, x := range xs {
		if x > 0 {
			n++
		}
	}
	return n
}

// most returns how many of so many runs may go wrong by a share of alpha: three standard errors
// above the expected number.
func most(runs int, alpha float64) int {
	n := float64(runs)
	return int(math.Ceil(n*alpha + 3*math.Sqrt(n*alpha*(1-alpha))))
}

// small is a fleet of three hosts, a fifth of it canary's.
func small(config Config, length time.Duration) world {
	return world{traffic.Scene{Hosts: 3, Stable: 3, PerSecond: 6, Share: .05}, config, length}
}

// TestFalseFail watches good versions for a long time with a look every five seconds, and no
// increase allowed, so that nothing but the relative test stands between them and a roll-back.
func TestFalseFail(t *testing.T) {
	const length = 10 * time.Minute
	w := small(Config{MaxIncrease: NoIncrease}, length)
	cases := map[string]func(*world){
		"iid 1 percent": func(w *world) { w.Rate = traffic.Fixed(.01, .01) },
		"share and rate drift against each other": func(w *world) {
			w.Rate = func(_ int, _ bool, at time.Duration) float64 {
				return .5 - .45*float64(at)/float64(length)
			}
			w.ShareAt = func(_ int, at time.Duration) float64 { return .05 + .45*float64(at)/float64(length) }
		},
		"hosts differ": func(w *world) {
			w.Rate = func(host int, _ bool, _ time.Duration) float64 {
				return []float64{.005, .05, .2}[host]
			}
		},
		"shared incidents": func(w *world) {
			w.Rate = func(_ int, _ bool, at time.Duration) float64 {
				if int(at.Minutes())%4 == 2 {
					return .05
				}
				return .001
			}
		},
		"bursts in containers": func(w *world) {
			w.Rate = traffic.Fixed(.001, .001)
			w.Mood = traffic.Bursts(10*time.Minute, 5*time.Second, .5)
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			w := w
			change(&w)
			n := runs(t, 2000)
			failed := decided(failures(sweep(w, n, false)))
			t.Logf("%d of %d good versions failed", failed, n)
			if failed > most(n, .01) {
				t.Errorf("%d of %d good versions failed, alpha 1 %%", failed, n)
			}
		})
	}
}

// TestFalseFailWithin watches versions that are worse, but within the margin.
func TestFalseFailWithin(t *testing.T) {
	w := small(Config{MaxIncrease: 50}, 20*time.Minute)
	w.Rate = traffic.Fixed(.001, .005)
	n := runs(t, 300)
	if failed := decided(failures(sweep(w, n, false))); failed > most(n, .01) {
		t.Errorf("%d of %d versions within the margin failed", failed, n)
	}
}

// TestFalsePass watches versions exactly at the margin: few may pass.
func TestFalsePass(t *testing.T) {
	for name, rate := range map[string]func(int, bool, time.Duration) float64{
		"0 to 1 percent": traffic.Fixed(0, .01), "1 to 2 percent": traffic.Fixed(.01, .02), "5 to 6 percent": traffic.Fixed(.05, .06),
	} {
		t.Run(name, func(t *testing.T) {
			w := small(Config{MaxIncrease: 100}, 20*time.Minute)
			w.Rate = rate
			n := runs(t, 300)
			passed := decided(passes(sweep(w, n, true)))
			t.Logf("%d of %d versions at the margin passed", passed, n)
			if passed > most(n, .05) {
				t.Errorf("%d of %d versions at the margin passed, alpha 5 %%", passed, n)
			}
		})
	}
}

// TestDetection counts canary requests until Fail on the fleet for which they are known: five
// hosts, four stable containers each, five canary requests a second.
func TestDetection(t *testing.T) {
	cases := []struct {
		name           string
		stable, canary float64
		increase       int
		within         int64
	}{
		{"0.1 to 5 percent", .001, .05, NoIncrease, 170},
		{"0.1 to 1 percent", .001, .01, NoIncrease, 1150},
		{"1 to 2 percent", .01, .02, NoIncrease, 2850},
		{"everything fails", 0, 1, NoIncrease, 60},
		{"everything fails, half a point allowed", 0, 1, 50, 60},
		{"0.1 to 5 percent, half a point allowed", .001, .05, 50, 250},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			scene := traffic.Scene{Hosts: 5, Stable: 4, PerSecond: 5, Share: .05, Rate: traffic.Fixed(c.stable, c.canary)}
			w := world{scene, Config{MaxIncrease: c.increase}, time.Hour}
			m := median(failures(sweep(w, 10*runs(t, 20), false)))
			t.Logf("median %d canary requests", m)
			if m > c.within {
				t.Errorf("median %d canary requests, want at most %d", m, c.within)
			}
		})
	}
}

// target is the fleet that the product is built for: three hosts, 200 requests a second, a tenth
// of them canary's, one point of increase allowed.
func target(stable, canary float64) world {
	scene := traffic.Scene{Hosts: 3, Stable: 2, PerSecond: 20, Share: .1, Rate: traffic.Fixed(stable, canary)}
	return world{scene, Config{MaxIncrease: 100}, 5 * time.Minute}
}

func TestTargetFail(t *testing.T) {
	n := 200
	xs := failures(sweep(target(0, .05), n, false))
	if got := decided(xs); got < n {
		t.Errorf("%d of %d bad versions failed", got, n)
	}
	t.Logf("median %d canary requests", median(xs))
	if m := median(xs); m > 500 {
		t.Errorf("median %d canary requests until Fail", m)
	}
}

func TestTargetPass(t *testing.T) {
	n := 100
	rs := sweep(target(0, 0), n, false)
	xs := passes(rs)
	if got := decided(failures(rs)); got > 0 {
		t.Errorf("%d good versions failed", got)
	}
	t.Logf("median %d canary requests, planned %d", median(xs), Plan(Config{MaxIncrease: 100}, Counts{}, 33))
	if m := median(xs); m > 800 {
		t.Errorf("median %d canary requests until Pass", m)
	}
}

// TestFewStablePass has hosts whose stable containers serve one request a second, with errors: the
// careful view of stable's rate must not be so careful that nothing ever passes.
func TestFewStablePass(t *testing.T) {
	scene := traffic.Scene{Hosts: 5, Stable: 2, PerSecond: 5, Share: .5, Rate: traffic.Fixed(.01, .01)}
	w := world{scene, Config{MaxIncrease: 100}, 2 * time.Hour}
	m := median(passes(sweep(w, runs(t, 100), true)))
	t.Logf("median %d canary requests", m)
	if m > 8000 {
		t.Errorf("median %d canary requests until Pass", m)
	}
}

// TestIncidentPass has incidents in both tracks, and a canary that is worse by twice what is
// allowed: what stable was during an incident is no excuse after it.
func TestIncidentPass(t *testing.T) {
	for _, share := range []float64{.05, .5} {
		scene := traffic.Scene{Hosts: 5, Stable: 2, PerSecond: 5, Share: share}
		scene.Rate = func(_ int, canary bool, at time.Duration) float64 {
			p := .001
			if at%(5*time.Minute) >= time.Minute && at%(5*time.Minute) < 90*time.Second {
				p = .3
			}
			if canary {
				p += .01
			}
			return p
		}
		w := world{scene, Config{MaxIncrease: 50}, 20 * time.Minute}
		n := runs(t, 100)
		if passed := decided(passes(sweep(w, n, true))); passed > most(n, .05) {
			t.Errorf("share %g: %d of %d versions beyond the margin passed", share, passed, n)
		}
	}
}

// TestLateRegression breaks a canary after twenty good minutes.
func TestLateRegression(t *testing.T) {
	w := target(.001, .001)
	w.length = 30 * time.Minute
	w.Rate = func(_ int, canary bool, at time.Duration) float64 {
		if canary && at > 20*time.Minute {
			return .06
		}
		return .001
	}
	n := runs(t, 100)
	xs := failures(sweep(w, n, false))
	before := int64(20 * 60 * 20)
	t.Logf("median %d canary requests after the change", median(xs)-before)
	if m := median(xs) - before; m < 0 || m > 1500 {
		t.Errorf("median %d canary requests after the change", m)
	}
}

// TestNoStable is the last step: all traffic is canary's, the baseline is all there is.
func TestNoStable(t *testing.T) {
	w := target(.001, .001)
	w.Share = 1
	w.config.Baseline = Counts{10_000, 10}
	n := runs(t, 200)
	good := sweep(w, n, false)
	if failed, passed := decided(failures(good)), decided(passes(good)); failed > 0 || passed < n {
		t.Errorf("good: %d failed, %d passed of %d", failed, passed, n)
	}
	w.Rate = traffic.Fixed(.001, .05)
	bad := sweep(w, n, false)
	if failed, passed := decided(failures(bad)), decided(passes(bad)); failed < n || passed > 0 {
		t.Errorf("bad: %d failed, %d passed of %d", failed, passed, n)
	}
	w.config.Baseline = Counts{}
	if r := w.run(1, false); r.failed > 0 || r.passed > 0 {
		t.Errorf("without a baseline: %+v", r.last)
	}
}

// TestOneHost breaks canary on one host of four. It is failed, and the host is named.
func TestOneHost(t *testing.T) {
	w := target(.001, .001)
	w.Hosts = 4
	w.Rate = func(host int, canary bool, _ time.Duration) float64 {
		if canary && host == 2 {
			return .98
		}
		return .001
	}
	r := w.run(1, false)
	if r.failed == 0 || r.last.Host != "h2" {
		t.Errorf("failed after %d requests, host %q: %s", r.failed, r.last.Host, r.last.Reason)
	}
	t.Log(r.failed, r.last.Reason)
}

// TestLoneStable has one stable container a host, which has no peer to learn clustering from.
func TestLoneStable(t *testing.T) {
	w := small(Config{MaxIncrease: 50}, 10*time.Minute)
	w.Stable = 1
	w.Rate = traffic.Fixed(.001, .001)
	w.Mood = traffic.Bursts(10*time.Minute, 5*time.Second, .5)
	n := runs(t, 500)
	if failed := decided(failures(sweep(w, n, false))); failed > most(n, .01) {
		t.Errorf("%d of %d good versions failed", failed, n)
	}
}
