package sim

import (
	"errors"
	"time"

	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// As in the agent.
const (
	firstAsk   = 100 * time.Millisecond
	lastAsk    = time.Second
	firstPause = 200 * time.Millisecond
	lastPause  = 10 * time.Second
	lookMoving = time.Second
	stirring   = 3 * time.Second
	resync     = 10 * time.Second
	proveSpell = time.Second
)

var (
	errFailed   = errors.New("does not work")
	errMissing  = errors.New("no such image")
	errNotReady = errors.New("not ready yet")
	errTurned   = errors.New("overtaken by a newer message")
)

// job is an operation under way: instructions, one after the other.
type job struct {
	s     *service
	op    plan.Op
	turn  uint64
	basis basis // of the assignment that it is for
	steps []instruction
	waits bool // a message may end it
	over  bool
}

// instruction is a part of an operation that happens at once, if it does.
type instruction struct {
	by     tool
	takes  time.Duration
	do     func() error
	raises bool
}

// tool is what carries an instruction out, and how it fails.
type tool int

const (
	byDocker tool = iota
	byBalancer
	byNobody // waiting
)

// pass is one look and one operation (agent/converge.go).
func (s *service) pass() {
	if s.job != nil || s.post.Assigned.Service == "" {
		return
	}
	h, ok := s.observe()
	if !ok {
		s.failed(s.post.Turn, problem{text: "Docker does not answer"})
		return
	}
	h.Ceiling, h.MayRaise = s.post.Limit(), s.post.MayRaise(s.agent.now())
	op := plan.Next(s.post.Assigned, h)
	was := s.status
	s.status.look(s.post.Assigned, h, op)
	s.seen = sightingOf(s.post.Assigned, h)
	if s.status != was {
		s.agent.reportNow()
	}
	if _, settled := op.(plan.Settled); settled {
		s.asks, s.memory.failures = 0, 0
		s.w.noteSettled(s)
		s.lookIn(s.rest())
		return
	}
	s.memory.stirredAt = s.agent.now()
	switch op := op.(type) {
	case plan.Wait:
		s.lookIn(min(max(op.Until-h.Now, 10*time.Millisecond), lookMoving))
	case plan.Ask:
		s.agent.reportNow()
		s.asks++
		s.lookIn(min(lastAsk, firstAsk<<min(s.asks-1, 10)))
	default:
		s.begin(op)
	}
}

// Private

func (s *service) rest() time.Duration {
	if s.agent.now()-s.memory.stirredAt < stirring {
		return lookMoving
	}
	return resync
}

func sightingOf(a rollout.Assignment, h plan.Host) sighting {
	seen := sighting{split: h.Split, floor: plan.Floor(a, h), units: map[string]plan.Container{}}
	for _, slot := range h.Slots {
		for _, c := range h.Containers {
			if slot.Open && c.Slot == slot.Name && c.State == plan.Running && c.Addr == slot.Addr {
				seen.units[slot.Name] = c
			}
		}
	}
	return seen
}

// begin starts an operation.
func (s *service) begin(op plan.Op) {
	s.asks = 0
	if s.memory.repeats(op) {
		s.failed(s.post.Turn, problem{text: op.String() + ": is done, but does not show"})
		return
	}
	s.w.tell("%s: %s", s.h.name, op)
	j := &job{s: s, op: op, turn: s.post.Turn, basis: s.basis(), steps: s.h.instructions(s, op)}
	switch op.(type) {
	case plan.Pull, plan.Prove, plan.Drain:
		j.waits = true
	default:
	}
	s.job = j
	s.w.checkBegin(s, op)
	s.w.checkWarmUp(s, op)
	s.raising = guarded(op)
	j.next()
}

// guarded tells which operations the reflex has to mind: those that raise traffic.
func guarded(op plan.Op) bool {
	switch op := op.(type) {
	case plan.Share:
		return op.Raise
	case plan.Promote:
		return true
	default:
		return false
	}
}

// next does the next instruction, unless something comes between.
func (j *job) next() {
	s := j.s
	if len(j.steps) == 0 {
		j.end(nil)
		return
	}
	step := j.steps[0]
	j.steps = j.steps[1:]
	s.agent.after(step.takes, func() {
		switch {
		case j.over || s.agent.mayDie():
		case step.raises && (s.post.Turn != j.turn || s.agent.now() >= s.post.Licensed):
			j.end(errTurned)
		default:
			j.do(step)
		}
	})
}

// do lets an instruction happen, fail, half-fail or hang.
func (j *job) do(step instruction) {
	s := j.s
	fate := s.h.fate(step.by)
	switch fate {
	case fails:
		s.h.hurt(time.Second)
		j.end(errFailed)
		return
	case hangs:
		s.h.hurt(30 * time.Second)
		if late := s.h.lateEffect(j.op); late != nil {
			s.w.after(s.h.chance.between(0, time.Minute), nil, late)
		}
		s.agent.after(15*time.Second, func() { j.end(errFailed) })
		return
	case works, half:
	}
	var err error
	s.h.act(s, j.op, j.basis, func() { err = step.do() })
	if fate == half && err == nil {
		s.h.hurt(time.Second)
		err = errFailed
	}
	if err != nil || s.agent.mayDie() {
		j.end(err)
		return
	}
	j.next()
}

// end is what follows from an operation's outcome.
func (j *job) end(err error) {
	s := j.s
	if j.over || !s.agent.alive {
		return
	}
	j.over = true
	s.job, s.raising = nil, false
	if s.again {
		s.again = false
		s.lowerTo(max(s.post.Allowed(s.seen.split), s.seen.floor))
	}
	switch {
	case err == nil:
		s.memory.failures = 0
		s.mended(j.op)
		s.lookIn(time.Millisecond)
	case errors.Is(err, errTurned), errors.Is(err, errNotReady):
		s.lookIn(time.Millisecond)
	default:
		s.memory.lastOp = ""
		s.failed(j.turn, s.judge(j.op, err))
	}
}

func (s *service) failed(turn uint64, p problem) {
	s.memory.failures++
	s.memory.stirredAt = s.agent.now()
	if s.post.Turn == turn && s.status.problem != p {
		s.status.trouble(p)
		s.agent.reportNow()
	}
	s.lookIn(min(lastPause, firstPause<<min(s.memory.failures-1, 10)))
}

func (s *service) mended(op plan.Op) {
	switch op.(type) {
	case plan.Prove, plan.Drain, plan.Detach, plan.Share:
		return
	default:
	}
	if !s.status.problem.fatal {
		s.status.problem = problem{}
	}
}

// judge tells what kind of problem an operation's failure is.
func (s *service) judge(op plan.Op, err error) problem {
	p := problem{text: op.String() + ": " + err.Error()}
	a := s.post.Assigned
	switch op := op.(type) {
	case plan.Pull:
		p.cause, p.fatal = rollout.CauseImage, errors.Is(err, errMissing)
	case plan.Create:
		p.cause, p.fatal = rollout.CauseStart, isNew(a, op.Revision.ID) && s.memory.failures+1 >= tooOften
	case plan.Start:
		c := s.h.docker.find(op.ID)
		p.cause, p.fatal = rollout.CauseStart, c != nil && isNew(a, c.revision.ID) && s.memory.failures+1 >= tooOften
	case plan.EnsureFrontend:
		p.cause, p.fatal = rollout.CauseStart, s.memory.failures+1 >= tooOften
	default:
	}
	p.fatal = p.fatal && a.Rollout != ""
	return p
}

// prove waits until one of the containers is ready, but not for long
// (agent/probe.go).
func (s *service) prove(op plan.Prove) []instruction {
	first := s.w.now + proveSpell
	for _, c := range op.Containers {
		if have := s.h.docker.find(c.ID); have != nil {
			first = min(first, max(have.readyAt, s.w.now))
		}
	}
	return []instruction{{by: byNobody, takes: first - s.w.now + 5*time.Millisecond, do: func() error {
		for _, c := range op.Containers {
			if have := s.h.docker.find(c.ID); have != nil && have.ready(s.w.now) {
				s.memory.proven[c.ID] = have.started
				s.status.problem = problem{}
				return nil
			}
		}
		for _, c := range op.Containers {
			s.overdue(op.Revision, c)
		}
		return errNotReady
	}}}
}

// overdue makes a problem of a container that should have been ready by now.
func (s *service) overdue(rev rollout.Revision, c plan.Container) {
	since, ok := s.memory.runsSince[c.ID]
	if !ok {
		s.memory.runsSince[c.ID] = s.agent.now()
		return
	}
	p := problem{text: c.Slot + " is not ready", cause: rollout.CauseStart, fatal: s.post.Assigned.Rollout != "" && isNew(s.post.Assigned, rev.ID)}
	if s.agent.now()-since >= rev.Container.Health.Timeout && (s.status.problem.text == "" || s.status.problem.fatal != p.fatal) {
		s.status.trouble(p)
		s.agent.reportNow()
	}
}

// drain waits until a slot is idle, for a spell.
func (s *service) drain(op plan.Drain) []instruction {
	wait := min(proveSpell, op.Until-s.agent.now())
	if back := s.h.balancer.backends[s.name]; back != nil {
		wait = min(wait, max(0, back.slot(op.Slot).busy-s.w.now)+2*idleApart)
	}
	return []instruction{{by: byNobody, takes: max(wait, time.Millisecond), do: func() error { return nil }}}
}
