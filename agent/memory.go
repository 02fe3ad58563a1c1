package agent

import (
	"maps"
	"time"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/trace"
)

const (
	// A container that dies is started again at once, then after growing
	// pauses; one that ran for steadyRun starts over.
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
	steadyRun  = time.Minute
	// remakeAfter is how often in a row Docker may refuse to start a container until
	// another is made in its place: what a killed containerd left of a start (a task, a
	// directory) stands in the way of every later start of that container, and of no
	// other. It is below tooOften: a version is not to blame for it.
	remakeAfter = 3
	// startsKept is how long the starts of a replica are remembered that is no more.
	startsKept = 5 * time.Minute
)

// memory is what one goroutine remembers of the host between looks. All of it
// may be forgotten: after a restart of the agent it is proved, waited for or
// counted anew.
type memory struct {
	proven     map[string]time.Time     // container -> its start, as Docker says
	runsSince  map[string]time.Duration // container -> when we first saw it run
	starts     map[replica]start
	counted    map[string]bool          // deaths, by container and time
	attachedAt map[string]time.Duration // slot -> when we attached it
	quietSince map[string]time.Duration // slot
	zeroSince  map[string]time.Duration // slot
	images     map[string]bool
	replicas   map[string]replica // of containers, as last seen
	lastOp     string
	inARow     int           // lastOp was to be done
	failures   int           // of operations, in a row
	stirredAt  time.Duration // when something was last done, or heard of
	op         trace.Op      // the last one of a rollout in a trace; its span is not told yet
}

// replica is what a container is one of, also when another is made in its place.
type replica struct{ slot, revision string }

// start is the last start of a replica.
type start struct {
	tries     int
	at        time.Duration
	refused   int    // by Docker, in a row
	container string // that was to start
	stuck     int    // how many of the refusals were that container's
}

func newMemory() memory {
	return memory{
		proven: map[string]time.Time{}, runsSince: map[string]time.Duration{}, starts: map[replica]start{},
		counted: map[string]bool{}, attachedAt: map[string]time.Duration{}, quietSince: map[string]time.Duration{},
		zeroSince: map[string]time.Duration{}, images: map[string]bool{}, replicas: map[string]replica{},
	}
}

// repeats tells whether an operation is to be done that was done several times
// in a row, without an effect on the plan.
func (m *memory) repeats(op plan.Op) bool {
	switch op.(type) {
	case plan.Prove, plan.Drain:
		m.lastOp = ""
		return false
	default:
	}
	if text := op.String(); text != m.lastOp {
		m.lastOp, m.inARow = text, 0
	}
	m.inARow++
	return m.inARow > tooOften && m.inARow%2 == 0 // now and then it is tried all the same
}

// isReady tells whether a running container was proved ready since its start.
func (m *memory) isReady(c docker.Container) bool {
	at, ok := m.proven[c.ID]
	return ok && at.Equal(c.StartedAt)
}

// started notes a start by us.
func (m *memory) started(id string, now time.Duration) {
	of := m.replicas[id]
	s := m.starts[of]
	if now-s.at > steadyRun {
		s.tries = 0
	}
	s.tries, s.at = s.tries+1, now
	m.starts[of] = s
	delete(m.proven, id)
	delete(m.runsSince, id)
}

// refused notes that Docker refused a start.
func (m *memory) refused(id string) {
	s := m.starts[m.replicas[id]]
	if s.container != id {
		s.container, s.stuck = id, 0
	}
	s.stuck++
	s.refused++
	m.starts[m.replicas[id]] = s
}

// refusals is how often in a row Docker has refused to start the replica that a
// container is.
func (m *memory) refusals(id string) int { return m.starts[m.replicas[id]].refused }

// runs notes that Docker has carried out a start.
func (m *memory) runs(id string) {
	s := m.starts[m.replicas[id]]
	s.refused, s.stuck = 0, 0
	m.starts[m.replicas[id]] = s
}

// stuck says that Docker does not start a container, however often it is asked.
func (m *memory) stuck(id string) bool {
	s := m.starts[m.replicas[id]]
	return s.container == id && s.stuck >= remakeAfter
}

// retryAt is when a container that does not run may be started again.
func (m *memory) retryAt(id string) time.Duration {
	s := m.starts[m.replicas[id]]
	if s.tries < 2 {
		return 0
	}
	return s.at + min(lastRetry, firstRetry<<min(s.tries-2, 10))
}

// quiet follows a slot that gets no new requests: since when that is, and
// whether two looks apart found none open.
func (m *memory) quiet(slot string, quiet, none bool, now time.Duration) (since time.Duration, idle bool) {
	if !quiet {
		delete(m.quietSince, slot)
		delete(m.zeroSince, slot)
		return 0, false
	}
	if _, ok := m.quietSince[slot]; !ok {
		m.quietSince[slot] = now
	}
	if !none {
		delete(m.zeroSince, slot)
		return m.quietSince[slot], false
	}
	zero, ok := m.zeroSince[slot]
	if !ok {
		m.zeroSince[slot] = now
		zero = now
	}
	return m.quietSince[slot], now-zero >= idleApart
}

// forget drops what concerns containers that are gone; it returns those that
// are here.
func (m *memory) forget(found []docker.Container, now time.Duration) map[string]bool {
	here := make(map[string]bool, len(found))
	clear(m.replicas)
	for _, c := range found {
		here[c.ID] = true
		m.replicas[c.ID] = replica{slot: c.Labels[labelSlot], revision: c.Labels[labelRevision]}
	}
	keep(m.proven, here)
	keep(m.runsSince, here)
	maps.DeleteFunc(m.starts, func(_ replica, s start) bool { return now-s.at > startsKept })
	return here
}

func keep[V any](table map[string]V, here map[string]bool) {
	for id := range table {
		if !here[id] {
			delete(table, id)
		}
	}
}
