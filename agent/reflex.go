package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// reflexes does what cannot wait until converge is done with its operation: it
// lowers the canary, and closes slots whose containers are dead. It asks
// neither Docker nor a coordinator.
func (s *service) reflexes(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.urgent:
		}
		if err := s.react(ctx); err != nil && ctx.Err() == nil {
			s.log.Error().Err(err).Msg("reflex not carried out; the next look repeats it")
		}
		kick(s.wake)
	}
}

// onEvent takes what Docker tells of one of our containers.
func (s *service) onEvent(e docker.Event) {
	if e.Action == "die" || e.Action == "oom" {
		s.onDeath(e)
	}
	kick(s.wake)
}

// Private

// onDeath has the reflex close the slot of a container that died, if the slot
// is still that container's, and zero the canary if it was one.
func (s *service) onDeath(e docker.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := e.Labels[labelSlot]
	c, open := s.seen.units[slot]
	if !open || c.ID != e.ID || s.stopping[e.ID] {
		return
	}
	s.log.Warn().Str("slot", slot).Str("event", e.Action).Int("exit", e.ExitCode).Msg("container died")
	if s.errand.detach == nil {
		s.errand.detach = map[string]bool{}
	}
	s.errand.detach[slot] = true
	s.post.Turn++
	if s.seen.split.Share > 0 && plan.BankOf(slot) == s.seen.split.Bank {
		s.lowerLocked(true)
	}
	kick(s.urgent)
}

// react does the errand at hand.
func (s *service) react(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, proxyTimeout)
	defer cancel()
	s.mu.Lock()
	todo, split, floor, limit := s.errand, s.seen.split, s.seen.floor, s.post.Allowed(s.seen.split)
	s.errand = errand{}
	s.mu.Unlock()
	var errs []error
	if todo.blind {
		limit, floor = 0, 0
	}
	// What stable could not take, converge takes away when it can (plan.lower).
	if limit = max(limit, floor); todo.lower && limit < split.Share {
		errs = append(errs, s.lowerTo(ctx, split, limit))
	}
	for _, slot := range slices.Sorted(maps.Keys(todo.detach)) {
		if err := s.agent.out.proxy.Detach(ctx, s.name, slot, false); err != nil {
			errs = append(errs, fmt.Errorf("close slot %s: %w", slot, err))
		}
	}
	return errors.Join(errs...)
}

// lowerTo lowers the share. Whoever has it lowered has started a new turn
// before, so that no raise begins any more; one that is under way may come
// last, and then it is lowered once more.
func (s *service) lowerTo(ctx context.Context, split plan.Split, limit int) error {
	began := time.Now()
	raising := !s.gate.TryLock()
	if !raising {
		s.gate.Unlock()
	}
	err := s.lowerOnce(ctx, split, limit)
	if raising {
		err = s.lowerAfterRaise(ctx, split, limit)
	}
	if err != nil {
		return fmt.Errorf("lower the canary to %s: %w", rollout.Percent(limit), err)
	}
	s.mu.Lock()
	s.status.weight, s.seen.split.Share = limit, limit
	s.mu.Unlock()
	took := time.Since(began)
	s.log.Warn().Int("weight", limit).Dur("took", took).Msg("canary lowered")
	s.agent.out.observer.Lowered(s.name, took)
	s.lowered(began, limit)
	s.agent.reportNow()
	return nil
}

func (s *service) lowerAfterRaise(ctx context.Context, split plan.Split, limit int) error {
	s.gate.Lock()
	defer s.gate.Unlock()
	return s.lowerOnce(ctx, split, limit)
}

func (s *service) lowerOnce(ctx context.Context, split plan.Split, limit int) error {
	if limit == 0 {
		return s.agent.out.splitter.Zero(ctx, s.name)
	}
	return s.agent.out.splitter.SetSplit(ctx, s.name, haproxy.Split{
		Share: limit, Salt: split.Salt, Bank: string(split.Bank), Replicas: split.Replicas,
	})
}

// countDeaths counts containers that ended by themselves, each end once. Where
// everything of stable is down it was not the canary: Docker or the host was
// started anew.
func (s *service) countDeaths(ctx context.Context, found []docker.Container, a rollout.Assignment) {
	for _, c := range found {
		ended := c.State == docker.StateExited || c.State == docker.StateDead
		isCanary := a.Canary != nil && c.Labels[labelRevision] == a.Canary.ID
		isStable := a.Rollout != "" && a.Stable != nil && c.Labels[labelRevision] == a.Stable.ID
		if !isCanary && !isStable || !ended || c.FinishedAt.IsZero() {
			continue
		}
		key := c.ID + c.FinishedAt.UTC().Format(time.RFC3339Nano)
		if s.memory.counted[key] {
			continue
		}
		s.memory.counted[key] = true
		switch {
		case !stableStands(found, a):
		case isCanary:
			s.died(c, describeEnd(c)+s.logTail(ctx, c.ID))
		default:
			s.ended(c, false)
		}
	}
}

func (s *service) died(c docker.Container, how string) {
	if !s.ended(c, true) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.deaths++
	s.status.death = how
	s.log.Warn().Str("slot", c.Labels[labelSlot]).Str("death", how).Int("deaths", s.status.deaths).Msg("canary died")
	s.agent.reportNow()
}

// ended counts an end for the gates; it reports false if it was our doing.
func (s *service) ended(c docker.Container, canary bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping[c.ID] {
		return false
	}
	s.gathered.begin(s.post.Assigned.Rollout)
	s.gathered.died(nameOf(c.Labels[labelSlot], c.ID), canary, c.OOMKilled)
	return true
}

func stableStands(found []docker.Container, a rollout.Assignment) bool {
	return a.Stable == nil || slices.ContainsFunc(found, func(c docker.Container) bool {
		return c.Labels[labelRevision] == a.Stable.ID && c.State == docker.StateRunning
	})
}

func describeEnd(c docker.Container) string {
	if c.OOMKilled {
		return c.Labels[labelSlot] + " ran out of memory"
	}
	return fmt.Sprintf("%s exited with %d", c.Labels[labelSlot], c.ExitCode)
}
