package sim

import (
	"slices"
	"time"

	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	idleApart = 20 * time.Millisecond
	steadyRun = time.Minute
	tooOften  = 5
)

// observe composes what Docker and HAProxy show to what the plan needs
// (agent/observe.go). It reports false if Docker does not answer.
func (s *service) observe() (plan.Host, bool) {
	s.h.balancer.flow()
	s.read()
	s.shown = s.sight()
	d := s.h.docker
	if s.w.now < d.away {
		return plan.Host{}, false
	}
	b := s.h.balancer
	back := b.backends[s.name]
	if !b.up {
		back = nil
	}
	a := s.post.Assigned
	var mine []*container
	for _, c := range d.containers {
		if c.service == s.name {
			mine = append(mine, c)
		}
	}
	running := slices.ContainsFunc(mine, func(c *container) bool { return c.state == plan.Running })
	if !b.up && a.Stable == nil && running {
		b.renew() // what is to go has to be seen first: it may be in use
		return plan.Host{}, false
	}
	h := plan.Host{Now: s.agent.now(), MinStep: 1, OldWorkers: s.w.now < b.oldUntil, Frontend: back != nil && (a.Stable == nil && a.Canary == nil || back.front == frontOf(a))}
	for _, c := range mine {
		h.Containers = append(h.Containers, s.container(c))
	}
	if back != nil {
		s.slots(&h, back)
	}
	s.memory.forget(mine, s.stopping)
	s.countDeaths(mine)
	for _, image := range wantedImages(a) {
		if d.images[image] {
			h.Images = append(h.Images, image)
		}
	}
	return h, true
}

// Private

func (s *service) container(c *container) plan.Container {
	at, proven := s.memory.proven[c.id]
	return plan.Container{
		ID: c.id, Revision: c.revision.ID, Slot: c.slot, State: c.state, Addr: c.addr,
		Ready:     c.state == plan.Running && proven && at == c.started,
		Restarted: c.ended > 0, RetryAt: s.memory.retryAt(c.id),
		StopGrace: c.revision.Container.StopGrace, DrainLimit: c.revision.Container.DrainLimit,
	}
}

func (s *service) slots(h *plan.Host, back *backend) {
	h.Split = back.split
	for i := range back.slots {
		raw := &back.slots[i]
		c := s.h.balancer.live(s.name, raw)
		slot := plan.Slot{
			Name: raw.name, Addr: raw.addr, Open: raw.open, Up: c != nil && c.ready(s.w.now), Weight: raw.weight,
			AttachedAt: s.memory.attachedAt[raw.name],
		}
		quiet := raw.open && raw.weight == 0 && (h.Split.Share == 0 || raw.bank != h.Split.Bank)
		slot.QuietSince, slot.Idle = s.memory.quiet(raw.name, quiet, !back.sessions(raw, s.w.now), h.Now)
		h.Slots = append(h.Slots, slot)
	}
}

// countDeaths counts containers that ended by themselves, each end once, where
// something of stable stands.
func (s *service) countDeaths(mine []*container) {
	a := s.post.Assigned
	stands := a.Stable == nil || slices.ContainsFunc(mine, func(c *container) bool {
		return c.revision.ID == a.Stable.ID && c.state == plan.Running
	})
	for _, c := range mine {
		isCanary := a.Canary != nil && c.revision.ID == a.Canary.ID
		if !isCanary || c.state != plan.Stopped || s.memory.counted[c.id] == c.ended {
			continue
		}
		s.memory.counted[c.id] = c.ended
		if stands && !s.stopping[c.id] {
			s.status.deaths++
			s.status.death = c.slot + " exited with 1"
			s.agent.reportNow()
		}
	}
}

// read counts what HAProxy has counted since the last reading.
func (s *service) read() {
	b := s.h.balancer
	if back := b.backends[s.name]; b.up && back != nil {
		s.meter.begin(s.post.Assigned.Rollout)
		s.meter.read(b.pid, back, s.seen.units)
	}
}

// memory is what the loop remembers between looks; all of it may be forgotten
// (agent/memory.go).
type memory struct {
	proven     map[string]time.Duration // container -> its start
	runsSince  map[string]time.Duration
	starts     map[string]tries
	counted    map[string]time.Duration // container -> its last end that was counted
	attachedAt map[string]time.Duration
	quietSince map[string]time.Duration
	zeroSince  map[string]time.Duration
	lastOp     string
	inARow     int
	failures   int
	stirredAt  time.Duration
}

type tries struct {
	n  int
	at time.Duration
}

func newMemory() memory {
	type times = map[string]time.Duration
	return memory{
		proven: times{}, runsSince: times{}, starts: map[string]tries{}, counted: times{},
		attachedAt: times{}, quietSince: times{}, zeroSince: times{},
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
	return m.inARow > tooOften && m.inARow%2 == 0
}

func (m *memory) start(id string, now time.Duration) {
	t := m.starts[id]
	if now-t.at > steadyRun {
		t.n = 0
	}
	m.starts[id] = tries{t.n + 1, now}
	delete(m.proven, id)
	delete(m.runsSince, id)
}

func (m *memory) retryAt(id string) time.Duration {
	t := m.starts[id]
	if t.n < 2 {
		return 0
	}
	return t.at + min(30*time.Second, time.Second<<min(t.n-2, 10))
}

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
		m.zeroSince[slot], zero = now, now
	}
	return m.quietSince[slot], now-zero >= idleApart
}

func (m *memory) forget(mine []*container, stopping map[string]bool) {
	here := func(id string) bool { return slices.ContainsFunc(mine, func(c *container) bool { return c.id == id }) }
	for _, table := range []map[string]time.Duration{m.proven, m.runsSince} {
		for id := range table {
			if !here(id) {
				delete(table, id)
			}
		}
	}
	for id := range m.starts {
		if !here(id) {
			delete(m.starts, id)
		}
	}
	for id := range stopping {
		if !here(id) {
			delete(stopping, id)
		}
	}
}

// meter turns HAProxy's counters into counts of instances (agent/meter.go).
type meter struct {
	rollout string
	pid     int
	last    [2 * banks]reading
	totals  map[string]*instance
}

type reading struct {
	known  bool
	counts analysis.Counts
	owner  owner
}

type owner struct{ revision, id string }

type instance struct {
	owner

	counts analysis.Counts
}

func newMeter() meter { return meter{totals: map[string]*instance{}} }

func (m *meter) begin(rollout string) {
	if m.rollout != rollout {
		m.rollout = rollout
		clear(m.totals)
	}
}

func (m *meter) read(pid int, back *backend, units map[string]plan.Container) {
	same := pid == m.pid
	m.pid = pid
	for i := range back.slots {
		raw := &back.slots[i]
		now := reading{known: true, counts: raw.counts}
		if c, ok := units[raw.name]; ok && c.Addr == raw.addr {
			now.owner = owner{revision: c.Revision, id: c.ID}
		}
		was := m.last[i]
		if raw.open && now.owner == (owner{}) && was.known {
			now.owner = was.owner // not looked at yet
		}
		m.last[i] = now
		n := analysis.Counts{Requests: now.counts.Requests - was.counts.Requests, Errors: now.counts.Errors - was.counts.Errors}
		if !same || !was.known || n.Requests < 0 || n.Errors < 0 {
			continue
		}
		of := was.owner
		if of == (owner{}) {
			of = now.owner
		}
		m.add(of, n)
	}
}

func (m *meter) add(of owner, n analysis.Counts) {
	if of == (owner{}) {
		return
	}
	i := m.totals[of.id]
	if i == nil {
		i = &instance{owner: of}
		m.totals[of.id] = i
	}
	i.counts.Requests += n.Requests
	i.counts.Errors += n.Errors
}

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

func isNew(a rollout.Assignment, rev string) bool {
	if a.Canary != nil {
		return a.Canary.ID == rev
	}
	return a.Rollout != "" && a.Stable != nil && a.Stable.ID == rev
}
