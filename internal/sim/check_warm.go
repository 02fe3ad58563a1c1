package sim

import (
	"time"

	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// A stable container that comes back has a quarter of its weight for two seconds,
// then a half, then three quarters.
const (
	quarterLasts = 2 * time.Second
	warmAfter    = 3 * quarterLasts
)

// checkWarmUp holds new weights of stable against what its containers can carry,
// when the plan has decided on them: what has just come back is cold, and whoever
// carried its part can do so for some seconds more.
func (w *world) checkWarmUp(s *service, op plan.Op) {
	weights, ok := op.(plan.Weights)
	stable := s.post.Assigned.Stable
	back := s.h.balancer.backends[s.name]
	if !ok || stable == nil || back == nil || !s.h.balancer.up {
		return
	}
	for _, set := range weights.Set {
		x := back.slot(set.Slot)
		c := s.h.balancer.live(s.name, x)
		if c == nil || c.revision.ID != stable.ID || set.Weight <= x.weight || x.opened < s.agent.born {
			continue // an agent that has just started does not know what came back
		}
		carrier := s.carrier(back, x, c)
		if carrier == "" {
			continue
		}
		w.tally.WarmUps++
		// by clocks that are a bit fast, and from when the attaching began
		age := (w.now-x.opened)*102/100 + 50*time.Millisecond
		if most := plan.FullWeight / 4 * (1 + int(age/quarterLasts)); set.Weight > most {
			w.violate("warm-up", "%s gives %s, which came back %s ago, weight %d, and %s could carry it", s.h.name, set.Slot, w.now-x.opened, set.Weight, carrier)
		}
	}
}

// carrier names who carries what a slot of stable is to have while its container
// warms up: a canary that has more than it is to have, for whatever container it is;
// or else, for one that ran before, another container of stable that is warm. "" if
// nobody does.
func (s *service) carrier(back *backend, x *slot, c *container) string {
	most := 0
	if canary := s.post.Assigned.Canary; canary != nil && canary.ID == back.split.Salt {
		most = s.post.Assigned.Weight
	}
	for i := range back.slots {
		y := &back.slots[i]
		other := s.h.balancer.live(s.name, y)
		switch {
		case other == nil || y == x:
		case y.bank == back.split.Bank && y.bank != x.bank && back.split.Share > most:
			return "a canary with " + rollout.Percent(back.split.Share)
		case c.ended > 0 && y.bank == x.bank && other.revision.ID == c.revision.ID && s.warm(y, other):
			return y.name
		}
	}
	return ""
}

// warm tells whether a container behind an open slot is warm for sure.
func (s *service) warm(x *slot, c *container) bool {
	return c.ended == 0 || s.w.now-x.opened > warmAfter*102/100
}
