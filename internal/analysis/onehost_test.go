package analysis

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
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

// What all gates may spend, on what hosts show together and on naming one, comes to alpha at most, over
// the evidence that a rollout begins with and all that begins anew: until each part is a millionth.
func TestNamingKeepsAlpha(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alpha := rapid.IntRange(1_000, 500_000).Draw(t, "alpha")
		g := Gates{Alpha: alpha, Errors: RateGate{Conduct: Conduct{Name: "errors", Observe: rapid.Bool().Draw(t, "observed")}}}
		for k := range rapid.IntRange(0, 4).Draw(t, "latencies") {
			g.Latency = append(g.Latency, LatencyGate{Conduct: Conduct{Name: fmt.Sprint("latency", k)}, Quantile: 9900})
		}
		for k := range rapid.IntRange(0, 4).Draw(t, "rates") {
			g.Rates = append(g.Rates, RateGate{Conduct: Conduct{Name: fmt.Sprint("rate", k)}})
		}
		if rapid.Bool().Draw(t, "usage") {
			g.Usage = &UsageGate{Conduct: Conduct{Name: "saturation"}}
		}
		spent := 0
		for n := range rapid.IntRange(1, 4).Draw(t, "attempts") {
			for _, s := range NewPanel(g.Attempt(n)).seats {
				c := configOf(s.judge)
				if !s.Observe {
					spent += c.Alpha + c.Apart + c.Past
				}
				if (c.Apart+c.Past)*apartShare > c.Alpha+c.Apart+c.Past {
					t.Fatalf("%s has %d for naming a host, %d for their past, %d for all of them", s.Name, c.Apart, c.Past, c.Alpha)
				}
			}
		}
		if spent > alpha {
			t.Fatalf("%d of %d parts per million are spent", spent, alpha)
		}
	})
}

func configOf(j judge) Config {
	switch j := j.(type) {
	case *rateJudge:
		return j.Judge.config
	case *latencyJudge:
		return j.config
	case *usageJudge:
		return j.throttled.config
	}
	return Config{}
}

// A host is named by evidence of which a healthy one shows as much at most once in hosts/Apart
// rollouts, whatever the others show, and however few have been heard of.
func TestNamingTakesItsLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hosts := rapid.IntRange(3, 8).Draw(t, "hosts")
		g := Gates{
			Alpha: rapid.SampledFrom([]int{1_000, 10_000, 200_000}).Draw(t, "alpha"), Hosts: rapid.IntRange(0, 1000).Draw(t, "all"),
			Errors: RateGate{Conduct: Conduct{Name: "errors"}, MaxIncrease: rapid.SampledFrom([]int{NoIncrease, 50}).Draw(t, "allowed")},
		}
		p := NewPanel(g)
		rate := rapid.SampledFrom([]float64{.1, .5, 1}).Draw(t, "rate")
		v := rates(p, rapid.Uint64().Draw(t, "seed"), hosts, time.Minute, func(k int) (float64, float64) {
			return map[bool]float64{true: rate, false: .01}[k == 1], .01
		})
		if v.Outlier == "" {
			return
		}
		j := p.seats[0].judge.(*rateJudge)
		if j.config.Apart != Apart(g.Alpha) || j.config.Hosts != g.Hosts {
			t.Fatalf("%d parts per million among %d hosts", j.config.Apart, j.config.Hosts)
		}
		limit := math.Log(1e6 * float64(max(g.Hosts, hosts)) / float64(j.config.Apart))
		if alone := j.errors.worse.aided().logAlone(v.Outlier); alone < limit-1e-9 {
			t.Fatalf("%s is named by evidence of %g nats, below %g", v.Outlier, alone, limit)
		}
	})
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
