package coordinator

import (
	"maps"
	"strconv"
	"strings"
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

// many is how many canary instances a burst of errors in one of them does not
// speak for.
const many = 3

// pool compares hosts with hosts, where a wave gives the canary all of a
// host's traffic and the other hosts have none of it: one pseudo-host whose
// canary is the wave and whose stable instances are the other hosts.
type pool struct {
	life    int // of the pseudo-host's counters
	sums    map[string]analysis.Signal
	times   map[lane]*timing
	common  bool
	past    map[string]map[string]analysis.Counts // by gate and host: while no host was all canary's
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
	p := &pool{last: map[string]reading{}, past: map[string]map[string]analysis.Counts{}}
	p.restart(true)
	return p
}

// restart begins a step: sides may have changed, so the sums begin again. Common says that hosts run
// stable on both sides: what it counts there is their past in common.
func (p *pool) restart(common bool) {
	p.life++
	p.common = common
	p.sums, p.times = map[string]analysis.Signal{}, map[lane]*timing{}
}

// meet begins to count on a host at what its counters said when the rollout began, if they began with
// it: so whoever hears of it, however late, has the same past.
func (p *pool) meet(name, incarnation, rollout string) {
	if _, known := p.last[name]; !known && strings.HasSuffix(incarnation, "-"+rollout) {
		p.last[name] = reading{incarnation: incarnation}
	}
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
	if p.common {
		p.remember(name, now, before)
	}
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
		Canary: all.Canary, Stable: maps.Clone(all.Stable), CanaryInstances: instances, Pooled: instances >= many,
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

// remember adds to a host's past what its stable containers have counted since.
func (p *pool) remember(host string, now, before reading) {
	for gate, c := range now.counts {
		if p.past[gate] == nil {
			p.past[gate] = map[string]analysis.Counts{}
		}
		for instance, n := range c.Stable {
			p.past[gate][host] = plus(p.past[gate][host], since(n, before.counts[gate].Stable[instance]))
		}
	}
}

// before sums the past by side.
func (p *pool) before(index map[string]int, wave int) map[string]analysis.Sides {
	all := map[string]analysis.Sides{}
	for gate, hosts := range p.past {
		var s analysis.Sides
		for host, c := range hosts {
			k, ours := index[host]
			switch {
			case !ours:
			case k < wave:
				s.Canary = plus(s.Canary, c)
			default:
				s.Stable = plus(s.Stable, c)
			}
		}
		all[gate] = s
	}
	return all
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
