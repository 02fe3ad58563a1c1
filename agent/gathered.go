package agent

import (
	"math"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/wire"
)

const (
	// mostEvents bounds a count: what a container claims may not overflow sums.
	mostEvents = 1 << 48
	// mostValue bounds a reading for the same reason.
	mostValue = 1e18
	// mostInstances bounds the instances of one rollout that are remembered.
	mostInstances = 64
	// usageLasts is how long a look at what a container uses is news.
	usageLasts = 3 * usageEvery
)

// gathered is what containers and Docker told of a service, for the gates of one
// rollout. Its counts never fall. The service's lock guards it.
type gathered struct {
	rollout string
	gates   map[string]*answers // by gate
	loads   map[string]weighed  // by instance
	fates   map[string]fate     // by instance
}

// answers is what the containers answer to a gate's question.
type answers struct {
	lasts time.Duration // how long an answer is news
	by    map[string]*answer
}

// answer is what one container said.
type answer struct {
	canary    bool
	at        time.Time // of the last one; zero: none yet
	counted   bool      // bad and all are known
	bad, all  int64     // as last read
	counts    analysis.Counts
	values    map[string]float64
	complains bool // it was told that there is no answer
}

// weighed is what a container used.
type weighed struct {
	usage analysis.Usage
	at    time.Time
}

// fate is how often a container ended by itself, each time to be started again.
type fate struct {
	canary         bool
	restarts, ooms int
}

// begin forgets everything for another rollout.
func (g *gathered) begin(rollout string) {
	if g.rollout != rollout || g.gates == nil {
		*g = gathered{rollout: rollout, gates: map[string]*answers{}, loads: map[string]weighed{}, fates: map[string]fate{}}
	}
}

// of returns where an instance's answers to a gate are kept; nil if there are
// too many of them.
func (g *gathered) of(gate string, lasts time.Duration, t target) *answer {
	all := g.gates[gate]
	if all == nil {
		all = &answers{by: map[string]*answer{}}
		g.gates[gate] = all
	}
	all.lasts = lasts
	one := all.by[t.name]
	if one == nil {
		if len(all.by) >= mostInstances {
			return nil
		}
		one = &answer{canary: t.canary}
		all.by[t.name] = one
	}
	return one
}

// read takes counters as they stand. An interval in which one of them fell is
// left out: the container has begun anew, and what it lost cannot be told.
func (a *answer) read(bad, all int64) {
	if a.counted && bad >= a.bad && all >= a.all {
		a.count(all-a.all, bad-a.bad)
	}
	a.counted, a.bad, a.all = true, bad, all
}

func (a *answer) count(requests, bad int64) {
	a.counts.Requests = min(a.counts.Requests+requests, mostEvents)
	a.counts.Errors = min(a.counts.Errors+bad, mostEvents)
}

// died counts an end of a container.
func (g *gathered) died(name string, canary, oom bool) {
	f, known := g.fates[name]
	if !known && len(g.fates) >= mostInstances {
		return
	}
	f.canary = canary
	f.restarts++
	if oom {
		f.ooms++
	}
	g.fates[name] = f
}

// news is what was told lately, as it stands in a report.
func (g *gathered) news(now time.Time, h *wire.ServiceHealth) {
	for gate, all := range g.gates {
		signal, counted, readings := all.news(gate, now)
		if counted {
			if h.Signals == nil {
				h.Signals = map[string]analysis.Signal{}
			}
			h.Signals[gate] = signal
		}
		h.Readings = append(h.Readings, readings...)
	}
	h.Usage = g.usage(now)
}

// Private

// news is a gate's: what its signal is, and whether it has one. It has none while
// canary is silent.
func (all *answers) news(gate string, now time.Time) (signal analysis.Signal, counted bool, readings []wire.Reading) {
	spreads := map[string]*wire.Reading{}
	for name, a := range all.by {
		isNews := all.fresh(a, now)
		if isNews {
			a.spread(gate, spreads)
		}
		switch {
		case a.canary:
			signal.Canary.Requests = min(signal.Canary.Requests+a.counts.Requests, mostEvents)
			signal.Canary.Errors = min(signal.Canary.Errors+a.counts.Errors, mostEvents)
		case isNews && a.counted:
			if signal.Stable == nil {
				signal.Stable = map[string]analysis.Counts{}
			}
			signal.Stable[name] = a.counts
		}
		counted = counted || isNews && a.counted
	}
	for _, r := range spreads {
		readings = append(readings, *r)
	}
	return signal, counted && !all.silent(now), readings
}

// fresh reports whether what a container said is news.
func (all *answers) fresh(a *answer, now time.Time) bool {
	return !a.at.IsZero() && now.Sub(a.at) <= all.lasts
}

// silent reports whether there is a canary, and none of it has news.
func (all *answers) silent(now time.Time) bool {
	canaries, fresh := 0, 0
	for _, a := range all.by {
		if a.canary {
			canaries++
			if all.fresh(a, now) {
				fresh++
			}
		}
	}
	return canaries > 0 && fresh == 0
}

// spread adds the container's values to those of its track.
func (a *answer) spread(gate string, into map[string]*wire.Reading) {
	for variable, v := range a.values {
		r := into[variable]
		if r == nil {
			r = &wire.Reading{Gate: gate, Variable: variable}
			into[variable] = r
		}
		s := &r.Stable
		if a.canary {
			s = &r.Canary
		}
		if s.Containers == 0 {
			s.Min, s.Max = v, v
		}
		s.Containers++
		s.Sum += v
		s.Min, s.Max = math.Min(s.Min, v), math.Max(s.Max, v)
	}
}

// usage joins what containers use and how they fared: one that dies again and
// again has no load, and is just the one to tell of.
func (g *gathered) usage(now time.Time) []analysis.Usage {
	var all []analysis.Usage
	for name, l := range g.loads {
		if now.Sub(l.at) > usageLasts {
			continue
		}
		u, f := l.usage, g.fates[name]
		u.Restarts, u.OOMs = f.restarts, f.ooms
		all = append(all, u)
	}
	for name, f := range g.fates {
		if l, ok := g.loads[name]; !ok || now.Sub(l.at) > usageLasts {
			all = append(all, analysis.Usage{Canary: f.canary, Instance: name, Restarts: f.restarts, OOMs: f.ooms})
		}
	}
	return all
}

// counter takes what a container claims to have counted; false if that cannot
// be a count.
func counter(v float64) (int64, bool) {
	if !(v >= 0 && v <= mostEvents) { // NaN, too
		return 0, false
	}
	return int64(v), true
}
