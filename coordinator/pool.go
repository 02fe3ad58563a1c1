package coordinator

import (
	"maps"
	"strconv"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/latency"
	"github.com/serin-rollouts/serin/internal/wire"
)

// pooled is the name of the pseudo-host that stands for the whole fleet.
const pooled = "fleet"

// maxBuckets bounds the stable instances of the pseudo-host: hosts beyond it
// share one.
const maxBuckets = 200

// maxTimeBuckets and poolTimesEvery do so for latencies, and how often they are
// reported.
const (
	maxTimeBuckets = 8
	poolTimesEvery = 5 * time.Second
)

// pool compares hosts with hosts, where a wave gives the canary all of a
// host's traffic and the other hosts have none of it: one pseudo-host whose
// canary is the wave and whose stable instances are the other hosts.
type pool struct {
	life    int // of the pseudo-host's counters
	sums    map[string]analysis.Signal
	times   map[lane]*timing
	last    map[string]reading
	emptied time.Duration // when latencies were last reported

	canary, stable int64 // requests of the whole rollout, on any side
}

// served names the counts of requests and errors among the sums; no gate has
// that name.
const served = ""

// reading is what was last heard of a host's counters.
type reading struct {
	incarnation string
	counts      map[string]analysis.Signal
	times       map[lane]timing
}

// lane is a part of the requests whose latencies are told apart.
type lane struct {
	canary          bool
	instance, route string
}

// timing is how long the requests of a lane took.
type timing struct {
	requests, lines int64
	sketch          *latency.Sketch
}

func newPool() *pool {
	p := &pool{last: map[string]reading{}}
	p.restart()
	return p
}

// restart begins a step: sides may have changed, so the sums begin again.
func (p *pool) restart() {
	p.life++
	p.sums, p.times = map[string]analysis.Signal{}, map[lane]*timing{}
}

// add takes in what is new in a host's report. k is the host's position,
// inWave its side. The first report of a host only sets where counting begins.
func (p *pool) add(name string, k int, inWave bool, h wire.ServiceHealth) {
	now := readingOf(h)
	before, known := p.last[name]
	p.last[name] = now
	if !known {
		return
	}
	if before.incarnation != h.Incarnation {
		before = reading{}
	}
	p.canary += since(h.CanaryCounts, before.counts[served].Canary).Requests
	for instance, c := range h.StableCounts {
		p.stable += since(c, before.counts[served].Stable[instance]).Requests
	}
	bucket := "host-" + strconv.Itoa(k%maxBuckets)
	for gate, c := range now.counts {
		p.sums[gate] = addCounts(p.sums[gate], c, before.counts[gate], inWave, bucket)
	}
	for at, t := range now.times {
		if at.canary == inWave {
			p.addTimes(lane{canary: inWave, instance: bucketOf(inWave, k), route: at.route}, t, before.times[at])
		}
	}
}

// report renders the pseudo-host for the panel.
func (p *pool) report(now time.Duration, instances int) analysis.Report {
	all := p.sums[served]
	r := analysis.Report{
		Host: pooled, Incarnation: strconv.Itoa(p.life), At: now,
		Canary: all.Canary, Stable: maps.Clone(all.Stable), CanaryInstances: instances, Pooled: true,
		Signals: map[string]analysis.Signal{},
	}
	for gate, s := range p.sums {
		if gate != served {
			r.Signals[gate] = analysis.Signal{Canary: s.Canary, Stable: maps.Clone(s.Stable)}
		}
	}
	if now-p.emptied >= poolTimesEvery {
		p.emptied = now
		for at, t := range p.times {
			r.Latencies = append(r.Latencies, analysis.Latency{
				Canary: at.canary, Instance: at.instance, Route: at.route,
				Requests: t.requests, Lines: t.lines, Sketch: t.sketch.Encode(),
			})
		}
	}
	return r
}

// requests returns how many each track has served since the rollout was watched.
func (p *pool) requests() (canary, stable int64) { return p.canary, p.stable }

// Private

func readingOf(h wire.ServiceHealth) reading {
	r := reading{
		incarnation: h.Incarnation,
		counts:      map[string]analysis.Signal{served: {Canary: h.CanaryCounts, Stable: h.StableCounts}},
		times:       map[lane]timing{},
	}
	maps.Copy(r.counts, h.Signals)
	for _, l := range h.Latencies {
		sketch, err := latency.Decode(l.Sketch)
		if err != nil {
			continue // reports are checked when they arrive
		}
		r.times[lane{l.Canary, l.Instance, l.Route}] = timing{l.Requests, l.Lines, sketch}
	}
	return r
}

// bucketOf names the instance that stands for a host in the latencies; fewer
// than for counts, since a sketch is large.
func bucketOf(inWave bool, k int) string {
	if inWave {
		return ""
	}
	return "hosts-" + strconv.Itoa(k%maxTimeBuckets)
}

// addCounts adds what a host has counted since before to its side.
func addCounts(sum, now, before analysis.Signal, inWave bool, bucket string) analysis.Signal {
	if inWave {
		sum.Canary = plus(sum.Canary, since(now.Canary, before.Canary))
		return sum
	}
	if sum.Stable == nil {
		sum.Stable = map[string]analysis.Counts{}
	}
	for instance, c := range now.Stable {
		sum.Stable[bucket] = plus(sum.Stable[bucket], since(c, before.Stable[instance]))
	}
	return sum
}

func (p *pool) addTimes(at lane, now, before timing) {
	sum := p.times[at]
	if sum == nil {
		sum = &timing{sketch: latency.New()}
		p.times[at] = sum
	}
	if before.sketch == nil || now.lines < before.lines || now.requests < before.requests {
		before = timing{sketch: latency.New()}
	}
	sum.requests += now.requests - before.requests
	sum.lines += now.lines - before.lines
	sum.sketch.Merge(now.sketch.Without(before.sketch))
}

func plus(a, b analysis.Counts) analysis.Counts {
	return analysis.Counts{Requests: a.Requests + b.Requests, Errors: a.Errors + b.Errors}
}

// since returns what was counted since before; a counter that went back has
// begun again at zero.
func since(now, before analysis.Counts) analysis.Counts {
	if now.Requests < before.Requests || now.Errors < before.Errors {
		return now
	}
	return analysis.Counts{Requests: now.Requests - before.Requests, Errors: now.Errors - before.Errors}
}
