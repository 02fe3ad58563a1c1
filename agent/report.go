package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/wire"
)

const (
	// reportApart is the least time between two reports.
	reportApart = 20 * time.Millisecond
	// firstReport spreads the first reports of a fleet that starts or
	// reconnects at once.
	firstReport = 500 * time.Millisecond
	// pollMoving and pollIdle are the times between readings of HAProxy's
	// counters.
	pollMoving = 500 * time.Millisecond
	pollIdle   = 2 * time.Second

	maxText = 1000 // bytes of a problem or a death in a report
)

// report publishes health at intervals, and at once when something changed.
func (a *agent) report(ctx context.Context) error {
	if err := pause(ctx, rand.N(firstReport)); err != nil {
		return err
	}
	for {
		a.publishHealth()
		if err := pause(ctx, reportApart); err != nil {
			return err
		}
		timer := time.NewTimer(a.interval())
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		case <-a.kicked:
		case <-a.rejoined:
			// Everybody reconnects at once after an outage of the bus.
			if err := pause(ctx, rand.N(firstReport)); err != nil {
				return err
			}
		}
		timer.Stop()
	}
}

// poll reads HAProxy's counters, and has converge look where HAProxy shows
// anything else than what converge saw.
func (a *agent) poll(ctx context.Context) error {
	last := poll{answered: true}
	for {
		wait := pollIdle
		if a.moving() {
			wait = pollMoving
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, proxyTimeout)
		snap, err := a.observeProxy(limited)
		cancel()
		if a.checks.proxyIs(a.proxyProblem(err)) {
			a.reportNow()
		}
		last = a.polled(last, snap, err)
	}
}

// reportNow has a report published without waiting for its time.
func (a *agent) reportNow() { kick(a.kicked) }

// Private

// poll is what is remembered of the last one.
type poll struct {
	pid      int // of HAProxy; 0: none has answered yet
	answered bool
}

// polled wakes converge if HAProxy has changed, or has ceased to answer:
// converge tells of that.
func (a *agent) polled(last poll, snap haproxy.Snapshot, err error) poll {
	if err != nil {
		if last.answered {
			a.wakeAll()
		}
		return poll{pid: last.pid}
	}
	if last.pid != 0 && last.pid != snap.Pid {
		a.log.Info().Int("pid", snap.Pid).Msg("HAProxy runs as another process; looking again")
		a.wakeAll()
	}
	for _, s := range a.all() {
		s.compare(snap.Backends[s.name])
	}
	return poll{pid: snap.Pid, answered: true}
}

// interval is how long to wait between reports.
func (a *agent) interval() time.Duration {
	if asked := time.Duration(a.asked.Load()); asked > 0 {
		return asked
	}
	if a.moving() {
		return a.cfg.Interval
	}
	return a.cfg.IdleInterval
}

func (a *agent) publishHealth() {
	h := a.health()
	data, err := wire.EncodeHealth(h)
	if err != nil {
		a.log.Error().Err(err).Msg("report not encoded")
		return
	}
	err = a.out.bus.Publish(bus.HealthSubject(a.token), data)
	if errors.Is(err, bus.ErrNotConnected) {
		a.sequence-- // nobody misses it
		return
	}
	if err != nil {
		a.log.Warn().Err(err).Msg("report not published")
	}
}

func (a *agent) health() wire.Health {
	now := time.Now()
	a.sequence++
	h := wire.Health{
		Host: a.cfg.Host, Version: a.cfg.Version, Nonce: a.leash.issue(a.now()), Sequence: a.sequence,
		Started: a.started, Run: a.number, Labels: a.cfg.Labels, Docker: a.out.dockerVersion, HAProxy: a.proxyVersion(),
		Wall: now.UnixMilli(), Mark: a.fleet.At(now), Checks: a.checks.tell(now),
	}
	room := tellRoom
	for _, s := range slices.SortedFunc(slices.Values(a.all()), byTold) {
		if sh, left, ok := s.health(now, room); ok {
			h.Services = append(h.Services, sh)
			room = left
		}
	}
	slices.SortFunc(h.Services, func(x, y wire.ServiceHealth) int { return strings.Compare(x.Service, y.Service) })
	return h
}

// health is the service's part of a report, with telemetry of so many bytes at
// most; it returns how many are left.
func (s *service) health(now time.Time, room int) (h wire.ServiceHealth, left int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	as, st := s.post.Assigned, s.status
	if as.Service == "" {
		return wire.ServiceHealth{}, room, false
	}
	s.meter.begin(as.Rollout, routesOf(as))
	h = wire.ServiceHealth{
		Service: s.name, Epoch: as.Epoch, Settled: st.settled, HasImage: st.hasImages, Weight: st.weight,
		Stable: st.stable, Canary: st.canary, StableReady: st.stableReady, CanaryReady: st.canaryReady,
		Deaths: st.deaths, Death: cut(st.death),
		Problem: cut(st.problem.text), Cause: st.problem.cause, Fatal: st.problem.fatal,
		Doing: cut(st.doing), WantsRaise: st.wantsRaise,
		Incarnation: s.agent.started + "-" + as.Rollout,
	}
	if as.Stable != nil {
		_, h.StableCounts = s.meter.sum(as.Stable.ID)
	}
	if as.Canary != nil {
		var each map[string]analysis.Counts
		h.CanaryCounts, each = s.meter.sum(as.Canary.ID)
		h.CanaryInstances = len(each)
	}
	left = s.telemetry(&h, now, room)
	return h, left, true
}

func cut(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxText)], "?") }
