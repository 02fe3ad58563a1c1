package agent

import (
	"slices"
	"time"

	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// How long a look at a settled host is good for.
const (
	// resync is for what nobody tells: Docker's events and HAProxy's poll wake
	// converge where they see a change.
	resync = 10 * time.Second
	// lookMoving is while a rollout moves and Docker's events do not arrive,
	// and for stirring after something was done or heard of.
	lookMoving = time.Second
	stirring   = 3 * time.Second
	// lookIdle is while none moves and Docker's events do not arrive.
	lookIdle = 5 * time.Second
)

// rest is how long to wait for the next look at a host that is settled.
func (s *service) rest(a rollout.Assignment) time.Duration {
	switch {
	case s.agent.now()-s.memory.stirredAt < stirring:
		return lookMoving
	case s.agent.hearing.Load():
		return resync
	case a.Rollout != "":
		return lookMoving
	default:
		return lookIdle
	}
}

// note remembers what converge has seen HAProxy show of the service.
func (s *service) note(shown haproxy.Backend) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shown = shown
}

// compare has converge look, if HAProxy shows anything else by now.
func (s *service) compare(now haproxy.Backend) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !alike(s.shown, now) {
		kick(s.wake)
	}
}

// Private

// alike tells whether two looks differ in nothing but what requests change.
func alike(a, b haproxy.Backend) bool {
	return a.Service == b.Service && a.Split == b.Split && a.Effective == b.Effective &&
		slices.EqualFunc(a.Slots, b.Slots, func(x, y haproxy.Slot) bool {
			return x.Name == y.Name && x.Addr == y.Addr && x.State == y.State && x.Weight == y.Weight && x.Up == y.Up
		})
}
