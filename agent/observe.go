package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Labels of our containers.
const (
	labelHost     = "serin.host"
	labelService  = "serin.service"
	labelRevision = "serin.revision"
	labelEpoch    = "serin.epoch"
	labelSlot     = "serin.slot"
	labelPort     = "serin.port"
	// How the container is to be taken away, by whoever knows its revision no
	// more.
	labelStopGrace  = "serin.stop-grace"
	labelDrainLimit = "serin.drain-limit"
)

// idleApart is how far apart two looks without an open request have to be
// before a slot counts as idle.
const idleApart = 20 * time.Millisecond

// observe composes what Docker and HAProxy show to what the plan needs.
func (s *service) observe(ctx context.Context, a rollout.Assignment) (plan.Host, error) {
	ctx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	snap, err := s.agent.observeProxy(ctx)
	if err != nil && !errors.Is(err, haproxy.ErrUnavailable) {
		return plan.Host{}, err
	}
	s.note(snap.Backends[s.name])
	found, listErr := s.agent.out.engine.List(ctx, s.labels())
	if listErr != nil {
		return plan.Host{}, listErr
	}
	if err != nil && a.Stable == nil && anyRuns(found) {
		// What is to go has to be seen first: it may be in use. Nothing else starts a
		// HAProxy that is gone, where nothing is wanted of it any more.
		return plan.Host{}, errors.Join(err, s.agent.frontends.revive(ctx))
	}
	front := frontendOf(a)
	if a.Stable == nil && a.Canary == nil {
		front = haproxy.Service{}
	}
	h := plan.Host{
		Now:        s.agent.now(),
		OldWorkers: snap.OldWorkers,
		MinStep:    1,
		Frontend:   s.agent.frontends.present(s.name, front, snap),
	}
	s.forget(found, h.Now)
	for _, c := range found {
		h.Containers = append(h.Containers, s.container(c, a))
	}
	if back, ok := snap.Backends[s.name]; ok {
		s.slots(&h, back, a)
	}
	s.countDeaths(ctx, found, a)
	if h.Images, err = s.images(ctx, a); err != nil {
		return plan.Host{}, err
	}
	return h, nil
}

// Private

func anyRuns(found []docker.Container) bool {
	return slices.ContainsFunc(found, func(c docker.Container) bool { return stateOf(c.State) == plan.Running })
}

func (s *service) forget(found []docker.Container, now time.Duration) {
	here := s.memory.forget(found, now)
	s.mu.Lock()
	defer s.mu.Unlock()
	keep(s.stopping, here)
}

func (s *service) labels() map[string]string {
	return map[string]string{labelHost: s.agent.cfg.Host, labelService: s.name}
}

func (s *service) container(c docker.Container, a rollout.Assignment) plan.Container {
	out := plan.Container{
		ID: c.ID, Revision: c.Labels[labelRevision], Slot: c.Labels[labelSlot],
		State: stateOf(c.State), Restarted: !c.FinishedAt.IsZero(),
		RetryAt:    s.memory.retryAt(c.ID),
		StopGrace:  durationLabel(c, labelStopGrace, rollout.DefaultStopGrace),
		DrainLimit: durationLabel(c, labelDrainLimit, rollout.DefaultDrainLimit),
	}
	if startable := out.State == plan.Created || out.State == plan.Stopped; startable && s.memory.stuck(c.ID) {
		out.State = plan.Broken
	}
	if addr := addressOf(c); addr.IsValid() {
		out.Addr = addr.String()
	}
	out.Ready = out.State == plan.Running && s.memory.isReady(c)
	if asksDocker(out.Revision, a) {
		out.Ready = out.State == plan.Running && c.Health == "healthy"
	}
	return out
}

// addressOf is where a container's program answers; not valid unless it runs.
func addressOf(c docker.Container) netip.AddrPort {
	port, err := strconv.ParseUint(c.Labels[labelPort], 10, 16)
	if stateOf(c.State) != plan.Running || !c.IP.IsValid() || err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(c.IP.Unmap(), uint16(port))
}

// asksDocker tells whether a revision is ready when Docker says so.
func asksDocker(rev string, a rollout.Assignment) bool {
	for _, r := range []*rollout.Revision{a.Stable, a.Canary} {
		if r != nil && r.ID == rev {
			return r.Container.Health.Kind == rollout.DockerHealth
		}
	}
	return false
}

func stateOf(s docker.State) plan.State {
	switch s {
	case docker.StateCreated:
		return plan.Created
	case docker.StateRunning, docker.StatePaused:
		return plan.Running
	case docker.StateExited:
		return plan.Stopped
	case docker.StateRemoving, docker.StateRestarting:
		return plan.Leaving
	case docker.StateDead:
		return plan.Broken
	default:
		return plan.Broken
	}
}

func durationLabel(c docker.Container, label string, fallback time.Duration) time.Duration {
	d, err := time.ParseDuration(c.Labels[label])
	if err != nil || d < 0 {
		return fallback
	}
	return d
}

// slots fills in what HAProxy shows of the service.
func (s *service) slots(h *plan.Host, back haproxy.Backend, a rollout.Assignment) {
	h.Split = plan.Split{
		Share: back.Split.Share, Bank: plan.Bank(back.Split.Bank),
		Salt: back.Split.Salt, Replicas: back.Split.Replicas,
	}
	weighted := weightRouting(a)
	if weighted && h.Split.Salt == "" && a.Canary != nil {
		h.Split.Salt = a.Canary.ID // weights alone do not tell whose share it is
	}
	for _, raw := range back.Slots {
		slot := plan.Slot{Name: raw.Name, Open: raw.Attached(), Up: raw.Up, Weight: raw.Weight}
		if raw.Addr.IsValid() {
			slot.Addr = raw.Addr.String()
		}
		if weighted {
			slot.Weight = plainWeight(raw, back.Split)
		} else {
			slot.AttachedAt = s.memory.attachedAt[raw.Name]
		}
		inSplit := h.Split.Share > 0 && plan.BankOf(raw.Name) == h.Split.Bank
		quiet := slot.Open && raw.Weight == 0 && !inSplit
		slot.QuietSince, slot.Idle = s.memory.quiet(raw.Name, quiet, raw.Sessions == 0, h.Now)
		h.Slots = append(h.Slots, slot)
	}
}

// plainWeight is a slot's weight as it would be without the split, where the
// split is made by weights.
func plainWeight(slot haproxy.Slot, split haproxy.Split) int {
	bank := string(plan.BankOf(slot.Name))
	switch {
	case split.Share > 0 && bank == split.Bank:
		return 0
	case split.Share == rollout.Full && slot.Attached():
		return plan.FullWeight
	case slot.Weight > 0:
		return plan.FullWeight
	default:
		return 0
	}
}

func weightRouting(a rollout.Assignment) bool { return a.Frontend.Routing == rollout.Weighted }

// images asks Docker for what the assignment needs. A container proves nothing:
// its image may be gone, and the next replica needs it.
func (s *service) images(ctx context.Context, a rollout.Assignment) ([]string, error) {
	var here []string
	for _, image := range wantedImages(a) {
		known := s.memory.images[image]
		if !known {
			var err error
			if known, err = s.agent.out.library.HasImage(ctx, image); err != nil {
				return nil, fmt.Errorf("look for image %s: %w", image, err)
			}
		}
		if known {
			s.memory.images[image] = true
			here = append(here, image)
		}
	}
	return here, nil
}
