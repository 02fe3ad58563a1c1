package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	// proxyTimeout bounds one change of HAProxy, reloadTimeout one that may
	// reload or start it.
	proxyTimeout  = 10 * time.Second
	reloadTimeout = 40 * time.Second
	// drainLook is how often a draining slot is looked at, drainSpell how long
	// before the whole host is looked at again.
	drainLook  = 25 * time.Millisecond
	drainSpell = time.Second
)

// do carries out one operation, planned in the given turn.
func (s *service) do(ctx context.Context, op plan.Op, turn uint64) error {
	switch op := op.(type) {
	case plan.Pull:
		return s.agent.out.library.Pull(ctx, op.Image)
	case plan.Create:
		return s.create(ctx, op)
	case plan.Start:
		return s.start(ctx, op.ID)
	case plan.Prove:
		return s.prove(ctx, op, turn)
	case plan.Stop:
		return s.stop(ctx, op)
	case plan.Remove:
		return s.agent.out.engine.Remove(ctx, op.ID)
	case plan.Drain:
		return s.drain(ctx, op)
	case plan.EnsureFrontend:
		return s.ensureFrontend(ctx)
	case plan.RemoveFrontend:
		ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
		defer cancel()
		return s.agent.frontends.remove(ctx, s.name)
	case plan.Attach, plan.Detach, plan.Weights, plan.Share, plan.Promote:
		return s.steer(ctx, op, turn)
	case plan.Wait, plan.Ask, plan.Settled:
	}
	return nil
}

// Private

// steer carries out an operation on HAProxy's slots.
func (s *service) steer(ctx context.Context, op plan.Op, turn uint64) error {
	ctx, cancel := context.WithTimeout(ctx, proxyTimeout)
	defer cancel()
	out := s.agent.out
	switch op := op.(type) {
	case plan.Attach:
		addr, err := netip.ParseAddrPort(op.Addr)
		if err != nil {
			return fmt.Errorf("address %q: %w", op.Addr, err)
		}
		s.memory.attachedAt[op.Slot] = s.agent.now()
		return out.proxy.Attach(ctx, s.name, op.Slot, addr)
	case plan.Detach:
		return out.proxy.Detach(ctx, s.name, op.Slot, op.Cut)
	case plan.Weights:
		return s.weigh(ctx, op)
	case plan.Share:
		split := haproxy.Split{Share: op.Split.Share, Salt: op.Split.Salt, Bank: string(op.Split.Bank), Replicas: op.Split.Replicas}
		if !op.Raise {
			return out.splitter.SetSplit(ctx, s.name, split)
		}
		return s.raise(ctx, turn, func(ctx context.Context) error { return out.splitter.SetSplit(ctx, s.name, split) })
	case plan.Promote:
		return s.raise(ctx, turn, func(ctx context.Context) error { return out.splitter.Promote(ctx, s.name, string(op.Bank)) })
	default:
		return fmt.Errorf("%q is nothing for HAProxy", op)
	}
}

// raise does what raises traffic, unless something has forbidden it since it
// was planned, and not for longer than the licence runs.
func (s *service) raise(ctx context.Context, turn uint64, f func(context.Context) error) error {
	s.gate.Lock()
	defer s.gate.Unlock()
	s.mu.Lock()
	overtaken, left := s.post.Turn != turn, s.post.Licensed-s.agent.now()
	s.mu.Unlock()
	if overtaken || left <= 0 {
		return errTurned
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	return f(ctx)
}

// weigh sets weights. Where the split is made by weights too, it is set again
// instead, since the new slot has to get its part of it.
func (s *service) weigh(ctx context.Context, op plan.Weights) error {
	a, _ := s.current()
	if weightRouting(a) && !op.Raise {
		snap, err := s.agent.observeProxy(ctx)
		if err != nil {
			return err
		}
		if split := snap.Backends[s.name].Split; split.Bank != "" {
			return s.agent.out.splitter.SetSplit(ctx, s.name, split)
		}
	}
	weights := make(map[string]int, len(op.Set))
	for _, w := range op.Set {
		weights[w.Slot] = w.Weight
	}
	return s.agent.out.proxy.SetWeights(ctx, s.name, weights)
}

func (s *service) create(ctx context.Context, op plan.Create) error {
	a, _ := s.current()
	c := op.Revision.Container
	labels := s.labels()
	labels[labelRevision] = op.Revision.ID
	labels[labelEpoch] = strconv.FormatUint(a.Epoch, 10)
	labels[labelSlot] = op.Slot
	labels[labelPort] = strconv.Itoa(c.Port)
	labels[labelStopGrace] = c.StopGrace.String()
	labels[labelDrainLimit] = c.DrainLimit.String()
	_, err := s.agent.out.engine.Create(ctx, docker.Spec{
		Name:  fmt.Sprintf("serin-%s-%s-%s-%s", s.agent.cfg.Host, s.name, op.Slot, op.Revision.ID),
		Image: op.Revision.Image, Labels: labels,
		Env: c.Env, EnvFile: c.EnvFile, Command: c.Command, User: c.User,
		Memory: c.Memory, CPUs: c.CPUMilli, Network: c.Network,
		StopTimeout: c.StopGrace,
	})
	return err
}

// start first closes slots whose containers are gone, of all services: Docker gives
// their addresses to who starts next, and whose loops have not looked since still
// have them open.
func (s *service) start(ctx context.Context, id string) error {
	if err := s.agent.evict(ctx); err != nil {
		return err
	}
	s.memory.started(id, s.agent.now())
	err := s.agent.out.engine.Start(ctx, id)
	switch {
	case err == nil:
		s.memory.runs(id)
	case ctx.Err() == nil && !errors.Is(err, docker.ErrUnavailable):
		s.memory.refused(id)
	}
	return err
}

func (s *service) stop(ctx context.Context, op plan.Stop) error {
	s.mu.Lock()
	s.stopping[op.ID] = true // its end is no death
	s.mu.Unlock()
	return s.agent.out.engine.Stop(ctx, op.ID, op.Grace)
}

// drain looks at a slot until it is idle, for a spell.
func (s *service) drain(ctx context.Context, op plan.Drain) error {
	end := min(op.Until, s.agent.now()+drainSpell)
	idle := 0
	for idle < 2 && s.agent.now() < end {
		snap, err := s.agent.observeProxy(ctx)
		if err != nil {
			return err
		}
		back := snap.Backends[s.name]
		slot, _ := back.Slot(op.Slot)
		if idle++; slot.Sessions > 0 {
			idle = 0
		}
		if err := pause(ctx, drainLook); err != nil {
			return err
		}
	}
	return nil
}

func (s *service) ensureFrontend(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	a, _ := s.current()
	return s.agent.frontends.ensure(ctx, frontendOf(a))
}

// revisionOf tells the revision of a container as last seen.
func (s *service) revisionOf(id string) string { return s.memory.replicas[id].revision }

// isTooFine tells whether HAProxy cannot split as finely as asked.
func isTooFine(err error) bool {
	_, ok := errors.AsType[*haproxy.StepError](err)
	return ok
}

// pause waits, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// frontendOf is how the service's traffic shall arrive. HAProxy has one check
// for both revisions: where they disagree it only asks whether the port
// answers.
func frontendOf(a rollout.Assignment) haproxy.Service {
	path := ""
	for i, rev := range []*rollout.Revision{a.Stable, a.Canary} {
		if rev == nil {
			continue
		}
		own := ""
		if rev.Container.Health.Kind == rollout.HTTPHealth {
			own = rev.Container.Health.Path
		}
		if i > 0 && a.Stable != nil && own != path {
			own = ""
		}
		path = own
	}
	return haproxy.Service{
		Name: a.Service, Listen: a.Frontend.Listen, Backend: a.Frontend.Backend,
		Sticky: a.Frontend.Routing == rollout.Sticky, HealthPath: path,
	}
}
