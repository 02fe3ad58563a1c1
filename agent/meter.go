package agent

import (
	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/analysis"
)

// meter turns HAProxy's counters, which belong to slots and begin anew with
// each worker, into counts of instances: a container in a slot. An instance's
// counts never fall, and no request is counted twice. What the log told of the
// same requests goes the same way.
type meter struct {
	rollout string // the counts are of this rollout
	pid     int
	last    map[string]reading // by slot
	totals  map[string]*instance
	watch   *stopwatch // whose lines are attributed as the counts are
	// tell hears what each reading adds to a revision, and how long these
	// requests took; nil: nobody does.
	tell func(revision string, n analysis.Counts, took timings)
}

type reading struct {
	counts analysis.Counts
	owner  owner
}

// owner is who had a slot at the time of a reading.
type owner struct{ revision, id string }

type instance struct {
	owner

	counts analysis.Counts
	times  timings
}

func newMeter(w *stopwatch) meter {
	return meter{last: map[string]reading{}, totals: map[string]*instance{}, watch: w}
}

// begin starts all counts at zero for another rollout. What is counted by the
// next reading happened after the last one, so nothing is lost in between; but
// if the rollout tells other routes apart, the interval is left out, since its
// lines were not. On the way back nobody asks for routes any more; they stay.
func (m *meter) begin(rollout string, routes []string) {
	switch {
	case m.rollout != rollout:
		m.rollout = rollout
		clear(m.totals)
	case len(routes) == 0:
		return
	}
	if m.watch.classify(routes) {
		m.pid = 0
	}
}

// read adds what happened since the last reading. An interval in which the
// worker changed, or a counter fell, is left out: it cannot be told what of it
// was counted before.
func (m *meter) read(pid int, back haproxy.Backend, units map[string]plan.Container) {
	same := pid == m.pid
	m.pid = pid
	for _, slot := range back.Slots {
		now := reading{counts: analysis.Counts{Requests: slot.Attempts(), Errors: slot.Errors()}}
		if c, ok := units[slot.Name]; ok && c.Addr == slot.Addr.String() {
			now.owner = owner{revision: c.Revision, id: c.ID}
		}
		was, known := m.last[slot.Name]
		if slot.Attached() && now.owner == (owner{}) && known {
			now.owner = was.owner // not looked at yet
		}
		m.last[slot.Name] = now
		requests, errs := now.counts.Requests-was.counts.Requests, now.counts.Errors-was.counts.Errors
		if !same || !known || requests < 0 || errs < 0 {
			m.watch.empty(slot.Name, nil, nil)
			continue
		}
		of := was.owner
		if of == (owner{}) {
			of = now.owner
		}
		n := analysis.Counts{Requests: requests, Errors: errs}
		m.watch.empty(slot.Name, m.add(slot.Name, of, n), m.teller(of.revision, n))
	}
}

// sum returns the counts of all instances of a revision, and of each.
func (m *meter) sum(revision string) (analysis.Counts, map[string]analysis.Counts) {
	var all analysis.Counts
	each := map[string]analysis.Counts{}
	for name, i := range m.totals {
		if i.revision == revision {
			all.Requests += i.counts.Requests
			all.Errors += i.counts.Errors
			each[name] = i.counts
		}
	}
	return all, each
}

// instances lists a revision's.
func (m *meter) instances(revision string) []string {
	var names []string
	for name, i := range m.totals {
		if i.revision == revision {
			names = append(names, name)
		}
	}
	return names
}

// latency returns how long a stable instance's requests took, by route class.
func (m *meter) latency(name string) []analysis.Latency {
	return m.totals[name].latencies(analysis.Latency{Instance: name})
}

// together returns how long the requests of all of canary's instances took, by
// route class.
func (m *meter) together(revision string) []analysis.Latency {
	var all instance
	names := m.instances(revision)
	for _, name := range names {
		all.counts.Requests += m.totals[name].counts.Requests
		all.times.add(m.totals[name].times)
	}
	if len(names) == 0 {
		return nil
	}
	return all.latencies(analysis.Latency{Canary: true})
}

// requests returns what an instance was asked so far.
func (m *meter) requests(name string) int64 {
	if i := m.totals[name]; i != nil {
		return i.counts.Requests
	}
	return 0
}

// nameOf is an instance's name in reports.
func nameOf(slot, id string) string { return slot + "-" + id[:min(12, len(id))] }

// Private

// teller tells what a reading added, once it is known how long it took.
func (m *meter) teller(revision string, n analysis.Counts) func(timings) {
	if m.tell == nil || n == (analysis.Counts{}) {
		return nil
	}
	return func(took timings) { m.tell(revision, n, took) }
}

// latencies renders an instance's, by route class.
func (i *instance) latencies(as analysis.Latency) []analysis.Latency {
	first := as
	first.Requests = i.counts.Requests
	group := []analysis.Latency{first}
	for route, t := range i.times {
		l := &group[0]
		if route != "" {
			as.Route = route
			group = append(group, as)
			l = &group[len(group)-1]
		}
		l.Lines = t.lines
		if t.times != nil {
			l.Sketch = t.times.Encode()
		}
	}
	return group
}

// add counts for an instance, and returns where the lines of its requests go;
// nil if it is nobody's.
func (m *meter) add(slot string, of owner, n analysis.Counts) *timings {
	if of == (owner{}) {
		return nil
	}
	name := nameOf(slot, of.id)
	i := m.totals[name]
	if i == nil {
		i = &instance{}
		m.totals[name] = i
	}
	i.owner = of
	i.counts.Requests += n.Requests
	i.counts.Errors += n.Errors
	return &i.times
}
