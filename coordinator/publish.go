package coordinator

import (
	"context"
	"errors"
	"time"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// How often agents of a running rollout report, and from how many on the
// slower pace holds.
const (
	busyInterval  = 500 * time.Millisecond
	largeInterval = time.Second
	largeRollout  = 250
)

// beatsPerLease is how many signs of life an agent hears in its lease.
const beatsPerLease = 6

// publish tells the fleet of every change: first the broadcasts, which lower
// at once, then each host's own assignments, which without a nonce also only
// lower. A new leader begins with everything.
func (l *leader) publish(ctx context.Context) error {
	told := map[string]uint64{} // epochs, by service
	for ctx.Err() == nil {
		changed := l.ledger.Changed()
		s := l.ledger.State()
		if moved := l.broadcast(s, told); len(moved) > 0 {
			l.assignAll(ctx, s, moved)
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return nil
}

// beat says that a verified leader is there.
func (l *leader) beat(ctx context.Context) error {
	ticker := time.NewTicker(max(l.lease/beatsPerLease, time.Millisecond))
	defer ticker.Stop()
	for {
		if err := l.ledger.Verify(ctx); err == nil {
			send(l, bus.BeatSubject, nil, wire.EncodeBeat, wire.Beat{Leader: l.id, Term: l.term, Lease: l.lease, Clock: l.clock.now()})
		} else if ctx.Err() == nil {
			l.log.Warn().Err(err).Msg("leadership not verified, no beat")
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Private

// broadcast sends the wave of each service whose epoch is not the one told,
// and returns these services.
func (l *leader) broadcast(s *rollout.State, told map[string]uint64) []string {
	var moved []string
	for _, name := range s.Names() {
		wave, ok := s.Wave(name)
		if !ok || told[name] == wave.Epoch {
			continue
		}
		send(l, bus.StepSubject(name), l.tracing.header(l.tracing.of(s.Services[name])), wire.EncodeWave, wave)
		told[name] = wave.Epoch
		moved = append(moved, name)
	}
	return moved
}

// assignAll sends their assignments to the hosts that a moved service concerns.
func (l *leader) assignAll(ctx context.Context, s *rollout.State, moved []string) {
	for name, labels := range l.roster.all() {
		if ctx.Err() != nil {
			return
		}
		for _, service := range moved {
			if _, ok := s.Assignment(service, name, labels); ok {
				l.assign(s, name, labels, 0)
				break
			}
		}
	}
}

// assign sends a host all that it should be. Without a nonce that is no
// licence to raise.
func (l *leader) assign(s *rollout.State, name string, labels map[string]string, nonce uint64) {
	token, err := bus.HostToken(name)
	if err != nil {
		return // it could not have reported
	}
	a := wire.Assign{
		Host: name, Nonce: nonce, Leader: l.id, Term: l.term,
		Assignments: s.Assignments(name, labels), Interval: idleInterval, Lease: l.lease,
	}
	var places []string
	for _, x := range a.Assignments {
		if x.Rollout != "" {
			a.Interval = min(a.Interval, intervalOf(s.Services[x.Service]))
			places = append(places, l.tracing.of(s.Services[x.Service]))
		}
	}
	send(l, bus.AssignSubject(token), l.tracing.header(places...), wire.EncodeAssign, a)
}

func intervalOf(svc *rollout.Service) time.Duration {
	if svc.Active != nil && len(svc.Active.Hosts) > largeRollout {
		return largeInterval
	}
	return busyInterval
}

// send publishes what is level-triggered: what is lost is said again.
func send[T any](l *leader, subject string, header bus.Header, encode func(T) ([]byte, error), message T) {
	data, err := encode(message)
	if err == nil {
		err = l.bus.PublishHeader(subject, header, data)
	}
	if err != nil && !errors.Is(err, bus.ErrNotConnected) {
		l.log.Error().Err(err).Str("subject", subject).Msg("message not sent")
	}
}
