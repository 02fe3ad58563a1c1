package agent

import (
	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/wire"
)

// meter turns HAProxy's counters, which belong to slots and begin anew with
// each worker, into counts of instances: a container in a slot. An instance's
// counts never fall, and no request is counted twice. What the log told of the
// same requests goes the same way, to revisions.
type meter struct {
	rollout string // the counts are of this rollout
	pid     int
	last    map[string]reading // by slot
	totals  map[string]instance
	watch   *stopwatch         // whose lines are attributed as the counts are
	timings map[string]*timing // by revision
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
}

func newMeter(w *stopwatch) meter {
	return meter{last: map[string]reading{}, totals: map[string]instance{}, watch: w, timings: map[string]*timing{}}
}

// begin starts all counts at zero for another rollout. What is counted by the
// next reading happened after the last one, so nothing is lost in between.
func (m *meter) begin(rollout string) {
	if m.rollout != rollout {
		m.rollout = rollout
		clear(m.totals)
		clear(m.timings)
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
			m.watch.empty(slot.Name, nil)
			continue
		}
		of := was.owner
		if of == (owner{}) {
			of = now.owner
		}
		m.add(slot.Name, of, analysis.Counts{Requests: requests, Errors: errs})
		m.watch.empty(slot.Name, m.timing(of))
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

// latency returns how long the requests took that sum counts.
func (m *meter) latency(revision string) wire.Latency {
	all, _ := m.sum(revision)
	l := wire.Latency{Revision: revision, Requests: all.Requests}
	if t := m.timings[revision]; t != nil {
		l.Lines = t.lines
		if t.times != nil {
			l.Sketch = t.times.Encode()
		}
	}
	return l
}

// Private

// timing is where the lines of an owner's requests go; nil if it is nobody.
func (m *meter) timing(of owner) *timing {
	if of == (owner{}) {
		return nil
	}
	t := m.timings[of.revision]
	if t == nil {
		t = &timing{}
		m.timings[of.revision] = t
	}
	return t
}

func (m *meter) add(slot string, of owner, n analysis.Counts) {
	if of == (owner{}) {
		return
	}
	name := slot + "-" + of.id[:min(12, len(of.id))]
	i := m.totals[name]
	i.owner = of
	i.counts.Requests += n.Requests
	i.counts.Errors += n.Errors
	m.totals[name] = i
}
