package plan_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// enough operations for any host to get from any state to any other.
const enough = 250

// TestNextUnderFaults executes what Next says on a model of Docker and HAProxy
// while the assignment changes, operations fail in the middle, containers die
// and licences come and go, and checks every effect on the way. Then the faults
// stop, and the host has to become what it should be.
func TestNextUnderFaults(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{t: t, w: newWorld(), revs: map[string]*rollout.Revision{}}
		for _, id := range []string{"r1", "r2", "r3"} {
			m.revs[id] = revision(id, rapid.IntRange(1, 3).Draw(t, "replicas of "+id))
		}
		m.reassign()
		t.Repeat(map[string]func(*rapid.T){
			"":         func(*rapid.T) {},
			"step":     func(*rapid.T) { m.step(false) },
			"steps":    func(*rapid.T) { m.steps(rapid.IntRange(2, 12).Draw(t, "n")) },
			"licence":  func(*rapid.T) { m.w.mayRaise, m.w.ceiling = true, rollout.Full },
			"expire":   func(*rapid.T) { m.w.mayRaise = false },
			"break":    func(*rapid.T) { m.step(true) },
			"reassign": func(*rapid.T) { m.reassign() },
			"advance":  func(*rapid.T) { m.advance() },
			"late":     func(*rapid.T) { m.lateMessage() },
			"die":      func(*rapid.T) { m.die() },
			"lose lease": func(*rapid.T) {
				m.w.mayRaise, m.w.ceiling = false, 0
			},
			"reload": func(*rapid.T) { m.w.oldWorkers = !m.w.oldWorkers },
			"hang":   func(*rapid.T) { m.hang() },
		})
		m.heal()
	})
}

// machine drives a world, and is its coordinator: the assignments it gives are
// those that a rollout, a host that was away, or an operator can make.
type machine struct {
	t     *rapid.T
	w     *world
	revs  map[string]*rollout.Revision
	a     rollout.Assignment // accepted by the agent
	old   []rollout.Assignment
	fence uint64
}

func (m *machine) pick(label string) *rollout.Revision {
	return m.revs[rapid.SampledFrom([]string{"r1", "r2", "r3"}).Draw(m.t, label)]
}

// accept is the agent's fence: what is older than accepted is refused.
func (m *machine) accept(a rollout.Assignment) {
	if a.Epoch < m.fence {
		return
	}
	m.old = append(m.old, a)
	m.a, m.fence = a, a.Epoch
}

// reassign gives what a host may find that was away for long.
func (m *machine) reassign() {
	a := rollout.Assignment{Service: "shop", Epoch: m.fence + 1, Rollout: "shop-1"}
	if rapid.IntRange(0, 9).Draw(m.t, "empty") > 0 {
		a.Stable = m.pick("stable")
	}
	if canary := m.pick("canary"); a.Stable != nil && canary != a.Stable && rapid.Bool().Draw(m.t, "has canary") {
		a.Canary = canary
		a.Weight = rapid.SampledFrom([]int{0, 500, 5000, rollout.Full}).Draw(m.t, "weight")
	}
	m.accept(a)
}

// advance gives the next assignment of a rollout.
func (m *machine) advance() {
	a := m.a
	a.Epoch = m.fence + 1
	switch {
	case a.Canary == nil:
		if next := m.pick("next"); a.Stable != nil && next != a.Stable {
			a.Canary, a.Weight = next, 500
			a.Rollout += "1"
		}
	case rapid.IntRange(0, 3).Draw(m.t, "goes back") == 0:
		a.Canary, a.Weight = nil, 0
	case a.Weight < rollout.Full:
		a.Weight = min(rollout.Full, a.Weight+2500)
	default:
		a.Stable, a.Canary, a.Weight = a.Canary, nil, 0
	}
	m.accept(a)
}

// lateMessage delivers what a deposed leader said long ago.
func (m *machine) lateMessage() {
	m.accept(rapid.SampledFrom(m.old).Draw(m.t, "late"))
}

func (m *machine) die() {
	var live []string
	for _, id := range slices.Sorted(maps.Keys(m.w.containers)) {
		if m.w.containers[id].State == plan.Running {
			live = append(live, id)
		}
	}
	if len(live) > 0 {
		m.w.die(rapid.SampledFrom(live).Draw(m.t, "dies"))
	}
}

// hang leaves a request open on a slot until it is cut off.
func (m *machine) hang() {
	m.w.sticky[rapid.SampledFrom([]string{"a1", "b1", "b2"}).Draw(m.t, "hangs")] = true
}

func (m *machine) steps(n int) {
	for range n {
		m.step(false)
	}
}

// step does the next operation, or only its first parts, and checks what that
// did. Nothing is carried from one step to the next but the world itself.
func (m *machine) step(fails bool) plan.Op {
	op := plan.Next(m.a, m.w.host())
	parts := enough
	if fails {
		parts = rapid.IntRange(0, 6).Draw(m.t, "parts")
	}
	before := m.snapshot()
	m.w.do(op, parts)
	m.check(op, before)
	return op
}

type snapshot struct {
	capacity, share int
	running         map[string]string // id -> revision
	serving         map[string]bool   // revisions behind weighted slots
	taken           map[string]bool   // slots that a live container serves on
	weighted        map[string]bool
	wholeSplit      bool // the split goes to live containers of its revision only
}

func (m *machine) snapshot() snapshot {
	s := snapshot{capacity: m.w.capacity(), share: m.w.split.Share, running: map[string]string{}, serving: map[string]bool{}, taken: map[string]bool{}, weighted: map[string]bool{}, wholeSplit: true}
	for k := range m.w.split.Replicas {
		slot := m.w.slots[plan.SlotName(m.w.split.Bank, k+1)]
		c := m.w.live(slot)
		s.wholeSplit = s.wholeSplit && slot.Open && c != nil && c.Revision == m.w.split.Salt
	}
	for id, c := range m.w.containers {
		if c.State == plan.Running {
			s.running[id] = c.Revision
		}
	}
	for name, slot := range m.w.slots {
		if c := m.w.live(slot); c != nil && slot.Open {
			s.taken[name], s.weighted[name] = true, slot.Weight > 0
			s.serving[c.Revision] = s.serving[c.Revision] || slot.Weight > 0
		}
	}
	return s
}

func (m *machine) check(op plan.Op, was snapshot) {
	m.t.Helper()
	m.checkCapacity(op, was)
	m.checkLicence(op, was)
	m.checkReflex(op, was)
	if d, ok := op.(plan.Detach); ok && was.taken[d.Slot] && was.weighted[d.Slot] {
		m.t.Fatalf("%q while new requests still come", op)
	}
	if stop, ok := op.(plan.Stop); ok {
		m.checkStop(stop)
	}
	for name, slot := range m.w.slots {
		if slot.Open && slot.Addr != "" && m.w.live(slot) == nil && was.taken[name] {
			m.t.Fatalf("after %q slot %s points to nothing of ours", op, name)
		}
	}
}

// checkCapacity is I7: no operation takes capacity away that is needed.
func (m *machine) checkCapacity(op plan.Op, was snapshot) {
	m.t.Helper()
	if m.a.Stable == nil {
		return
	}
	if now, needed := m.w.capacity(), min(was.capacity, m.a.Stable.Replicas); now < needed {
		m.t.Fatalf("I7: %q left %d of %d containers that take stable's traffic, %d are needed\n%s", op, now, was.capacity, needed, m.w)
	}
	// Nobody gets more than twice its part because the canary is lowered.
	least := rollout.Full - 2*rollout.Full*m.w.weights()/(plan.FullWeight*m.a.Stable.Replicas)
	if m.w.split.Share < min(was.share, least) && was.wholeSplit && m.w.splitLives() {
		m.t.Fatalf("I7: %q left the canary %d, stable cannot take more than all but %d\n%s", op, m.w.split.Share, least, m.w)
	}
	// What the split takes must not go to where nobody is while others wait.
	if m.w.split.Share < was.share && m.w.capacity() == 0 && m.w.live(m.w.slots[plan.SlotName(m.w.split.Bank, 1)]) != nil &&
		m.w.slots[plan.SlotName(m.w.split.Bank, 1)].Open {
		m.t.Fatalf("I7: %q took the traffic from the last that lived\n%s", op, m.w)
	}
}

// checkLicence judges by effects, not by what the operation says of itself.
func (m *machine) checkLicence(op plan.Op, was snapshot) {
	m.t.Helper()
	if m.w.split.Share > was.share && (!m.w.mayRaise || m.w.split.Share > m.w.ceiling) {
		m.t.Fatalf("%q raised the share to %d without a licence", op, m.w.split.Share)
	}
	if m.w.mayRaise {
		return
	}
	for id, rev := range was.running {
		if c := m.w.containers[id]; c == nil || c.State != plan.Running {
			m.t.Fatalf("%q stopped %s of %s without a licence", op, id, rev)
		}
	}
	for id, c := range m.w.containers {
		isStable := m.a.Stable != nil && c.Revision == m.a.Stable.ID
		if _, ran := was.running[id]; c.State == plan.Running && !ran && !isStable {
			m.t.Fatalf("%q started %s without a licence", op, id)
		}
	}
	for name := range was.taken {
		if s := m.w.slots[name]; !s.Open {
			m.t.Fatalf("%q detached %s, which serves, without a licence", op, name)
		}
	}
}

// checkReflex wants the share of a canary that is not whole gone before
// anything else, if there is somewhere for it to go.
func (m *machine) checkReflex(op plan.Op, was snapshot) {
	m.t.Helper()
	if was.share == 0 || was.wholeSplit || was.capacity == 0 {
		return
	}
	if s, ok := op.(plan.Share); !ok || s.Split.Share > 0 {
		m.t.Fatalf("%q while the split goes to a canary that is not whole\n%s", op, m.w)
	}
}

// checkStop wants nothing to be sent to a container when it is stopped.
func (m *machine) checkStop(op plan.Stop) {
	m.t.Helper()
	slot := m.w.slots[op.Slot]
	switch {
	case slot.Open:
		m.t.Fatalf("%q while the slot is open", op)
	case m.w.split.Share > 0 && m.w.split.Bank == plan.BankOf(op.Slot):
		m.t.Fatalf("%q while its bank has a share of %d", op, m.w.split.Share)
	case m.w.oldWorkers:
		m.t.Fatalf("%q while old workers may use it", op)
	}
}

// heal stops the faults and wants convergence (I10) without leftovers (I8).
func (m *machine) heal() {
	m.w.mayRaise, m.w.ceiling, m.w.oldWorkers = true, rollout.Full, false
	var ops []plan.Op
	for range enough {
		op := m.step(false)
		if _, ok := op.(plan.Settled); ok {
			m.checkSettled()
			return
		}
		ops = append(ops, op)
	}
	m.t.Fatalf("I10: not settled after %d operations, the last are %v\n%s", enough, ops[enough-12:], m.w)
}

func (m *machine) checkSettled() {
	m.t.Helper()
	want := map[string]int{}
	share := 0
	if m.a.Stable != nil {
		want[m.a.Stable.ID] = m.a.Stable.Replicas
	}
	if m.a.Canary != nil {
		want[m.a.Canary.ID] = m.a.Canary.Replicas
		share = m.a.Weight
	}
	got := map[string]int{}
	for _, c := range m.w.containers {
		got[c.Revision]++
	}
	if !maps.Equal(want, got) {
		m.t.Fatalf("I8: settled with containers %v, want %v\n%s", got, want, m.w)
	}
	if m.w.split.Share != share {
		m.t.Fatalf("I10: settled with a share of %d, want %d", m.w.split.Share, share)
	}
	for name, s := range m.w.slots {
		c := m.w.live(s)
		switch {
		case s.Open && c == nil:
			m.t.Fatalf("I8: slot %s points to nothing", name)
		case s.Open && c.Revision == m.a.Stable.ID && s.Weight != plan.FullWeight:
			m.t.Fatalf("I10: slot %s of stable has weight %d", name, s.Weight)
		case s.Open && c.Revision != m.a.Stable.ID && s.Weight != 0:
			m.t.Fatalf("I10: slot %s of the canary has weight %d", name, s.Weight)
		}
	}
	if m.w.frontend != (m.a.Stable != nil) {
		m.t.Fatalf("I10: frontend present: %t", m.w.frontend)
	}
}

// TestSameArgumentsSameOp: Next is a function.
func TestSameArgumentsSameOp(t *testing.T) {
	w := newWorld()
	a := rollout.Assignment{Service: "shop", Stable: revision("r1", 2), Canary: revision("r2", 1), Weight: 500, Rollout: "shop-1"}
	w.mayRaise = true
	for range 60 {
		first, second := plan.Next(a, w.host()), plan.Next(a, w.host())
		if first.String() != second.String() {
			t.Fatalf("%q, then %q", first, second)
		}
		w.do(first, enough)
	}
	if w.now > 2*time.Minute {
		t.Errorf("an install with a canary took %s of the model's time", w.now-time.Minute)
	}
}
