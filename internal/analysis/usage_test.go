package analysis

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const mebi = 1 << 20

// saturated returns a panel with a saturation gate: memory +50 %, throttling +10 points.
func saturated(restarts int) *Panel {
	return NewPanel(Gates{
		Errors: RateGate{Conduct: Conduct{Name: "errors", Observe: true}},
		Usage:  &UsageGate{Conduct: Conduct{Name: "saturation"}, MaxMemory: 5000, MaxThrottled: 1000, MaxRestarts: restarts},
	})
}

// usage is one host's report: a canary container and a stable one.
func usage(host string, at time.Duration, canary, stable Usage) Report {
	canary.Canary, canary.Instance, stable.Instance = true, "c", "s"
	return Report{Host: host, Incarnation: "1", At: at, CanaryInstances: 1, Usage: []Usage{canary, stable}}
}

// play feeds a report of every host each 5 s for so long, and returns the verdict at the end.
func play(p *Panel, hosts int, long time.Duration, of func(host int, at time.Duration) (canary, stable Usage)) Verdict {
	at := time.Duration(0)
	for ; at <= long; at += 5 * time.Second {
		for k := range hosts {
			canary, stable := of(k, at)
			p.Observe(usage(fmt.Sprint("host-", k), at, canary, stable))
		}
	}
	return p.Verdict(at)
}

func TestSaturation(t *testing.T) {
	flat := Usage{Memory: 100 * mebi}
	leak := func(at time.Duration) Usage { return Usage{Memory: 100*mebi + int64(at.Seconds())*mebi} }
	cases := map[string]struct {
		hosts  int
		of     func(host int, at time.Duration) (canary, stable Usage)
		want   Outcome
		reason string
	}{
		"as stable":               {3, func(int, time.Duration) (Usage, Usage) { return flat, flat }, Pass, "memory 100 MiB on canary, 100 MiB on stable, allowed +50.00 %"},
		"a leak":                  {3, func(_ int, at time.Duration) (Usage, Usage) { return leak(at), flat }, Fail, "over it for 30s on 3 of 3 hosts"},
		"a leak on the only host": {1, func(_ int, at time.Duration) (Usage, Usage) { return leak(at), flat }, Fail, "on 1 of 1 host"},
		"a leak on one of three hosts": {3, func(k int, at time.Duration) (Usage, Usage) {
			if k == 1 {
				return leak(at), flat
			}
			return flat, flat
		}, Wait, "over it on 1 of 3 hosts"},
		"a small app's few MiB": {3, func(int, time.Duration) (Usage, Usage) {
			return Usage{Memory: 12 * mebi}, Usage{Memory: 4 * mebi}
		}, Pass, "allowed"},
		"a peak": {3, func(_ int, at time.Duration) (Usage, Usage) {
			if at == 50*time.Second {
				return Usage{Memory: 900 * mebi}, flat
			}
			return flat, flat
		}, Pass, "memory 100 MiB on canary"},
		"at its limit": {2, func(int, time.Duration) (Usage, Usage) {
			return Usage{Memory: 98 * mebi, Limit: 100 * mebi}, Usage{Memory: 80 * mebi, Limit: 100 * mebi}
		}, Fail, "on 2 of 2 hosts"},
		"stable elsewhere": {3, func(k int, at time.Duration) (Usage, Usage) {
			if k == 2 {
				return Usage{}, flat // the host in the rear: no canary
			}
			return leak(at), Usage{}
		}, Fail, "on 2 of 2 hosts"},
		"throttled": {3, func(_ int, at time.Duration) (Usage, Usage) {
			n := int64(at/time.Second) * 10
			return Usage{Memory: mebi, Periods: n, Throttled: n / 2}, Usage{Memory: mebi, Periods: n, Throttled: n / 50}
		}, Fail, "throttled CPU periods"},
		"throttled as stable is": {3, func(_ int, at time.Duration) (Usage, Usage) {
			n := int64(at/time.Second) * 10
			u := Usage{Memory: mebi, Periods: n, Throttled: n / 50}
			return u, u
		}, Pass, "throttled CPU periods"},
		"killed on two hosts": {3, func(k int, _ time.Duration) (Usage, Usage) {
			if k < 2 {
				return Usage{Memory: mebi, Restarts: 1, OOMs: 1}, flat
			}
			return flat, flat
		}, Fail, "started again 2 times, 2 of them for want of memory"},
		"restarted on one of three": {3, func(k int, _ time.Duration) (Usage, Usage) {
			if k == 0 {
				return Usage{Memory: 100 * mebi, Restarts: 1}, flat
			}
			return flat, flat
		}, Pass, "memory"},
		"again and again on one of three": {3, func(k int, at time.Duration) (Usage, Usage) {
			if k == 0 {
				return Usage{Memory: 100 * mebi, Restarts: int(at / (10 * time.Second))}, flat
			}
			return flat, flat
		}, Fail, "started again"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			v := play(saturated(0), c.hosts, 2*time.Minute, c.of)
			if v.Outcome != c.want || !strings.Contains(v.Reason, c.reason) {
				t.Errorf("%s: %s\nwant %s with %q", v.Outcome, v.Reason, c.want, c.reason)
			}
			f, _ := v.Finding("saturation")
			if f.Gate != "saturation" || f.Observe {
				t.Errorf("finding is of gate %q, observed %v", f.Gate, f.Observe)
			}
		})
	}
}

func TestRestartsThatAreAllowed(t *testing.T) {
	of := func(int, time.Duration) (Usage, Usage) { return Usage{Memory: mebi, Restarts: 1}, Usage{Memory: mebi} }
	if v := play(saturated(3), 3, time.Minute, of); v.Outcome != Pass {
		t.Errorf("%s: %s", v.Outcome, v.Reason)
	}
}

// A step begins without readings: what a step before showed is no pass of this one.
func TestSaturationNeedsReadingsOfTheStep(t *testing.T) {
	p := saturated(0)
	of := func(int, time.Duration) (Usage, Usage) { return Usage{Memory: mebi}, Usage{Memory: mebi} }
	if v := play(p, 2, time.Minute, of); v.Outcome != Pass {
		t.Fatalf("%s: %s", v.Outcome, v.Reason)
	}
	p.Restart(2*time.Minute, Step{})
	if v := p.Verdict(2 * time.Minute); v.Outcome != Wait || v.Gate != "saturation" {
		t.Errorf("%s by %q: %s", v.Outcome, v.Gate, v.Reason)
	}
}

// CPU periods count from zero again when a container starts again; nothing is counted twice.
// How many more requests a decision takes is told where it depends on them: not of
// a gate without throttling, nor of memory that is too high on one host.
func TestSaturationForecastsThrottlingAlone(t *testing.T) {
	flat := Usage{Memory: 100 * mebi}
	for name, c := range map[string]struct {
		of     func(host int, at time.Duration) (canary, stable Usage)
		needed bool
	}{
		"no limits on CPU": {func(int, time.Duration) (Usage, Usage) { return flat, flat }, false},
		"memory on one host": {func(k int, at time.Duration) (Usage, Usage) {
			x := Usage{Memory: 100 * mebi, Periods: int64(at.Seconds())}
			if k == 1 {
				return Usage{Memory: 300 * mebi, Periods: x.Periods}, x
			}
			return x, x
		}, false},
		"few periods": {func(_ int, at time.Duration) (Usage, Usage) {
			x := Usage{Memory: 100 * mebi, Periods: int64(at.Seconds()) / 10}
			return x, x
		}, true},
	} {
		v := play(saturated(0), 3, time.Minute, c.of)
		if f, _ := v.Finding("saturation"); (f.Needed > 0) != c.needed {
			t.Errorf("%s: %s: %d more needed: %s", name, f.Outcome, f.Needed, f.Reason)
		}
	}
}

func TestThrottlingOverARestart(t *testing.T) {
	c := &container{}
	for _, u := range []Usage{{Periods: 100, Throttled: 10}, {Periods: 150, Throttled: 10}, {Periods: 20, Throttled: 20}, {Periods: 20, Throttled: 20}} {
		c.take(u)
	}
	if c.periods != 170 || c.stuck != 30 {
		t.Errorf("%d periods, %d throttled; want 170, 30", c.periods, c.stuck)
	}
}

func TestConditions(t *testing.T) {
	gates := func(c Conduct) Gates {
		c.Name = "queue"
		return Gates{
			Errors:     RateGate{Conduct: Conduct{Name: "errors", Observe: true}},
			Conditions: []ConditionGate{{Conduct: c, Failures: 2}},
		}
	}
	tell := func(p *Panel, at int, held ...bool) {
		for k, h := range held {
			p.Tell("queue", Told{At: time.Duration(at+k) * time.Second, Held: h, Text: "queue is 7"})
		}
	}
	cases := map[string]struct {
		conduct Conduct
		at      int // when the verdict is asked for, in seconds
		held    []bool
		want    Outcome
	}{
		"not told yet":                   {Conduct{}, 10, nil, Wait},
		"holds":                          {Conduct{}, 10, []bool{true}, Pass},
		"false once":                     {Conduct{}, 10, []bool{true, false}, Wait},
		"false, true, false":             {Conduct{}, 10, []bool{false, true, false}, Wait},
		"false twice":                    {Conduct{}, 10, []bool{true, false, false}, Fail},
		"failed for good":                {Conduct{}, 10, []bool{false, false, true}, Fail},
		"false, but only observed":       {Conduct{Observe: true}, 10, []bool{false, false}, Pass},
		"optional, not asked yet":        {Conduct{Optional: true}, 10, nil, Wait},
		"optional and silent":            {Conduct{Optional: true}, 60, nil, Pass},
		"silent, not long":               {Conduct{OnSilence: FailOnSilence}, 59, nil, Wait},
		"silent for long":                {Conduct{OnSilence: FailOnSilence}, 60, nil, Fail},
		"fell silent":                    {Conduct{OnSilence: FailOnSilence}, 90, []bool{true}, Fail},
		"silent, but waits":              {Conduct{OnSilence: WaitOnSilence}, 600, nil, Wait},
		"held, not long ago":             {Conduct{}, 60, []bool{true}, Pass},
		"held, and fell silent":          {Conduct{}, 61, []bool{true}, Wait},
		"held long ago, optional":        {Conduct{Optional: true}, 600, []bool{true}, Pass},
		"false, not long ago, optional":  {Conduct{Optional: true}, 60, []bool{false}, Wait},
		"false long ago, optional":       {Conduct{Optional: true}, 61, []bool{false}, Pass},
		"optional, and silence fails it": {Conduct{Optional: true, OnSilence: FailOnSilence}, 61, []bool{false}, Fail},
		"optional, silence would fail it, not told yet": {Conduct{Optional: true, OnSilence: FailOnSilence}, 600, nil, Pass},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := NewPanel(gates(c.conduct))
			tell(p, 1, c.held...)
			if v := p.Verdict(time.Duration(c.at) * time.Second); v.Outcome != c.want {
				t.Errorf("%s: %s", v.Outcome, v.Reason)
			}
		})
	}
}

// A step needs an evaluation of its own.
func TestConditionsOfTheStepBefore(t *testing.T) {
	p := NewPanel(Gates{
		Errors:     RateGate{Conduct: Conduct{Name: "errors", Observe: true}},
		Conditions: []ConditionGate{{Conduct: Conduct{Name: "queue"}}},
	})
	p.Tell("queue", Told{At: time.Second, Held: true})
	p.Restart(2*time.Second, Step{})
	if v := p.Verdict(3 * time.Second); v.Outcome != Wait || v.Gate != "queue" || !strings.Contains(v.Reason, "queue") {
		t.Errorf("%s by %q: %s", v.Outcome, v.Gate, v.Reason)
	}
}

// What is silent says so, instead of what it said last.
func TestSilenceIsTold(t *testing.T) {
	p := NewPanel(Gates{
		Errors:     RateGate{Conduct: Conduct{Name: "errors", Observe: true}},
		Conditions: []ConditionGate{{Conduct: Conduct{Name: "queue", OnSilence: FailOnSilence}}},
	})
	p.Tell("queue", Told{At: time.Second, Held: true})
	v := p.Verdict(2 * time.Minute)
	if v.Outcome != Fail || !strings.Contains(v.Reason, "nothing has been heard of queue for 1m59s; before: queue holds") {
		t.Errorf("%s: %s", v.Outcome, v.Reason)
	}
}

// No data is never a pass: what a gate said before its source fell silent is not of now.
func TestSilenceIsNoPass(t *testing.T) {
	const dies = 200 * time.Second
	good := func(at time.Duration) Report {
		n := int64(at/time.Second) * 20
		r := usage("host-0", at, Usage{Memory: mebi}, Usage{Memory: mebi})
		r.Canary, r.Stable = Counts{Requests: n}, map[string]Counts{"s": {Requests: 5 * n}}
		r.Signals = map[string]Signal{"pay": {Canary: r.Canary, Stable: r.Stable}}
		return r
	}
	errors := RateGate{Conduct: Conduct{Name: "errors", Observe: true}}
	cases := map[string]struct {
		gates Gates
		dead  func(r Report) (Report, bool) // what is heard from then on; false: nothing
	}{
		"pay": {Gates{Errors: errors, Rates: []RateGate{{Conduct: Conduct{Name: "pay"}, MaxIncrease: 100}}}, func(r Report) (Report, bool) {
			r.Signals = nil
			return r, true
		}},
		"saturation": {Gates{Errors: errors, Usage: &UsageGate{Conduct: Conduct{Name: "saturation"}, MaxMemory: 5000}}, func(r Report) (Report, bool) {
			r.Usage = nil
			return r, true
		}},
		"errors": {Gates{Errors: RateGate{Conduct: Conduct{Name: "errors"}, MaxIncrease: 100}}, func(r Report) (Report, bool) { return r, false }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := NewPanel(c.gates)
			hear := func(from, until time.Duration, dead bool) {
				for at := from; at <= until; at += time.Second {
					r, said := good(at), true
					if dead {
						r, said = c.dead(r)
					}
					if said {
						p.Observe(r)
					}
				}
			}
			is := func(now time.Duration, want Outcome, reason string) {
				t.Helper()
				v := p.Verdict(now)
				if f, _ := v.Finding(name); v.Outcome != want || f.Outcome != want || !strings.Contains(v.Reason, reason) {
					t.Errorf("at %s: %s (%s): %s", now, v.Outcome, f.Outcome, v.Reason)
				}
			}
			hear(time.Second, dies, false)
			is(dies, Pass, "")
			if at := p.Silences(dies); at != dies+Silence {
				t.Errorf("a source would count as silent at %s", at)
			}
			hear(dies+time.Second, dies+Silence, true)
			is(dies+Silence-time.Second, Pass, "")
			is(dies+Silence, Wait, "nothing has been heard of "+name+" for 1m0s; before: ")
			is(10*dies, Wait, "nothing has been heard of "+name)
			if at := p.Silences(10 * dies); at <= 10*dies {
				t.Errorf("a source would count as silent at %s again", at)
			}
			hear(10*dies, 10*dies+10*time.Second, false)
			is(10*dies+10*time.Second, Pass, "")
		})
	}
}

// A reading that nothing follows does not last.
func TestMemoryOfTheLastReading(t *testing.T) {
	p := saturated(0)
	flat := Usage{Memory: 100 * mebi}
	for at := time.Second; at < 20*time.Second; at += time.Second {
		p.Observe(usage("host-0", at, flat, flat))
	}
	p.Observe(usage("host-0", 20*time.Second, Usage{Memory: 900 * mebi}, flat))
	for _, now := range []time.Duration{21 * time.Second, 50 * time.Second, 10 * time.Minute} {
		r := usage("host-0", now, flat, flat)
		r.Usage = nil // Docker's statistics are not there
		p.Observe(r)
		if v := p.Verdict(now); v.Outcome != Wait || v.Gate != "saturation" {
			t.Errorf("at %s: %s: %s", now, v.Outcome, v.Reason)
		}
	}
	for after, want := range []Outcome{Wait, Wait, Wait, Fail} { // nobody knows what was in between
		at := 10*time.Minute + time.Duration(10*after)*time.Second
		p.Observe(usage("host-0", at, Usage{Memory: 900 * mebi}, flat))
		if v := p.Verdict(at); v.Outcome != want {
			t.Errorf("%d readings after that: %s: %s", after+1, v.Outcome, v.Reason)
		}
	}
}
