package analysis

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/serin-rollouts/serin/internal/latency"
)

const (
	// ColdStart is how long a host's canary traffic is left out of latencies after a canary instance
	// first got some: caches are empty then, and connections not yet made.
	ColdStart = 30 * time.Second
	// saferOdds is what Pass refutes: that canary's odds of being slower than the threshold, with
	// the allowance, are so many times stable's.
	saferOdds = 1.5
	// leastCoverage is the part of the requests that HAProxy's log has to tell of.
	leastCoverage = .95
	// usualSlowdown is the allowance of a gate that gives none, and alikeSlowdown the one that
	// Pass is proven against if nothing is allowed, in basis points: no number of requests proves
	// that two versions are equally fast.
	usualSlowdown = 1000
	alikeSlowdown = 1000
)

// latencyJudge compares how long requests take, by tables of requests slower than thresholds. It
// is a value machine as Judge is.
type latencyJudge struct {
	gate   LatencyGate
	config Config // of the gate: levels, floor and window
	grid   grid
	bands  []band
	cuts   cuts // in force
	hosts  map[string]*latencyHost
	spoken map[string]spoken // by host

	began     bool
	restartAt time.Duration // when the next starting point is due
	learner   learner
	told      []latency.Buckets // the sketches of the report that is being taken in
	step      latencyTotals
	refused   int64
}

// latencyTotals are plain sums over a step.
type latencyTotals struct {
	windows int64
	shown   [mostBands]slowness
	groups  groups
}

// latencyHost is what is remembered of one host.
type latencyHost struct {
	cut       *cutter[times]
	cuts      cuts // that cut counts at
	blocks    []block
	stable    []memory    // by band
	coverage  [2]coverage // canary's, stable's
	instances int         // most canary instances that have had traffic
	warmAt    time.Duration
	cold      bool
	hasCanary bool
	pooled    bool
	groups    bool // tracks are served by different hosts
	served    bool

	round, warm, base int64 // the rounds it was gathered in, see learner
}

func newLatencyJudge(gates Gates, g LatencyGate, share int) *latencyJudge {
	if g.MaxIncrease == 0 {
		g.MaxIncrease = usualSlowdown
	}
	g.MaxIncrease = max(g.MaxIncrease, 0)
	config := gates.config(share)
	config.MinRequests = g.MinRequests
	j := &latencyJudge{
		gate: g, config: config.withDefaults(), grid: newGrid(), hosts: make(map[string]*latencyHost),
		spoken: make(map[string]spoken),
	}
	j.bands = newBands(g.Quantile, j.grid, j.config.longBlock())
	j.restartStep(0)
	return j
}

// restartStep forgets what belongs to a step, and has the thresholds learned anew.
func (j *latencyJudge) restartStep(now time.Duration) {
	j.step = latencyTotals{}
	for k := range j.bands {
		j.bands[k].restartStep(j.grid)
	}
	j.learner.restart(now, j.config.Window)
}

func (j *latencyJudge) restart(now time.Duration, _ Step) {
	for _, name := range slices.Sorted(maps.Keys(j.hosts)) {
		h := j.hosts[name]
		j.weigh(name, h, h.cut.cut(max(now, h.cut.heard)))
		h.served = false
	}
	j.restartStep(now)
	j.addStart(now)
}

// observe takes in a report; it says nothing to the gate if the log is silent, or what it told makes
// no sense.
func (j *latencyJudge) observe(r Report) bool {
	if r.Latencies != nil {
		j.advance(r.At)
		if now, ok := j.read(r); !ok || !j.hear(r, now) {
			j.refused++
			return false
		}
	}
	return j.speaks(r)
}

// advance does what is due at a time, before a report of that time counts.
func (j *latencyJudge) advance(at time.Duration) {
	if !j.began {
		j.began, j.restartAt = true, at+restartEvery
		j.learner.restart(at, j.config.Window)
	}
	if at >= j.restartAt {
		j.addStart(at)
	}
	if at >= j.learner.ends {
		j.learn(at)
	}
}

// hear takes in a report's counts and tells whether they counted.
func (j *latencyJudge) hear(r Report, now reading[times]) bool {
	h := j.hosts[r.Host]
	if h == nil {
		h = j.meet(r.Host, now)
	} else if !j.follow(r.Host, h, now) {
		return false
	}
	h.cuts = j.cuts
	h.hasCanary, h.pooled, h.groups = now.instances > 0, r.Pooled, r.Before != nil
	j.gather(r, h)
	if h.cut.due(h.cut.heard, j.config.Window) {
		j.weigh(r.Host, h, h.cut.cut(h.cut.heard))
	}
	return true
}

// meet begins to count on a host, from this report on: what was before cannot be tested, since
// the thresholds may have been learned from it.
func (j *latencyJudge) meet(name string, now reading[times]) *latencyHost {
	h := &latencyHost{
		cut: newCutter(now), blocks: make([]block, len(j.bands)), stable: make([]memory, len(j.bands)),
	}
	j.hosts[name] = h
	h.cut.rebase(now)
	h.start(now)
	return h
}

// follow adds what is new on a host. If it is not to be tested, for the thresholds are other ones
// now or the canary is cold, counting begins anew, and the open window ends before it.
func (j *latencyJudge) follow(name string, h *latencyHost, now reading[times]) bool {
	renewed := h.cut.incarnation != now.incarnation
	untested := renewed || h.cuts != j.cuts || h.cold || h.starts(now)
	if untested {
		j.weigh(name, h, h.cut.cut(h.cut.heard))
	}
	if !h.cut.hear(now) {
		return false
	}
	if renewed {
		h.base = 0
	}
	if untested {
		h.cut.rebase(now)
		h.start(now)
	}
	return true
}

// starts tells whether a canary instance has had its first traffic.
func (h *latencyHost) starts(now reading[times]) bool {
	return now.canary.requests > 0 && now.instances > h.instances
}

// start begins or ends the cold start, at a report from which counting begins.
func (h *latencyHost) start(now reading[times]) {
	if h.starts(now) {
		h.instances, h.warmAt, h.base = now.instances, now.at+ColdStart, 0
	}
	h.cold = now.at < h.warmAt
}

// addStart adds a starting point to the roll-back evidence, unless there is nothing to forgive.
func (j *latencyJudge) addStart(now time.Duration) {
	j.restartAt = now + restartEvery
	for k := range j.bands {
		if j.bands[k].worse.total != (vector{}) {
			j.bands[k].worse.restart()
		}
	}
}

// weigh turns a closed window into evidence, and then learns from it. A window of which the log
// told too little is not tested: what is missing may be just the slow requests.
func (j *latencyJudge) weigh(name string, h *latencyHost, w window[times]) {
	h.cover(w)
	nc, ns := w.sizes()
	if nc == 0 && ns == 0 || h.cuts.known == 0 || !h.covered() {
		return
	}
	tick := int64(w.at / j.config.Window)
	for k := range h.cuts.known {
		b := &j.bands[k]
		fail, pass := tables(w, k)
		if ns > 0 {
			h.stable[k] = h.stable[k].after(ns, fail.StableX)
		}
		phi := b.spread.factors(tick, fail, w.instances, w.serving())
		c := b.control(h.stable[k], phi)
		c.moment = momentOf(w.at, fail, w.instances, w.serving(), c.high)
		c.moment.free = c.moment.free || h.pooled
		if h.groups {
			c.nature.most = mostUnlike // their past is of other thresholds
			j.step.groups.note(c.nature, Sides{})
		}
		b.observe(name, j.grid, fail, pass, c)
		if w.whole {
			b.spread.learn(tick, h.blocks[k].observe(instances(w, k), b.spread.long))
		}
		b.sum(fail, phi)
	}
	h.served = h.served || nc > 0
	j.step.windows++
}

// cover remembers how many of a window's requests the log told of.
func (h *latencyHost) cover(w window[times]) {
	var stable times
	for _, t := range w.stable {
		stable.requests += t.requests
		stable.lines += t.lines
	}
	for k, t := range [2]times{w.canary, stable} {
		h.coverage[k] = h.coverage[k].after(t.requests, t.lines)
	}
}

func (h *latencyHost) covered() bool {
	for _, c := range h.coverage {
		if !c.enough() {
			return false
		}
	}
	return true
}

// coverage returns the part of the requests that the log told of lately, in parts per million, of
// the track that it told less of; false if there were none.
func (j *latencyJudge) coverage(now time.Duration) (ppm int64, known bool) {
	requests, lines := j.covered(now)
	ppm = 1_000_000
	for k := range requests {
		if requests[k] > 0 {
			known = true
			ppm = min(ppm, int64(float64(lines[k])/float64(requests[k])*1e6))
		}
	}
	return ppm, known
}

// coverageGrain is the inverse of the grain of decayed counts: sums of integers do not depend on the
// order of the hosts.
const coverageGrain = 1024

// covered returns the requests of canary and of stable lately, and how many the log told of.
func (j *latencyJudge) covered(now time.Duration) (requests, lines [2]int64) {
	for _, h := range j.hosts {
		if now-h.cut.heard > 2*longest {
			continue
		}
		for k, c := range h.coverage {
			requests[k] += int64(math.Round(c.n * coverageGrain))
			lines[k] += int64(math.Round(c.x * coverageGrain))
		}
	}
	return requests, lines
}
