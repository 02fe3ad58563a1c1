package coordinator

import (
	"maps"
	"strconv"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/wire"
)

// pooled is the name of the pseudo-host that stands for the whole fleet.
const pooled = "fleet"

// maxBuckets bounds the stable instances of the pseudo-host: hosts beyond it
// share one.
const maxBuckets = 200

// pool compares hosts with hosts, where a wave gives the canary all of a
// host's traffic and the other hosts have none of it: one pseudo-host whose
// canary is the wave and whose stable instances are the other hosts.
type pool struct {
	life   int // of the pseudo-host's counters
	canary analysis.Counts
	stable map[string]analysis.Counts // by host, or bucket of hosts
	last   map[string]reading
}

// reading is what was last heard of a host's counters.
type reading struct {
	incarnation string
	canary      analysis.Counts
	stable      map[string]analysis.Counts
}

func newPool() *pool {
	return &pool{stable: map[string]analysis.Counts{}, last: map[string]reading{}}
}

// restart begins a step: sides may have changed, so the sums begin again.
func (p *pool) restart() {
	p.life++
	p.canary = analysis.Counts{}
	p.stable = map[string]analysis.Counts{}
}

// add takes in what is new in a host's report. k is the host's position,
// inWave its side. The first report of a host only sets where counting begins.
func (p *pool) add(name string, k int, inWave bool, h wire.ServiceHealth) {
	before, known := p.last[name]
	p.last[name] = reading{h.Incarnation, h.CanaryCounts, h.StableCounts}
	if !known {
		return
	}
	if before.incarnation != h.Incarnation {
		before = reading{}
	}
	if inWave {
		p.canary = plus(p.canary, since(h.CanaryCounts, before.canary))
		return
	}
	bucket := "host-" + strconv.Itoa(k%maxBuckets)
	sum := p.stable[bucket]
	for instance, c := range h.StableCounts {
		sum = plus(sum, since(c, before.stable[instance]))
	}
	p.stable[bucket] = sum
}

// report renders the pseudo-host for the judge.
func (p *pool) report(instances int) analysis.Report {
	return analysis.Report{
		Host: pooled, Incarnation: strconv.Itoa(p.life),
		Canary: p.canary, Stable: maps.Clone(p.stable), CanaryInstances: instances,
	}
}

// Private

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
