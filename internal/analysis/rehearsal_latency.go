package analysis

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/serin-rollouts/serin/internal/latency"
)

// DetectsSlower forecasts, as Detects does, when a gate on latency fails a canary all of whose requests
// take so many times as long as stable's. The gate is one of those that are given, by which it has its
// share of alpha. The clock runs from the begin of the step: what the gate waits for before it compares
// is in it, see ColdStart and Learns.
func DetectsSlower(gates Gates, g LatencyGate, s Stage, times float64, numbers Numbers) Forecast {
	j := newLatencyJudge(gates, g, gates.Shares()[g.Name])
	if beyond, _ := j.factors(); times <= beyond {
		return Forecast{}
	}
	return s.ofTimes(gates, g, times, numbers, failing)
}

// PassesLatency forecasts, as Passes does, when a gate on latency lets a canary pass that is as fast as
// stable.
func PassesLatency(gates Gates, g LatencyGate, s Stage, numbers Numbers) Forecast {
	return s.ofTimes(gates, g, 1, numbers, s.passing(Config{MinRequests: g.MinRequests}))
}

// Private

func (s Stage) ofTimes(gates Gates, g LatencyGate, times float64, numbers Numbers, asked question) Forecast {
	share := gates.Shares()[g.Name]
	known := thresholdsOf(s.Times, newLatencyJudge(gates, g, share))
	if s.Hosts < 1 || s.PerSecond <= 0 || s.Share <= 0 || len(known) == 0 {
		return Forecast{}
	}
	window := gates.config(share).withDefaults().Window
	learned, ok := s.learns(known[0].needs, window)
	if !ok {
		return Forecast{}
	}
	return s.rehearse(window, numbers, func(p *playing) rehearsed {
		return newSlowRehearsal(p, newLatencyJudge(gates, g, share), known, times, learned)
	}, asked)
}

// threshold is one that stable's times tell, and from how many of its requests the judge learns it.
type threshold struct {
	edge  latency.Edge
	above float64 // the part of stable's requests that is slower
	needs int64
}

// thresholdsOf returns those of a judge's bands, as far as the times tell them.
func thresholdsOf(past *latency.Sketch, j *latencyJudge) []threshold {
	var all []threshold
	for k := range j.bands {
		needs := j.bands[k].needs()
		if past == nil || past.Count() < needs {
			break
		}
		edge, known := past.Edge(j.bands[k].share())
		if !known {
			break
		}
		all = append(all, threshold{edge, past.Slower(edge, 1), needs})
	}
	return all
}

// stablePerSecond is how many requests stable gets during the step.
func (s Stage) stablePerSecond() float64 {
	return s.PerSecond * (float64(s.Hosts)*(1-s.Share) + float64(s.Others))
}

// learns returns when a judge has heard of so many of stable's requests, from the step's begin; false if
// it never does. It tells thresholds once in a window, from what it heard by the window before.
func (s Stage) learns(needs int64, window time.Duration) (time.Duration, bool) {
	lacks := float64(needs - s.Past)
	if lacks <= 0 {
		return 0, true
	}
	after := (1 + math.Ceil(lacks/s.stablePerSecond()/window.Seconds())) * float64(window)
	if !(after < float64(farTime)) {
		return 0, false
	}
	return time.Duration(after), true
}

// slowRehearsal plays one stage to a judge of latency.
type slowRehearsal struct {
	*playing
	schooling

	judge  *latencyJudge
	known  []threshold
	one    [2]timesLaw // of one host's requests in a tick: of stable's, and of canary's
	others [2]timesLaw // of those of the others in its group
	each   []*slowGroup
	above  []float64 // of stable's requests, by threshold
}

// slowGroup is hosts of a stage that are played as one, see group.
type slowGroup struct {
	name  string
	times [2]times // of stable and canary, in the open window
	one   [2]times // of one of the hosts
	since time.Duration

	memory [mostBands]memory
	hits   [mostBands]hits
}

// newSlowRehearsal begins with the first windows: once the first threshold is known, on the first host
// whose canary is warm.
func newSlowRehearsal(p *playing, j *latencyJudge, known []threshold, times float64, learned time.Duration) *slowRehearsal {
	r := &slowRehearsal{playing: p, judge: j, known: known}
	for k, t := range known {
		j.cuts.edges[k] = t.edge
		r.above = append(r.above, t.above)
	}
	slower := r.slower(times)
	canary, stable := p.perTick()
	for track, requests := range [2]float64{stable, canary} {
		r.one[track] = newTimesLaw(requests, slower[track])
		r.others[track] = newTimesLaw(requests*(p.merged-1), slower[track])
	}
	for i := range p.groups {
		warm := float64(i)*p.merged < float64(p.stage.Warm)
		r.each = append(r.each, &slowGroup{name: strconv.Itoa(i), since: max(learned, r.warmAt(warm))})
	}
	p.now = slices.MinFunc(r.each, func(a, b *slowGroup) int { return int(a.since - b.since) }).since
	r.learn()
	return r
}

// slower is which parts of stable's requests, and of canary's, are slower than the edges that they are
// counted above, as in times.slow.
func (r *slowRehearsal) slower(factor float64) [2][]float64 {
	var all [2][]float64
	beyond, within := r.judge.factors()
	past := r.stage.Times
	for _, t := range r.known {
		all[0] = append(all[0], t.above, t.above)
		all[1] = append(all[1], past.Slower(t.edge.Over(beyond), factor), past.Slower(t.edge.Under(within), factor))
	}
	return all
}

// warmAt draws when a host's canary counts, from the step's begin: some time after its first request,
// counted in reports, which are as far apart as windows are long.
func (r *slowRehearsal) warmAt(already bool) time.Duration {
	if already {
		return 0
	}
	window := r.judge.config.Window
	first := -math.Log(max(1e-12, 1-r.uniform())) / (r.stage.PerSecond * r.stage.Share)
	reports := max(1, math.Ceil(min(first, farTime.Seconds())/window.Seconds()))
	return time.Duration(reports)*window + ColdStart
}

func (r *slowRehearsal) addStart(now time.Duration) { r.judge.addStart(now) }

func (r *slowRehearsal) standing() (s scores, canary int64) {
	s, _ = r.judge.scores()
	return s, r.judge.bands[0].canary.Requests
}

func (r *slowRehearsal) advance() {
	r.learn()
	// With the second window thresholds are learned anew, and what it held is not compared.
	renewed := r.now == 2*r.judge.config.Window
	for _, g := range r.each {
		if g.since > r.now-r.tick {
			continue // it is not compared yet
		}
		if renewed {
			g.times, g.one, g.since = [2]times{}, [2]times{}, r.now
			continue
		}
		for track := range g.times {
			one := r.one[track].draw(r.uniform)
			g.one[track] = g.one[track].plus(one)
			g.times[track] = g.times[track].plus(one)
			if r.merged > 1 {
				g.times[track] = g.times[track].plus(r.others[track].draw(r.uniform))
			}
		}
		if due(r.now-g.since, g.one[1].timed, g.one[0].timed) {
			r.weigh(g)
		}
	}
}

// learn puts thresholds in force that the judge has heard of enough of stable's requests for.
func (r *slowRehearsal) learn() {
	heard := r.stage.Past + int64(r.stage.stablePerSecond()*(r.now-r.judge.config.Window).Seconds())
	for k := r.judge.cuts.known; k < len(r.known) && heard >= r.known[k].needs; k++ {
		r.judge.cuts.known = k + 1
		r.judge.bands[k].learned = Counts{heard, int64(math.Round(float64(heard) * r.known[k].above))}
	}
}

// weigh turns a group's window into evidence, and teaches what the hosts' stable instances show by then.
func (r *slowRehearsal) weigh(g *slowGroup) {
	j := r.judge
	serving := r.serving(g.one[0].timed)
	tick := int64(r.now / j.config.Window)
	for k := range j.cuts.known {
		b := &j.bands[k]
		fail, pass := tablesOf(g.times[1], g.times[0], k)
		if one := g.one[0]; one.timed > 0 {
			g.memory[k] = g.memory[k].after(one.timed, one.slow[2*k])
		}
		phi := b.spread.factors(tick, fail, r.of(r.stage.Canary), r.of(serving))
		c := b.control(g.memory[k], phi)
		c.moment = momentOf(r.now, fail, r.stage.Canary, serving, c.high)
		c.moment.limit *= g.hits[k].on(r.now, fail.CanaryX, r.merged) // each host has its own
		b.observe(g.name, j.grid, fail, pass, c)
		b.sum(fail, phi)
	}
	if g == r.each[0] {
		for k, m := range r.lesson(r.playing, r.now-g.since, j.bands[0].spread.long, r.above) {
			j.bands[k].spread.learn(tick, m)
		}
	}
	g.times, g.one, g.since = [2]times{}, [2]times{}, r.now
}

// timesLaw is how many requests of a track come in a tick, and how many of them are slower than edges.
type timesLaw struct {
	cells []poisson // between neighbouring edges, the slowest first
	place []int     // by edge: how many of the cells are slower than it, less one
}

// newTimesLaw is of a track with so many requests, of which these parts are slower than its edges.
func newTimesLaw(requests float64, slower []float64) timesLaw {
	sorted := slices.Compact(slices.Sorted(slices.Values(slower)))
	var l timesLaw
	below := 0.
	for _, part := range append(sorted, 1) {
		l.cells = append(l.cells, newPoisson(requests*(part-below)))
		below = part
	}
	for _, part := range slower {
		l.place = append(l.place, slices.Index(sorted, part))
	}
	return l
}

func (l *timesLaw) draw(uniform func() float64) times {
	var t times
	var upTo [2*mostBands + 1]int64
	for c := range l.cells {
		t.timed += l.cells[c].draw(uniform())
		upTo[c] = t.timed
	}
	for i, c := range l.place {
		t.slow[i] = upTo[c]
	}
	return t
}
