package analysis

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis/traffic"
	"github.com/serin-rollouts/serin/internal/latency"
)

// timed is a simulated fleet whose requests take a while.
type timed struct {
	hosts, stable int
	perSecond     float64 // canary requests a second, of the whole fleet
	share         float64 // canary's
	gate          LatencyGate
	length        time.Duration
	// draw returns how long one request takes, in milliseconds.
	draw func(rng *rand.Rand, canary bool) float64
	// mood, if not nil, returns what the times of a container's tick are multiplied by.
	mood func(rng *rand.Rand) func() float64
	// lead is how long stable is watched before canary gets traffic.
	lead time.Duration
	rush float64 // what stable's requests are multiplied by until then; 0: by 1
}

// clockwork plays a timed fleet.
type clockwork struct {
	timed
	rng    *rand.Rand
	canary int64
	all    []*timedHost
}

type timedHost struct {
	canary timedContainer
	stable []timedContainer
}

type timedContainer struct {
	times *latency.Sketch
	mood  func() float64
	lost  int64 // requests that the log did not tell of
}

func newClockwork(w timed, rng *rand.Rand) *clockwork {
	c := &clockwork{timed: w, rng: rng}
	container := func() timedContainer {
		t := timedContainer{times: latency.New(), mood: func() float64 { return 1 }}
		if w.mood != nil {
			t.mood = w.mood(rng)
		}
		return t
	}
	for range w.hosts {
		h := &timedHost{canary: container()}
		for range w.stable {
			h.stable = append(h.stable, container())
		}
		c.all = append(c.all, h)
	}
	return c
}

// serve serves a tick that ends at a time.
func (c *clockwork) serve(at time.Duration) {
	canary := c.perSecond * tick.Seconds() / float64(c.hosts)
	stable := canary * (1 - c.share) / c.share / float64(max(1, c.stable))
	if at <= c.lead && c.rush > 0 {
		stable *= c.rush
	}
	for _, h := range c.all {
		if at > c.lead {
			c.canary += h.canary.serveTimed(c, canary, true)
		}
		for s := range h.stable {
			h.stable[s].serveTimed(c, stable, false)
		}
	}
}

func (t *timedContainer) serveTimed(c *clockwork, mean float64, canary bool) int64 {
	n, mood := traffic.Poisson(c.rng, mean), t.mood()
	for range n {
		t.times.Add(int64(1000 * mood * c.draw(c.rng, canary)))
	}
	return n
}

func (t *timedContainer) latency(canary bool, name string) Latency {
	n := t.times.Count()
	return Latency{Canary: canary, Instance: name, Requests: n + t.lost, Lines: n, Sketch: t.times.Encode()}
}

func (c *clockwork) reports(at time.Duration) []Report {
	var rs []Report
	for i, h := range c.all {
		r := Report{Host: fmt.Sprintf("h%d", i), Incarnation: "1", At: at, CanaryInstances: 1}
		r.Latencies = append(r.Latencies, h.canary.latency(true, ""))
		for s := range h.stable {
			r.Latencies = append(r.Latencies, h.stable[s].latency(false, fmt.Sprintf("s%d", s)))
		}
		rs = append(rs, r)
	}
	return rs
}

func (w timed) judge() *latencyJudge {
	return newLatencyJudge(Gates{}, w.gate, 10_000)
}

// run plays the fleet with a look after every round of reports. Canary requests are counted from
// where its cold start ends.
func (w timed) run(seed uint64, stopAtPass bool) result {
	c := newClockwork(w, rand.New(rand.NewPCG(seed, 2)))
	j := w.judge()
	var r result
	cold := int64(-1)
	for at := time.Duration(0); at <= w.length; at += tick {
		if at > 0 {
			c.serve(at)
		}
		for _, report := range c.reports(at) {
			j.observe(report)
		}
		if warm := w.lead + tick + ColdStart; cold < 0 && at >= warm {
			cold = c.canary
		}
		r.last = j.finding(at)
		switch {
		case r.last.Outcome == Fail:
			r.failed = c.canary - cold
			return r
		case r.last.Outcome == Pass && r.passed == 0:
			r.passed = c.canary - cold
			if stopAtPass {
				return r
			}
		}
	}
	return r
}

// feed lets a judge hear a fleet for some time.
func (w timed) feed(j *latencyJudge, c *clockwork, from, until time.Duration) {
	for at := from; at <= until; at += tick {
		c.serve(at)
		for _, r := range c.reports(at) {
			j.observe(r)
		}
	}
}

// lognormal has a median of 100 ms, canary's being so many times that.
func lognormal(canary float64) func(*rand.Rand, bool) float64 {
	return func(rng *rand.Rand, isCanary bool) float64 {
		ms := 100 * math.Exp(.5*rng.NormFloat64())
		if isCanary {
			ms *= canary
		}
		return ms
	}
}

// slowPath is lognormal, but so large a part of canary's requests takes about 600 ms.
func slowPath(part float64) func(*rand.Rand, bool) float64 {
	return func(rng *rand.Rand, isCanary bool) float64 {
		if isCanary && rng.Float64() < part {
			return 600 * math.Exp(.1*rng.NormFloat64())
		}
		return 100 * math.Exp(.5*rng.NormFloat64())
	}
}

// bimodal has a fast mode at 20 ms and a slow one, of a tenth, at 300 ms, canary's being so many
// times that.
func bimodal(slow float64) func(*rand.Rand, bool) float64 {
	return func(rng *rand.Rand, isCanary bool) float64 {
		if rng.Float64() >= .1 {
			return 20 * math.Exp(.3*rng.NormFloat64())
		}
		ms := 300 * math.Exp(.3*rng.NormFloat64())
		if isCanary {
			ms *= slow
		}
		return ms
	}
}

// pauses lets so large a part of all requests take eight times as long.
func pauses(draw func(*rand.Rand, bool) float64, part float64) func(*rand.Rand, bool) float64 {
	return func(rng *rand.Rand, isCanary bool) float64 {
		ms := draw(rng, isCanary)
		if rng.Float64() < part {
			ms *= 8
		}
		return ms
	}
}

// noise multiplies the times of each container by a factor of its own for good, exp(N(0,
// persistent)), and by another in each tick, exp(N(0, sigma)).
func noise(sigma, persistent float64) func(*rand.Rand) func() float64 {
	return func(rng *rand.Rand) func() float64 {
		own := math.Exp(persistent * rng.NormFloat64())
		return func() float64 { return own * math.Exp(sigma*rng.NormFloat64()) }
	}
}
