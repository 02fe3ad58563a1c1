package agent

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// onAssign takes a leader's message: refuses what is older than accepted,
// persists the rest, and only then lets it count.
func (a *agent) onAssign(data []byte) {
	m, err := wire.DecodeAssign(data)
	if err == nil && m.Host != a.cfg.Host {
		err = fmt.Errorf("it is for host %q", m.Host)
	}
	if err != nil {
		a.log.Warn().Err(err).Msg("assignment refused")
		return
	}
	now := time.Now()
	a.leash.hear(now, m.Lease)
	a.asked.Store(int64(m.Interval))
	until := a.leash.redeem(m.Nonce, now)

	a.accepting.Lock()
	defer a.accepting.Unlock()
	accepted := a.current(m.Assignments)
	if err := a.persist(accepted); err != nil {
		a.log.Error().Err(err).Msg("assignment not accepted; lowering is done all the same")
		a.trouble(accepted, err)
		return
	}
	for _, as := range accepted {
		a.service(as.Service).accept(as, until)
	}
}

// onWave takes a broadcast. It lowers first and is written down then: nothing
// is raised by it, so that a crash in between does no harm.
func (a *agent) onWave(data []byte) {
	w, err := wire.DecodeWave(data)
	if err != nil {
		a.log.Warn().Err(err).Msg("broadcast refused")
		return
	}
	s, known := a.find(w.Service)
	if !known || !s.hold(w) {
		return
	}
	a.accepting.Lock()
	defer a.accepting.Unlock()
	page := a.ledger.page.Accepted[w.Service]
	if w.Epoch > page.Epoch {
		page.Epoch = w.Epoch
		if err := a.ledger.record(map[string]acceptedPage{w.Service: page}); err != nil {
			a.log.Error().Err(err).Msg("epoch of a broadcast not written down")
		}
	}
	a.reportNow() // the leader sees that we lag behind, and sends the assignment
}

// onBeat takes a leader's sign of life.
func (a *agent) onBeat(data []byte) {
	b, err := wire.DecodeBeat(data)
	if err != nil {
		a.log.Warn().Err(err).Msg("beat refused")
		return
	}
	now := time.Now()
	a.leash.hear(now, b.Lease)
	a.fleet.Hear(now, b.Clock, b.Lease, b.Term)
}

// Private

// current leaves out what is older than accepted.
func (a *agent) current(all []rollout.Assignment) []rollout.Assignment {
	var fresh []rollout.Assignment
	for _, as := range all {
		if fence := a.ledger.page.Accepted[as.Service].Epoch; as.Epoch < fence {
			a.log.Debug().Str("service", as.Service).Uint64("epoch", as.Epoch).Uint64("fence", fence).Msg("older than accepted, refused")
			continue
		}
		fresh = append(fresh, as)
	}
	return fresh
}

// persist writes what differs from what is written.
func (a *agent) persist(all []rollout.Assignment) error {
	pages := map[string]acceptedPage{}
	for _, as := range all {
		page := acceptedPage{Epoch: as.Epoch, Assignment: as}
		if !reflect.DeepEqual(a.ledger.page.Accepted[as.Service], page) {
			pages[as.Service] = page
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
		s, known := a.find(as.Service)
		if !known {
			continue
		}
		w := rollout.Wave{Service: as.Service, Epoch: as.Epoch, Rollout: as.Rollout, Weight: as.Weight}
		if as.Canary != nil {
			w.Canary = as.Canary.ID
		}
		if as.Canary != nil || !s.promotes(as.Stable) {
			s.hold(w)
		}
		s.mu.Lock()
		s.status.trouble(problem{text: err.Error()})
		s.mu.Unlock()
	}
	a.reportNow()
}

// promotes tells whether what was the canary is to be stable.
func (s *service) promotes(stable *rollout.Revision) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return stable != nil && s.assigned.Canary != nil && s.assigned.Canary.ID == stable.ID
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
		s := a.service(name)
		s.accept(page.Assignment, time.Time{})
		s.mu.Lock()
		s.fence = max(s.fence, page.Epoch)
		if page.Epoch > page.Assignment.Epoch {
			// A broadcast that we do not remember: it can only have lowered.
			s.ceiling = ceiling{on: true, epoch: page.Epoch}
		}
		s.mu.Unlock()
	}
	return nil
}
