package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/trace"
)

const (
	observeTimeout = 15 * time.Second
	firstAsk       = 100 * time.Millisecond
	lastAsk        = time.Second
	firstPause     = 200 * time.Millisecond // after an operation that failed
	lastPause      = 10 * time.Second
	// tooOften is how many failures in a row of one kind of operation make a
	// problem that trying again does not solve.
	tooOften = 5
)

// errTurned means that a raise was planned before something forbade it.
var errTurned = errors.New("overtaken by a newer message")

// converge does one operation after the other until the host is as assigned,
// and looks again when something happened or may have happened.
func (s *service) converge(ctx context.Context) error {
	asks := 0
	defer s.tellOp()
	for ctx.Err() == nil {
		began := time.Now()
		pause := s.pass(ctx, &asks)
		s.agent.out.observer.Passed(s.name, time.Since(began))
		if pause <= 0 {
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-s.wake:
			s.memory.stirredAt = s.agent.now()
		case <-timer.C:
		}
		timer.Stop()
	}
	return ctx.Err()
}

// Private

// pass is one look and one operation. It returns how long to wait for the
// next look, 0 for not at all.
func (s *service) pass(ctx context.Context, asks *int) time.Duration {
	a, turn := s.current()
	if a.Service == "" {
		return lookIdle // started, but nothing accepted yet
	}
	h, err := s.observe(ctx, a)
	if err != nil {
		return s.failed(ctx, turn, "look at the host", problem{text: err.Error()})
	}
	op, opctx, done := s.decide(ctx, a, h, turn)
	defer done()
	if _, settled := op.(plan.Settled); settled {
		*asks, s.memory.failures = 0, 0
		s.tellOp()
		return s.rest(a)
	}
	s.memory.stirredAt = s.agent.now()
	switch op := op.(type) {
	case plan.Wait:
		return min(max(op.Until-h.Now, 10*time.Millisecond), lookMoving)
	case plan.Ask:
		s.agent.reportNow()
		*asks++
		return min(lastAsk, firstAsk<<min(*asks-1, 10))
	default:
		*asks = 0
		return s.act(ctx, opctx, op, turn, s.begin(a, op))
	}
}

// act does what is to be done now.
func (s *service) act(ctx, opctx context.Context, op plan.Op, turn uint64, account trace.Op) time.Duration {
	if s.memory.repeats(op) {
		return s.failed(ctx, turn, op.String(), problem{text: op.String() + ": is done, but does not show"})
	}
	err := s.do(opctx, op, turn)
	s.agent.out.observer.Did(account.Name, time.Since(account.Start), err)
	s.did(account, err, opctx.Err() != nil)
	if err != nil {
		s.memory.lastOp = "" // it is no wonder that nothing shows
		return s.broke(ctx, opctx, op, turn, err)
	}
	s.memory.failures = 0
	s.mended(op)
	return 0
}

func (s *service) current() (rollout.Assignment, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.post.Assigned, s.post.Turn
}

// decide asks the plan, notes what was seen, and makes the context of the
// operation: one that may be left off ends when a message changes the plan.
func (s *service) decide(ctx context.Context, a rollout.Assignment, h plan.Host, turn uint64) (plan.Op, context.Context, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.post.Turn != turn { // what was looked at is compared with what is assigned now, or not at all
		return plan.Wait{Why: "look again", Until: h.Now}, ctx, func() {}
	}
	h.Ceiling, h.MayRaise = s.post.Limit(), s.post.MayRaise(s.agent.now())
	op := plan.Next(a, h)
	was := s.status
	s.status.look(a, h, op)
	s.seen = sightingOf(a, h)
	if s.status != was {
		if s.status.doing != was.doing {
			s.log.Debug().Str("op", s.status.doing).Msg("next")
		}
		if s.status.settled && !was.settled {
			s.log.Info().Uint64("epoch", a.Epoch).Int("weight", s.status.weight).Msg("settled")
		}
		s.agent.reportNow()
	}
	opctx, cancel := context.WithCancel(ctx)
	s.interrupt = nil
	switch op.(type) {
	case plan.Pull, plan.Prove, plan.Drain:
		s.interrupt = cancel
	default:
	}
	return op, opctx, cancel
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

// broke judges the failure of an operation.
func (s *service) broke(ctx, opctx context.Context, op plan.Op, turn uint64, err error) time.Duration {
	switch {
	case ctx.Err() != nil:
		return 0
	case errors.Is(err, errTurned), opctx.Err() != nil:
		return 0 // look again: the plan has changed
	case errors.Is(err, errNotReady):
		return 0
	}
	if _, creates := op.(plan.Create); creates && errors.Is(err, docker.ErrNotFound) {
		clear(s.memory.images) // somebody has removed it: pull it again
	}
	return s.failed(ctx, turn, op.String(), s.judge(op, err))
}

// failed notes a problem and returns how long to pause. What went wrong in an
// earlier turn is no problem of what is assigned now.
func (s *service) failed(ctx context.Context, turn uint64, what string, p problem) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	s.memory.failures++
	s.memory.stirredAt = s.agent.now()
	s.log.Warn().Str("op", what).Str("problem", p.text).Int("times", s.memory.failures).Msg("not done, trying again")
	s.mu.Lock()
	changed := s.post.Turn == turn && s.status.problem != p
	if changed {
		s.status.trouble(p)
	}
	s.mu.Unlock()
	if changed {
		s.agent.reportNow()
	}
	return min(lastPause, firstPause<<min(s.memory.failures-1, 10))
}

// mended drops the problem that an operation had, once it is done.
func (s *service) mended(op plan.Op) {
	switch op.(type) {
	case plan.Prove, plan.Drain, plan.Detach, plan.Share:
		return // these do not show that a start or a pull works now
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.status.problem.fatal {
		s.status.problem = problem{}
	}
}

// judge tells what kind of problem an operation's failure is, and whether it
// is the rollout's fault and beyond help.
func (s *service) judge(op plan.Op, err error) problem {
	p := problem{text: fmt.Sprintf("%s: %v", op, err)}
	if errors.Is(err, docker.ErrUnavailable) {
		return p
	}
	a, _ := s.current()
	switch op := op.(type) {
	case plan.Pull:
		p.cause = rollout.CauseImage
		p.fatal = errors.Is(err, docker.ErrNotFound)
	case plan.Create:
		p.cause = rollout.CauseStart
		p.fatal = isNew(a, op.Revision.ID) && (errors.Is(err, docker.ErrNameTaken) || s.memory.failures+1 >= tooOften)
	case plan.Start:
		p.cause = rollout.CauseStart
		p.fatal = isNew(a, s.revisionOf(op.ID)) && s.memory.refusals(op.ID) >= tooOften
	case plan.Share:
		p.cause = rollout.CauseStart
		p.fatal = isTooFine(err)
	case plan.EnsureFrontend: // a port that is taken, a backend that is not there
		p.cause = rollout.CauseStart
		p.fatal = s.memory.failures+1 >= tooOften
	default:
	}
	p.fatal = p.fatal && a.Rollout != ""
	return p
}

// isNew tells whether a revision is what the running rollout brings: its
// canary, or what it installs.
func isNew(a rollout.Assignment, rev string) bool {
	if a.Canary != nil {
		return a.Canary.ID == rev
	}
	return a.Rollout != "" && a.Stable != nil && a.Stable.ID == rev
}
