package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/serin-rollouts/serin/agent/fence"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/trace"
	"github.com/serin-rollouts/serin/internal/wire"
)

// onAssign takes a leader's message: refuses what is older than accepted,
// persists the rest, and only then lets it count.
func (a *agent) onAssign(msg bus.Msg) {
	m, err := wire.DecodeAssign(msg.Data)
	if err == nil && m.Host != a.cfg.Host {
		err = fmt.Errorf("it is for host %q", m.Host)
	}
	if err != nil {
		a.log.Warn().Err(err).Msg("assignment refused")
		return
	}
	now := a.now()
	a.leash.hear(now, m.Lease)
	a.asked.Store(int64(m.Interval))
	until := a.leash.redeem(m.Nonce, now)

	a.accepting <- struct{}{}
	defer func() { <-a.accepting }()
	accepted := fence.Fresh(a.ledger.page.Accepted, m.Assignments, a.tooOld)
	if err := a.persist(accepted); err != nil {
		a.log.Error().Err(err).Msg("assignment not accepted; lowering is done all the same")
		a.trouble(accepted, err)
		return
	}
	belongs := placesIn(msg.Header, m.Assignments)
	for _, as := range accepted {
		s := a.service(as.Service)
		if place, ok := belongs[as.Service]; ok {
			s.learn(as.Epoch, place)
		}
		s.accept(as, until)
	}
}

// onWave takes a broadcast. It lowers first and is written down later: nothing
// is raised by it, so that a crash in between does no harm.
func (a *agent) onWave(msg bus.Msg) {
	w, err := wire.DecodeWave(msg.Data)
	if err != nil {
		a.log.Warn().Err(err).Msg("broadcast refused")
		return
	}
	s, known := a.find(w.Service)
	if !known {
		return
	}
	if place, ok := trace.Parse(msg.Header.Get(bus.TraceHeader)); ok {
		s.learn(w.Epoch, place)
	}
	if s.hold(w) {
		kick(a.noted)
		a.reportNow() // the leader sees that we lag behind, and sends the assignment
	}
}

// onBeat takes a leader's sign of life.
func (a *agent) onBeat(data []byte) {
	b, err := wire.DecodeBeat(data)
	if err != nil {
		a.log.Warn().Err(err).Msg("beat refused")
		return
	}
	a.leash.hear(a.now(), b.Lease)
	a.fleet.Hear(time.Now(), b.Clock, b.Lease, b.Term)
}

// Private

func (a *agent) tooOld(as rollout.Assignment, highest uint64) {
	a.log.Debug().Str("service", as.Service).Uint64("epoch", as.Epoch).Uint64("fence", highest).Msg("older than accepted, refused")
}

// persist writes what differs from what is written.
func (a *agent) persist(all []rollout.Assignment) error {
	pages := fence.Written(a.ledger.page.Accepted, all)
	if len(pages) == 0 {
		return nil
	}
	return a.ledger.record(pages)
}

// note writes down the epochs of broadcasts. Who hears them does not wait for
// that: the disk may be slow, and the next broadcast is to lower at once.
func (a *agent) note(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.noted:
		}
		if err := a.noteEpochs(); err != nil {
			a.log.Error().Err(err).Msg("epoch of a broadcast not written down")
		}
	}
}

func (a *agent) noteEpochs() error {
	a.accepting <- struct{}{}
	defer func() { <-a.accepting }()
	pages := map[string]fence.Page{}
	for _, s := range a.all() {
		if page, newer := a.ledger.page.Accepted[s.name].Noted(s.heard()); newer {
			pages[s.name] = page
		}
	}
	if len(pages) == 0 {
		return nil
	}
	return a.ledger.record(pages)
}

// trouble tells of assignments that could not be written down, and lowers what
// they lower.
func (a *agent) trouble(all []rollout.Assignment, err error) {
	for _, as := range all {
		if s, known := a.find(as.Service); known {
			s.refuse(as, err)
		}
	}
	a.reportNow()
}

// restore brings back what was accepted before the agent's last end.
func (a *agent) restore() error {
	for _, page := range a.ledger.page.Accepted {
		if page.Assignment.Stable != nil || page.Assignment.Canary != nil {
			a.frontends.want(frontendOf(page.Assignment)) // all, before the first service starts
		}
	}
	for name, page := range a.ledger.page.Accepted {
		if page.Assignment.Service != name {
			if page.Assignment.Service == "" && page.Assignment.Epoch == 0 {
				continue // a broadcast came before any assignment
			}
			return errors.New("accepted assignments: one is filed under another service's name")
		}
		a.service(name).restore(page)
	}
	return nil
}
