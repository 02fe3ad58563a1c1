package agent

import (
	"context"
	"reflect"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// service is one service on this host: what it shall be, what it was last
// seen to be, and the two goroutines that work on it (converge and reflexes);
// a third one asks for the gates (gather).
type service struct {
	name  string
	agent *agent
	log   zerolog.Logger

	wake   chan struct{} // look again; holds one
	urgent chan struct{} // the reflex has something to do; holds one
	stir   chan struct{} // something else may be to gather; holds one

	// gate is held while the share is raised. Who lowers it meanwhile learns
	// by it that the raise may have come last.
	gate sync.Mutex

	mu       sync.Mutex
	assigned rollout.Assignment
	// fence is the highest epoch heard of: the assignment's, or that of a
	// broadcast which is newer.
	fence    uint64
	ceiling  ceiling
	licensed time.Time // end of the licence for the assignment
	// turn counts what may forbid a raise: a raise that was planned in an
	// earlier turn is not carried out.
	turn      uint64
	interrupt context.CancelFunc // ends a wait that is under way; may be nil
	errand    errand
	stopping  map[string]bool // containers that we stop ourselves, by id
	seen      sighting
	shown     haproxy.Backend // as converge last saw it
	status    status
	meter     meter
	gathered  gathered
	told      map[string]time.Time // when parts of the telemetry were reported last
	toldAt    time.Time            // the last of them
	watch     *stopwatch           // has a lock of its own

	memory memory // of the converge goroutine
}

// ceiling holds the canary down, whatever is assigned.
type ceiling struct {
	on    bool
	limit int    // basis points
	epoch uint64 // of the broadcast; 0: the lease was lost
}

// errand is what the reflex is to do.
type errand struct {
	lower  bool
	blind  bool // lower to 0 without a look at who else could serve
	detach map[string]bool
}

// sighting is what the last look at the host showed.
type sighting struct {
	split plan.Split
	floor int                       // what the canary keeps for now because stable cannot take it
	units map[string]plan.Container // by slot: behind an open one
}

func newService(a *agent, name string) *service {
	watch := newStopwatch()
	s := &service{
		name: name, agent: a, log: a.log.With().Str("service", name).Logger(),
		wake: make(chan struct{}, 1), urgent: make(chan struct{}, 1), stir: make(chan struct{}, 1),
		stopping: map[string]bool{}, memory: newMemory(), watch: watch, meter: newMeter(watch),
	}
	s.meter.tell = s.tellLocked
	return s
}

// accept takes an assignment that the fence let through and the ledger holds.
// until is the end of the licence that came with it, zero if none did.
func (s *service) accept(a rollout.Assignment, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := !reflect.DeepEqual(a, s.assigned)
	if changed {
		s.turn++
		s.status.assigned(s.assigned, a)
		s.log.Info().Uint64("epoch", a.Epoch).Str("rollout", a.Rollout).Int("weight", a.Weight).Msg("assignment accepted")
	}
	s.assigned, s.fence = a, max(s.fence, a.Epoch)
	if s.ceiling.on && s.ceiling.epoch > 0 && s.ceiling.epoch <= a.Epoch {
		s.ceiling = ceiling{}
	}
	if !until.IsZero() && s.fence == a.Epoch {
		s.licensed, s.ceiling = until, ceiling{}
	}
	if changed {
		s.lowerLocked(false)
		s.interruptLocked()
		kick(s.stir)
	}
	if changed || s.status.wantsRaise {
		kick(s.wake)
	}
}

// hold takes a broadcast, which may lower the canary and never raises it. It
// reports whether the broadcast is newer than what is assigned.
func (s *service) hold(w rollout.Wave) (newer bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.Epoch < s.fence {
		return false
	}
	s.fence = w.Epoch
	newer = w.Epoch > s.assigned.Epoch
	limit := w.Weight
	if c := s.assigned.Canary; c == nil || c.ID != w.Canary {
		limit = 0
	}
	if s.assigned.Canary == nil || limit >= min(s.assigned.Weight, s.limitLocked()) {
		return newer
	}
	s.ceiling = ceiling{on: true, limit: limit, epoch: w.Epoch}
	s.turn++
	s.lowerLocked(false)
	s.interruptLocked()
	kick(s.wake)
	return newer
}

// loseControl takes the canary's share away when no leader is heard; only a
// licence gives it back.
func (s *service) loseControl() {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.assigned.OnControlLoss == rollout.HoldOnLoss
	if s.assigned.Canary == nil || held || s.ceiling.on && s.ceiling.limit == 0 {
		return
	}
	s.ceiling = ceiling{on: true, epoch: s.ceiling.epoch}
	s.turn++
	s.log.Warn().Str("rollout", s.assigned.Rollout).Msg("no leader heard within the lease; the canary gets no traffic until one grants it")
	s.lowerLocked(false)
	kick(s.wake)
}

// Private

// limitLocked is the ceiling in force.
func (s *service) limitLocked() int {
	if s.ceiling.on {
		return s.ceiling.limit
	}
	return rollout.Full
}

// mayRaiseLocked tells whether a licence for what is assigned is in force.
func (s *service) mayRaiseLocked(now time.Time) bool {
	return now.Before(s.licensed) && s.fence == s.assigned.Epoch
}

// allowedLocked is the most that the split, as last seen, may have.
func (s *service) allowedLocked() int {
	a, split := s.assigned, s.seen.split
	switch {
	case a.Canary != nil && split.Salt == a.Canary.ID:
		return min(a.Weight, s.limitLocked())
	case a.Canary == nil && a.Stable != nil && split.Salt == a.Stable.ID:
		return split.Share // it is promoted
	default:
		return 0
	}
}

// lowerLocked has the reflex lower the share, if it is more than allowed.
func (s *service) lowerLocked(blind bool) {
	if s.seen.split.Share > s.allowedLocked() || blind {
		s.errand.lower = true
		s.errand.blind = s.errand.blind || blind
		kick(s.urgent)
	}
}

func (s *service) interruptLocked() {
	if s.interrupt != nil {
		s.interrupt()
	}
}

// inFlight tells whether a rollout moves here, or something is to be done.
func (s *service) inFlight() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.assigned.Rollout != "" || !s.status.settled
}

// kick puts a token into a channel that holds one.
func kick(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
