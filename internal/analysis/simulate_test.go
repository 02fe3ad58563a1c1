package analysis

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// world is a simulated fleet: every host runs one canary and some stable containers.
type world struct {
	hosts, stable int
	perSecond     float64 // canary requests a second, of the whole fleet
	share         float64 // canary's share of the requests
	config        Config
	length        time.Duration
	// rate returns the error rate of a track on a host at a time.
	rate func(host int, canary bool, at time.Duration) float64
	// mood, if not nil, returns a function that gives each container its own rate.
	mood func(rng *rand.Rand) func(canary bool, p float64) float64
	// shareAt, if not nil, returns the share at a time.
	shareAt func(at time.Duration) float64
}

// result of a run: when it was decided, and by how many canary requests.
type result struct {
	failed, passed int64 // canary requests served until then; 0: never
	last           Finding
}

const tick = 5 * time.Second

// run plays a world, with a look after every round of reports, until Fail, or Pass if stop.
func (w world) run(seed uint64, stopAtPass bool) result {
	rng := rand.New(rand.NewPCG(seed, 1))
	j := NewJudge(w.config)
	f := newFleet(w, rng)
	var r result
	for _, report := range f.reports(0) {
		j.Observe(report)
	}
	for at := tick; at <= w.length; at += tick {
		f.serve(at)
		for _, report := range f.reports(at) {
			j.Observe(report)
		}
		r.last = j.Finding(at)
		switch {
		case r.last.Outcome == Fail:
			r.failed = f.canary
			return r
		case r.last.Outcome == Pass && r.passed == 0:
			r.passed = f.canary
			if stopAtPass {
				return r
			}
		}
	}
	return r
}

type fleet struct {
	world
	rng    *rand.Rand
	canary int64
	hosts  []simHost
}

type simHost struct {
	canary simContainer
	stable []simContainer
}

type simContainer struct {
	counts Counts
	mood   func(canary bool, p float64) float64
}

func newFleet(w world, rng *rand.Rand) *fleet {
	f := &fleet{world: w, rng: rng}
	mood := func() func(bool, float64) float64 {
		if w.mood == nil {
			return func(_ bool, p float64) float64 { return p }
		}
		return w.mood(rng)
	}
	for range w.hosts {
		h := simHost{canary: simContainer{mood: mood()}}
		for range w.stable {
			h.stable = append(h.stable, simContainer{mood: mood()})
		}
		f.hosts = append(f.hosts, h)
	}
	return f
}

// serve serves the requests of one tick that ends at this time.
func (f *fleet) serve(at time.Duration) {
	share := f.share
	if f.shareAt != nil {
		share = f.shareAt(at)
	}
	canary := f.perSecond * tick.Seconds() / float64(len(f.hosts))
	if f.shareAt != nil {
		canary *= share / f.share
	}
	stable := canary * (1 - share) / share / float64(f.stable)
	for i := range f.hosts {
		h := &f.hosts[i]
		f.canary += h.canary.serve(f.rng, canary, f.rate(i, true, at), true)
		for s := range h.stable {
			h.stable[s].serve(f.rng, stable, f.rate(i, false, at), false)
		}
	}
}

func (c *simContainer) serve(rng *rand.Rand, mean, p float64, canary bool) int64 {
	n := poisson(rng, mean)
	c.counts = c.counts.plus(Counts{n, binomial(rng, n, c.mood(canary, p))})
	return n
}

func (f *fleet) reports(at time.Duration) []Report {
	var rs []Report
	for i, h := range f.hosts {
		r := Report{
			Host: fmt.Sprintf("h%d", i), Incarnation: "1", At: at,
			Canary: h.canary.counts, CanaryInstances: 1, Stable: make(map[string]Counts),
		}
		for s, c := range h.stable {
			r.Stable[fmt.Sprintf("s%d", s)] = c.counts
		}
		rs = append(rs, r)
	}
	return rs
}

// poisson draws by counting exponential gaps, or from the normal law when the mean is large.
func poisson(rng *rand.Rand, mean float64) int64 {
	if mean > 50 {
		return max(0, int64(math.Round(mean+math.Sqrt(mean)*rng.NormFloat64())))
	}
	n := int64(0)
	for t := rng.ExpFloat64(); t < mean; t += rng.ExpFloat64() {
		n++
	}
	return n
}

// binomial draws by jumping from success to success.
func binomial(rng *rand.Rand, n int64, p float64) int64 {
	if p <= 0 {
		return 0
	}
	if p > .5 {
		return n - binomial(rng, n, 1-p)
	}
	x, log := int64(0), math.Log1p(-p)
	for i := int64(math.Log(rng.Float64())/log) + 1; i <= n; x++ {
		i += int64(math.Log(rng.Float64())/log) + 1
	}
	return x
}

// bursts is a mood: about once in every, a container fails at a rate for some mean time.
func bursts(every, mean time.Duration, rate float64) func(*rand.Rand) func(bool, float64) float64 {
	return func(rng *rand.Rand) func(bool, float64) float64 {
		bad := false
		return func(_ bool, p float64) float64 {
			if bad {
				bad = rng.Float64() > tick.Seconds()/mean.Seconds()
			} else {
				bad = rng.Float64() < tick.Seconds()/every.Seconds()
			}
			if bad {
				return rate
			}
			return p
		}
	}
}

// fixed is a rate function of two constants.
func fixed(stable, canary float64) func(int, bool, time.Duration) float64 {
	return func(_ int, isCanary bool, _ time.Duration) float64 {
		if isCanary {
			return canary
		}
		return stable
	}
}

// median returns the middle value; runs that never decided count as endless.
func median(xs []int64) int64 {
	xs = slices.Clone(xs)
	for i, x := range xs {
		if x == 0 {
			xs[i] = math.MaxInt64
		}
	}
	slices.Sort(xs)
	return xs[len(xs)/2]
}
