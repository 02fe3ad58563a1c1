package analysis

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// rates feeds a panel with an errors gate: each host has a canary with a share of a tenth, and
// rates of its own. It looks after every round, and returns the first verdict that names a host, or
// the last one.
func rates(p *Panel, seed uint64, hosts int, long time.Duration, rate func(host int) (canary, stable float64)) Verdict {
	random := rand.New(rand.NewPCG(seed, 1))
	sums := make([]Report, hosts)
	bad := func(n int, p float64) int64 {
		x := int64(0)
		for range n {
			if random.Float64() < p {
				x++
			}
		}
		return x
	}
	at := time.Duration(0)
	for ; at <= long; at += time.Second {
		for k := range hosts {
			c, s := rate(k)
			r := &sums[k]
			r.Host, r.Incarnation, r.At, r.CanaryInstances = fmt.Sprint("host-", k), "1", at, 1
			r.Canary = r.Canary.plus(Counts{5, bad(5, c)})
			r.Stable = map[string]Counts{"a": r.Stable["a"].plus(Counts{45, bad(45, s)})}
			p.Observe(*r)
		}
		if v := p.Verdict(at); v.Outlier != "" {
			return v
		}
	}
	return p.Verdict(at)
}

func errorsOnly() *Panel {
	return NewPanel(Gates{Errors: RateGate{Conduct: Conduct{Name: "errors"}, MaxIncrease: 50}})
}

func TestOutlier(t *testing.T) {
	for name, c := range map[string]struct {
		hosts int
		rate  func(host int) (canary, stable float64)
		want  string
		long  time.Duration // 40 s if zero
	}{
		"one of five":              {5, func(k int) (float64, float64) { return []float64{.01, .01, 1, .01, .01}[k], .01 }, "host-2", 0},
		"one of five, for minutes": {5, func(k int) (float64, float64) { return []float64{.01, .01, .3, .01, .01}[k], .01 }, "host-2", 5 * time.Minute},
		"all are bad":              {5, func(int) (float64, float64) { return .3, .01 }, "", 0},
		"stable is bad, too": {5, func(k int) (float64, float64) {
			return []float64{.01, .01, .3, .01, .01}[k], []float64{.01, .01, .3, .01, .01}[k]
		}, "", 0},
		"one of two":           {2, func(k int) (float64, float64) { return []float64{.01, .3}[k], .01 }, "", 0},
		"none":                 {5, func(int) (float64, float64) { return .01, .01 }, "", 0},
		"a bit more than most": {5, func(k int) (float64, float64) { return []float64{.01, .012, .01, .01, .01}[k], .01 }, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			v := rates(errorsOnly(), 7, c.hosts, cmp.Or(c.long, 40*time.Second), c.rate)
			if v.Outlier != c.want || (v.OutlierReason != "") != (c.want != "") {
				t.Errorf("outlier %q (%s), want %q; %s: %s", v.Outlier, v.OutlierReason, c.want, v.Outcome, v.Reason)
			}
		})
	}
}

// Without the host the evidence is what it would be had the host never been there.
func TestDropLeavesTheOthers(t *testing.T) {
	healthy := func(int) (float64, float64) { return .01, .01 }
	for _, long := range []time.Duration{time.Minute, 12 * time.Minute} { // the second with restarts
		with, without := errorsOnly(), errorsOnly()
		rates(with, 3, 4, long, healthy)
		rates(without, 3, 4, long, healthy)
		sick := Report{Host: "sick", Incarnation: "1", CanaryInstances: 1, Stable: map[string]Counts{}}
		for at := long + time.Second; at < long+30*time.Second; at += time.Second {
			sick.At = at
			sick.Canary = sick.Canary.plus(Counts{10, 5})
			sick.Stable = map[string]Counts{"a": sick.Stable["a"].plus(Counts{90, 1})}
			with.Observe(sick)
		}
		with.Exclude("sick")
		a, b := with.seats[0].judge.(*rateJudge).errors, without.seats[0].judge.(*rateJudge).errors
		if a.worse.logE() != b.worse.logE() || a.beyond.logE() != b.beyond.logE() {
			t.Errorf("after %v: worse %v and %v, beyond %v and %v", long, a.worse.logE(), b.worse.logE(), a.beyond.logE(), b.beyond.logE())
		}
	}
}

// The chance that a healthy host is ever named is bounded as alpha is.
func TestOutlierLevel(t *testing.T) {
	const runs = 150
	named := 0
	for seed := range uint64(runs) {
		p := errorsOnly()
		if v := rates(p, seed, 6, 2*time.Minute, func(k int) (float64, float64) {
			rate := .005 * float64(k+1)
			return rate, rate
		}); v.Outlier != "" {
			named++
		}
	}
	if named > 5 { // 1 % of 150, and three standard errors
		t.Errorf("%d of %d healthy fleets have an outlier", named, runs)
	}
}
