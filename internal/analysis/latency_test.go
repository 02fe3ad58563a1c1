package analysis

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/latency"
)

// TestBandGolden holds the evidence of single tables against values of an independent
// implementation: stable's and canary's requests slower than the threshold.
func TestBandGolden(t *testing.T) {
	cases := []struct {
		table        Table
		worse, safer float64
	}{
		{Table{10, 1, 990, 0}, 24.128042, 0.450548},
		{Table{10, 2, 990, 1}, 430.546548, 0.259127},
		{Table{50, 8, 50, 2}, 2.874247, 0.181176},
		{Table{5, 5, 5, 0}, 86.725932, 0.206220},
		{Table{100, 30, 100, 70}, 0.012412, 6.2759e9},
		{Table{500, 260, 500, 240}, 0.354645, 1.285094},
	}
	for _, c := range cases {
		g := newGrid()
		lr := newConditional(c.table).ratios(&g)
		worse, safer := newPool(evenly(g), 1), newPool(g.saferThan(saferOdds), 1)
		worse.add(lr)
		for k := range lr {
			lr[k] -= newConditional(c.table).logLR(saferOdds)
		}
		safer.add(lr)
		near(t, "evidence of slower", math.Exp(worse.logE()), c.worse, 1e-4)
		near(t, "evidence of no slower", math.Exp(safer.logE()), c.safer, 1e-4)

		b := newBands(9900, g, 12)[0]
		b.restartStep(g)
		b.observe("h", g, c.table, c.table, control{pair: 1, moment: moment{limit: 100}})
		if b.worse.logE() > math.Log(clipAt)+math.Log(firstShare) || b.safer.logE() > math.Log(clipAt) {
			t.Errorf("%+v: one window says more than %g", c.table, clipAt)
		}
	}
}

// told is a report of one host with one stable instance.
func told(host, life string, at time.Duration, canary, stable *latency.Sketch) Report {
	say := func(track bool, instance string, s *latency.Sketch) Latency {
		return Latency{Canary: track, Instance: instance, Requests: s.Count(), Lines: s.Count(), Sketch: s.Encode()}
	}
	return Report{
		Host: host, Incarnation: life, At: at, CanaryInstances: 1,
		Latencies: []Latency{say(true, "", canary), say(false, "a", stable)},
	}
}

// TestLatencyLearning: thresholds come from stable's past, and stay until the next step.
func TestLatencyLearning(t *testing.T) {
	w := known(.2, LatencyGate{Quantile: 9900, MaxIncrease: 2000})
	c := newClockwork(w, rand.New(rand.NewPCG(5, 5)))
	j := w.judge()
	w.feed(j, c, 0, 10*time.Second)
	f := j.finding(10 * time.Second)
	if f.Outcome != Wait || f.Threshold != 0 || !strings.HasPrefix(f.Reason, "learning how long stable takes: ") {
		t.Errorf("after 200 requests: %+v", f)
	}
	w.feed(j, c, 15*time.Second, 2*time.Minute)
	first := j.finding(2 * time.Minute)
	// p99 of the lognormal is 320 ms.
	if first.Threshold < 260_000 || first.Threshold > 390_000 || first.Canary.Requests == 0 {
		t.Errorf("p99 of stable learned as %d µs", first.Threshold)
	}
	c.draw = func(rng *rand.Rand, _ bool) float64 { return 3 * lognormal(1)(rng, false) }
	w.feed(j, c, 2*time.Minute+tick, 10*time.Minute)
	second := j.finding(10 * time.Minute)
	if second.Threshold != first.Threshold || second.Outcome == Fail {
		t.Errorf("threshold moved within a step, or all got slower and that failed canary: %+v", second)
	}
	j.restart(10*time.Minute, Step{})
	w.feed(j, c, 10*time.Minute+tick, 12*time.Minute)
	if third := j.finding(12 * time.Minute); third.Threshold < 2*first.Threshold {
		t.Errorf("threshold is still %d µs in the next step", third.Threshold)
	}
}

// TestLatencyCoverage: where the log tells of too few requests nothing is decided, nor counted.
func TestLatencyCoverage(t *testing.T) {
	w := known(.2, LatencyGate{MaxIncrease: 2000})
	w.draw = lognormal(3)
	c := newClockwork(w, rand.New(rand.NewPCG(6, 6)))
	j := w.judge()
	lossy := func(from, until time.Duration, lost float64) {
		for at := from; at <= until; at += tick {
			c.serve(at)
			for _, h := range c.all {
				n := h.canary.times.Count()
				h.canary.lost = int64(lost * float64(n))
			}
			for _, r := range c.reports(at) {
				j.observe(r)
			}
		}
	}
	lossy(0, 5*time.Minute, .25)
	f := j.finding(5 * time.Minute)
	if f.Outcome != Wait || f.Canary.Requests != 0 || f.CoveragePPM < 700_000 || f.CoveragePPM > 850_000 ||
		!strings.Contains(f.Reason, "% of the requests; 95 % are needed") {
		t.Errorf("%+v", f)
	}
	lossy(5*time.Minute+tick, 6*time.Minute, .25)
	for _, h := range c.all {
		h.canary.lost = 0
	}
	w.feed(j, c, 6*time.Minute+tick, 15*time.Minute)
	if f := j.finding(15 * time.Minute); f.Outcome != Fail {
		t.Errorf("three times as slow, and all told of: %+v", f)
	}
}

// TestLatencyColdStart: what canary does in its first half minute on a host, and what an instance
// does that comes later, is neither tested nor shown.
func TestLatencyColdStart(t *testing.T) {
	w := known(.2, LatencyGate{MaxIncrease: 2000})
	c := newClockwork(w, rand.New(rand.NewPCG(9, 9)))
	j := w.judge()
	warm, cold := lognormal(1), lognormal(10)
	instances := 1
	feed := func(from, until time.Duration) {
		for at := from; at <= until; at += tick {
			c.serve(at)
			for _, r := range c.reports(at) {
				r.CanaryInstances = instances
				j.observe(r)
			}
		}
	}
	calm := func(at time.Duration) {
		t.Helper()
		f := j.finding(at)
		if f.Worse > milli(math.Log(calmLimit)) || f.CanaryMicros > 2*f.StableMicros || f.Canary.Requests == 0 {
			t.Errorf("at %s: %+v", at, f)
		}
	}
	feed(0, w.lead)
	c.draw = cold
	feed(w.lead+tick, w.lead+ColdStart)
	c.draw = warm
	feed(w.lead+ColdStart+tick, 3*time.Minute)
	calm(3 * time.Minute)
	instances, c.draw = 2, cold
	feed(3*time.Minute+tick, 3*time.Minute+ColdStart)
	c.draw = warm
	feed(3*time.Minute+ColdStart+tick, 6*time.Minute)
	calm(6 * time.Minute)
	c.draw = func(rng *rand.Rand, _ bool) float64 { return cold(rng, true) }
	feed(6*time.Minute+tick, 8*time.Minute)
	if f := j.finding(8 * time.Minute); f.Outcome == Fail {
		t.Errorf("all are slow: %+v", f)
	}
}

// TestLatencyLeader: a judge that hears a fleet only now, as after a change of leaders, comes to
// the same decision from the same reports.
func TestLatencyLeader(t *testing.T) {
	for _, c := range []struct {
		slowdown float64
		want     Outcome
	}{{1, Pass}, {2, Fail}} {
		w := known(.2, LatencyGate{MaxIncrease: 2000})
		w.draw = lognormal(c.slowdown)
		k := newClockwork(w, rand.New(rand.NewPCG(10, 10)))
		first, second := w.judge(), w.judge()
		w.feed(first, k, 0, 4*time.Minute)
		for at := 4*time.Minute + tick; at <= 15*time.Minute; at += tick {
			k.serve(at)
			for _, r := range k.reports(at) {
				first.observe(r)
				second.observe(r)
			}
		}
		a, b := first.finding(15*time.Minute), second.finding(15*time.Minute)
		if a.Outcome != c.want || b.Outcome != c.want {
			t.Errorf("first %+v\nsecond %+v\nwant %s", a, b, c.want)
		}
	}
}

// TestLatencySeat: latency gates sit between errors and other rates, and decide with them.
func TestLatencySeat(t *testing.T) {
	p := NewPanel(Gates{
		Errors:  RateGate{Conduct: Conduct{Name: "errors", Observe: true}},
		Latency: []LatencyGate{{Conduct: Conduct{Name: "p50"}, Quantile: 5000}, {Conduct: Conduct{Name: "all", Observe: true}}},
		Rates:   []RateGate{{Conduct: Conduct{Name: "logins", Observe: true}}},
	})
	w := known(.2, LatencyGate{})
	w.draw = lognormal(2)
	c := newClockwork(w, rand.New(rand.NewPCG(11, 11)))
	for at := time.Duration(0); at <= 5*time.Minute; at += tick {
		c.serve(at)
		for _, r := range c.reports(at) {
			p.Observe(r)
		}
	}
	v := p.Verdict(5 * time.Minute)
	var names []string
	for _, f := range v.Findings {
		names = append(names, f.Gate)
	}
	if d := cmp.Diff([]string{"errors", "p50", "all", "logins"}, names); d != "" {
		t.Error(d)
	}
	if v.Outcome != Fail || v.Gate != "p50" || !strings.HasPrefix(v.Reason, "p50 197 ms on canary, ") {
		t.Errorf("%+v", v)
	}
	p.Restart(5*time.Minute, Step{})
	if f, _ := p.Verdict(5 * time.Minute).Finding("p50"); f.Windows != 0 || f.Outcome != Fail {
		t.Errorf("in the next step: %+v", f)
	}
}

// TestLatencyOneHost: a host on which canary alone is slow is named.
func TestLatencyOneHost(t *testing.T) {
	w := known(.2, LatencyGate{MaxIncrease: 2000})
	c := newClockwork(w, rand.New(rand.NewPCG(12, 12)))
	c.all[3].canary.mood = func() float64 { return 4 }
	j := w.judge()
	var f Finding
	for at := time.Duration(0); at <= 20*time.Minute && f.Outcome != Fail; at += tick {
		w.feed(j, c, at, at)
		f = j.finding(at)
	}
	if f.Outcome != Fail || f.Host != "h3" {
		t.Errorf("%+v", f)
	}
}

// TestLatencyRoute: a gate on one route class is not touched by others; one on none takes all.
func TestLatencyRoute(t *testing.T) {
	api := newLatencyJudge(Gates{}, LatencyGate{Quantile: 5000, Route: "/api/"}, 10_000)
	all := newLatencyJudge(Gates{}, LatencyGate{Quantile: 5000}, 10_000)
	random := rand.New(rand.NewPCG(7, 7))
	canary, stable, slow := latency.New(), latency.New(), latency.New()
	for at := time.Duration(0); at <= 5*time.Minute; at += tick {
		for range 100 {
			canary.Add(int64(10_000 * random.ExpFloat64()))
			slow.Add(int64(900_000 * random.ExpFloat64()))
			stable.Add(int64(10_000 * random.ExpFloat64()))
			stable.Add(int64(10_000 * random.ExpFloat64()))
		}
		for _, host := range []string{"a", "b"} {
			r := told(host, "1", at, slow, stable)
			r.Latencies[0].Requests += canary.Count()
			r.Latencies[1].Requests += stable.Count()
			r.Latencies = append(r.Latencies,
				Latency{Canary: true, Route: "/api/", Lines: canary.Count(), Sketch: canary.Encode()},
				Latency{Instance: "a", Route: "/api/", Lines: stable.Count(), Sketch: stable.Encode()})
			api.observe(r)
			all.observe(r)
		}
	}
	if f := api.finding(5 * time.Minute); f.Outcome != Pass || f.CoveragePPM != 1_000_000 {
		t.Errorf("of one class: %+v", f)
	}
	if f := all.finding(5 * time.Minute); f.Outcome != Fail {
		t.Errorf("of all: %+v", f)
	}
}

// TestLatencyNoStable: at full weight canary is held against what stable was like before.
func TestLatencyNoStable(t *testing.T) {
	for _, c := range []struct {
		draw func(*rand.Rand, bool) float64
		want Outcome
	}{{lognormal(1), Pass}, {lognormal(1.6), Fail}} {
		w := known(.5, LatencyGate{MaxIncrease: 2000})
		w.stable, w.draw = 1, lognormal(1)
		k := newClockwork(w, rand.New(rand.NewPCG(8, 8)))
		j := w.judge()
		w.feed(j, k, 0, 10*time.Minute)
		j.restart(10*time.Minute, Step{})
		k.share, k.perSecond, k.draw = 1, 20, c.draw
		w.feed(j, k, 10*time.Minute+tick, 20*time.Minute)
		f := j.finding(20 * time.Minute)
		if f.Outcome != c.want {
			t.Errorf("%+v, want %s", f, c.want)
		}
		t.Log(f.Reason)
	}
}

// TestLatencyRefused: what makes no sense changes nothing and is counted.
func TestLatencyRefused(t *testing.T) {
	j := newLatencyJudge(Gates{}, LatencyGate{}, 10_000)
	good := latency.New()
	good.Add(1000)
	for i, change := range []func(*Report){
		func(r *Report) { r.Host = "" },
		func(r *Report) { r.Latencies[0].Sketch = []byte("garbage") },
		func(r *Report) { r.Latencies[1].Lines = -1 },
		func(r *Report) { r.Latencies = make([]Latency, mostLatencies+1) },
	} {
		r := told("h", "1", 0, good, good)
		change(&r)
		if j.observe(r) || len(j.spoken) > 0 || j.refused != int64(i+1) || len(j.hosts) > 0 {
			t.Errorf("change %d: %d refused", i, j.refused)
		}
	}
	if j.observe(Report{Host: "h"}) {
		t.Error("a report without latencies says something")
	}
}

func TestLong(t *testing.T) {
	for micros, want := range map[int64]string{
		50: "50 µs", 999: "999 µs", 1000: "1.00 ms", 9_996: "10.0 ms", 48_100: "48.1 ms", 482_345: "482 ms",
		999_960: "1.00 s", 61_000_000: "61.0 s",
	} {
		if got := long(micros); got != want {
			t.Errorf("%d: %s, want %s", micros, got, want)
		}
	}
}

// TestLatencySilence: the log is silent when it tells of none of the requests that HAProxy counts.
// What agents say again is no news, and no requests are no silence.
func TestLatencySilence(t *testing.T) {
	const dies = 3 * time.Minute
	sketch := latency.New()
	report := func(at, lines, requests time.Duration) Report {
		n, all := int64(lines/time.Second), int64(requests/time.Second)
		for sketch.Count() < n {
			sketch.Add(10_000)
		}
		r := told("a", "1", at, sketch, sketch)
		r.Canary, r.Stable = Counts{Requests: all}, map[string]Counts{"a": {Requests: all}}
		for k := range r.Latencies {
			r.Latencies[k].Requests = all
		}
		return r
	}
	for name, c := range map[string]struct {
		conduct Conduct
		after   func(at time.Duration) (lines, requests time.Duration) // that were told of, and that there were
		want    Outcome                                                // at 80 s after the log died
		reason  string
	}{
		"requests go on":     {Conduct{OnSilence: FailOnSilence}, func(at time.Duration) (time.Duration, time.Duration) { return dies, at }, Fail, "nothing has been heard of slow for 1m"},
		"and it waits":       {Conduct{}, func(at time.Duration) (time.Duration, time.Duration) { return dies, at }, Wait, "nothing has been heard of slow for 1m"},
		"and it is optional": {Conduct{Optional: true}, func(at time.Duration) (time.Duration, time.Duration) { return dies, at }, Pass, "nothing has been heard of slow for 1m"},
		"they end, too":      {Conduct{OnSilence: FailOnSilence}, func(time.Duration) (time.Duration, time.Duration) { return dies, dies }, Wait, ""},
		"but for a few lost": {Conduct{OnSilence: FailOnSilence}, func(time.Duration) (time.Duration, time.Duration) { return dies, dies + 4*time.Second }, Wait, ""},
		"seldom":             {Conduct{OnSilence: FailOnSilence}, func(at time.Duration) (time.Duration, time.Duration) { return dies, dies + (at-dies)/5 }, Wait, ""},
		"it lives":           {Conduct{OnSilence: FailOnSilence}, func(at time.Duration) (time.Duration, time.Duration) { return at, at }, Wait, ""},
	} {
		t.Run(name, func(t *testing.T) {
			sketch = latency.New()
			c.conduct.Name = "slow"
			p := NewPanel(Gates{
				Errors:  RateGate{Conduct: Conduct{Name: "errors", Observe: true}},
				Latency: []LatencyGate{{Conduct: c.conduct, Quantile: 9900, MaxIncrease: 2000, MinRequests: 1 << 30}},
			})
			p.Restart(0, Step{})
			at := time.Second
			for ; at <= dies; at += time.Second {
				p.Observe(report(at, at, at))
			}
			for ; at <= dies+80*time.Second; at += time.Second {
				lines, requests := c.after(at)
				p.Observe(report(at, lines, requests))
			}
			v := p.Verdict(dies + 80*time.Second)
			if f, _ := v.Finding("slow"); v.Outcome != c.want || !strings.Contains(f.Reason, c.reason) || strings.Contains(f.Reason, "nothing has been heard") != strings.Contains(c.reason, "nothing") {
				t.Errorf("%s: %s", v.Outcome, f.Reason)
			}
		})
	}
}

// A log that has never told anything is silent from the beginning.
func TestLatencySilenceFromTheBeginning(t *testing.T) {
	p := NewPanel(Gates{
		Errors:  RateGate{Conduct: Conduct{Name: "errors", Observe: true}},
		Latency: []LatencyGate{{Conduct: Conduct{Name: "slow", OnSilence: FailOnSilence}}},
	})
	p.Restart(0, Step{})
	for at := time.Second; at <= Silence; at += time.Second {
		if v := p.Verdict(at - 1); v.Outcome != Wait {
			t.Fatalf("after %s: %s: %s", at, v.Outcome, v.Reason)
		}
		p.Observe(Report{Host: "a", Incarnation: "1", At: at, Canary: Counts{Requests: int64(at)}, CanaryInstances: 1})
	}
	if v := p.Verdict(Silence); v.Outcome != Fail || v.Gate != "slow" {
		t.Errorf("%s: %s", v.Outcome, v.Reason)
	}
}
