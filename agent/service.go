package agent

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/agent/fence"
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

	mu        sync.Mutex
	post      fence.Post         // what others say; times are the agent's own
	interrupt context.CancelFunc // ends a wait that is under way; may be nil
	errand    errand
	stopping  map[string]bool // containers that we stop ourselves, by id
	seen      sighting
	shown     haproxy.Backend // as converge last saw it
	status    status
	meter     meter
	places    places
	gathered  gathered
	told      map[string]time.Time // when parts of the telemetry were reported last
	toldAt    time.Time            // the last of them
	watch     *stopwatch           // has a lock of its own

	memory memory // of the converge goroutine
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
func (s *service) accept(a rollout.Assignment, until time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.post.Assigned
	changed := s.post.Accept(a, until)
	if changed {
		s.status.assigned(was, a)
		s.log.Info().Uint64("epoch", a.Epoch).Str("rollout", a.Rollout).Int("weight", a.Weight).Msg("assignment accepted")
		s.lowerLocked(false)
		s.interruptLocked()
		kick(s.stir)
	}
	if changed || s.status.wantsRaise {
		kick(s.wake)
	}
}

// restore takes up what was accepted before the agent's last end.
func (s *service) restore(p fence.Page) {
	s.accept(p.Assignment, 0)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.post.Restore(p)
}

// hold takes a broadcast, which may lower the canary and never raises it. It
// reports whether the broadcast is newer than what is assigned.
func (s *service) hold(w rollout.Wave) (newer bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	newer, lowered := s.post.Hold(w)
	if lowered {
		s.heldLocked()
	}
	return newer
}

// refuse does what an assignment lowers that could not be written down.
func (s *service) refuse(a rollout.Assignment, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.post.Refuse(a) {
		s.heldLocked()
	}
	s.status.trouble(problem{text: why.Error()})
}

// loseControl takes the canary's share away when no leader is heard; only a
// licence gives it back.
func (s *service) loseControl() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.post.LoseControl() {
		return
	}
	s.log.Warn().Str("rollout", s.post.Assigned.Rollout).Msg("no leader heard within the lease; the canary gets no traffic until one grants it")
	s.lowerLocked(false)
	kick(s.wake)
}

// heard is the highest epoch heard of.
func (s *service) heard() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.post.Fence
}

// Private

// heldLocked has the reflex and the loop heed a new ceiling.
func (s *service) heldLocked() {
	s.lowerLocked(false)
	s.interruptLocked()
	kick(s.wake)
}

// lowerLocked has the reflex lower the share, if it is more than allowed.
func (s *service) lowerLocked(blind bool) {
	if s.seen.split.Share > s.post.Allowed(s.seen.split) || blind {
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
	return s.post.Assigned.Rollout != "" || !s.status.settled
}

// kick puts a token into a channel that holds one.
func kick(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
