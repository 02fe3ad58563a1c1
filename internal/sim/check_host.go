package sim

import (
	"slices"
	"time"

	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// staleRaise is I12's bound: 3 s, on a clock that is 1 % off, and what a call of
// Docker's may take.
const staleRaise = 3*time.Second*102/100 + 1500*time.Millisecond

// checkBegin is I2: operations of the loop never go back to an older epoch, over
// restarts of the agent too.
func (w *world) checkBegin(s *service, op plan.Op) {
	epoch := s.post.Assigned.Epoch
	if last := s.h.performed[s.name]; epoch < last {
		w.violate("I2", "%s does %q of epoch %d, after one of epoch %d", s.h.name, op, epoch, last)
	}
	s.h.performed[s.name] = epoch
	if told := s.agent.heard[s.name]; told.Epoch > epoch && (plan.Raises(op) || startsCanary(s, op)) {
		w.violate("I2", "%s begins %q of epoch %d, and has heard the broadcast of epoch %d", s.h.name, op, epoch, told.Epoch)
	}
}

// checkFence is I2, too: what an agent has heard of it does not forget while it runs.
func (w *world) checkFence(s *service) {
	if s.post.Fence < s.fence {
		w.violate("I2", "%s goes back to epoch %d of %s, and has heard of %d", s.h.name, s.post.Fence, s.name, s.fence)
	}
	s.fence = s.post.Fence
}

// allows returns the most that a broadcast leaves to a revision.
func allows(w rollout.Wave, revision string) int {
	if w.Canary != revision {
		return 0
	}
	return w.Weight
}

// checkHeard notes what an agent was told by a broadcast, and has it looked at soon:
// whoever has heard it needs no assignment to lower (I5).
func (w *world) checkHeard(s *service, told rollout.Wave) {
	if told.Epoch <= s.agent.heard[s.name].Epoch {
		return
	}
	s.agent.heard[s.name] = told
	a, at, run := s.post.Assigned, w.now, s.agent
	if a.Canary == nil || told.Epoch <= a.Epoch {
		return
	}
	w.after(lowerWithin, nil, func() {
		h, back := s.h, s.h.balancer.backends[s.name]
		overtaken := h.agent != run || s.post.Assigned.Epoch >= told.Epoch || run.heard[s.name].Epoch > told.Epoch
		if overtaken || back == nil || !h.balancer.up || h.soundFrom > at-time.Second || back.split.Salt != a.Canary.ID {
			return
		}
		if most := allows(told, a.Canary.ID); back.split.Share > most && h.warmth(s.name) >= wanted(a)*plan.FullWeight {
			w.violate("I5", "%s after %s has heard the broadcast of epoch %d, which allows %s, its canary has %s",
				lowerWithin, h.name, told.Epoch, rollout.Percent(most), rollout.Percent(back.split.Share))
		}
	})
}

// capacity counts the slots of a bank that take what the split does not, and can.
func (h *host) capacity(service string, bank plan.Bank) int {
	n := 0
	if back := h.balancer.backends[service]; back != nil && h.balancer.up {
		for i := range back.slots {
			x := &back.slots[i]
			if c := h.balancer.live(service, x); x.bank == bank && c != nil && x.weight > 0 && c.ready(h.w.now) {
				n++
			}
		}
	}
	return n
}

// warmth is the weight of all slots that take what the split does not, and can.
func (h *host) warmth(service string) int {
	sum := 0
	if back := h.balancer.backends[service]; back != nil && h.balancer.up {
		for i := range back.slots {
			if c := h.balancer.live(service, &back.slots[i]); c != nil && c.ready(h.w.now) {
				sum += back.slots[i].weight
			}
		}
	}
	return sum
}

// checkBefore looks at what an instruction is about to touch.
func (w *world) checkBefore(s *service, op plan.Op) {
	switch op := op.(type) {
	case plan.Stop:
		w.checkOurs(s, op.ID)
		w.checkStop(s, op)
	case plan.Remove:
		w.checkOurs(s, op.ID)
	case plan.Start:
		w.checkOurs(s, op.ID)
	case plan.Detach:
		w.checkDetach(s, op)
	default:
	}
}

// checkOurs is I8: nothing without our label is touched.
func (w *world) checkOurs(s *service, id string) {
	if c := s.h.docker.find(id); c != nil && c.service != s.name {
		w.violate("I8", "%s touches %s, which is not a container of %s", s.h.name, id, s.name)
	}
}

// checkStop is I6: nothing is stopped that still gets requests, or has some open.
func (w *world) checkStop(s *service, op plan.Stop) {
	c, b := s.h.docker.find(op.ID), s.h.balancer
	back := b.backends[s.name]
	if c == nil || c.state != plan.Running || back == nil || !b.up {
		return
	}
	for i := range back.slots {
		x := &back.slots[i]
		if x.addr == c.addr && x.open && x.name == c.slot {
			w.violate("I6", "%s stops %s behind the open slot %s", s.h.name, op.ID, x.name)
		}
	}
	if x := back.slot(c.slot); x.addr == c.addr && x.closed >= b.reloaded && b.reloaded > 0 && w.now < b.oldUntil { // closed for the new workers only
		w.violate("I6", "%s stops %s, which an old worker of HAProxy still uses", s.h.name, op.ID)
	}
}

// checkDetach is I6: open requests are cut off only when they have had their time.
func (w *world) checkDetach(s *service, op plan.Detach) {
	b := s.h.balancer
	back := b.backends[s.name]
	if back == nil || !b.up {
		return
	}
	x := back.slot(op.Slot)
	c := b.live(s.name, x)
	if c == nil || !c.ready(w.now) || !back.sessions(x, w.now) {
		return
	}
	if limit := c.revision.Container.DrainLimit * 98 / 100; !op.Cut || w.now-x.lastSent < limit {
		w.violate("I6", "%s closes %s with requests open on it", s.h.name, op.Slot)
	}
}

// least is how many containers have to serve after an instruction (I7): all that
// are wanted, or as many as do. Where a promotion was interrupted and a third
// revision is stable by now, the bank with less to lose makes room for it.
func (h *host) least(service string, op plan.Op, b basis) int {
	_, flips := op.(plan.Promote)
	here := func(c *container) bool { return c.service == service && c.revision.ID == b.stable }
	one, two := h.capacity(service, plan.BankA), h.capacity(service, plan.BankB)
	if flips && !slices.ContainsFunc(h.docker.containers, here) {
		return min(max(one, two), b.wanted)
	}
	return min(one+two, b.wanted)
}

// checkAct looks at what an instruction has done.
func (w *world) checkAct(s *service, op plan.Op, b basis, least int) {
	h, epoch := s.h, b.epoch
	if left := h.capacity(s.name, plan.BankA) + h.capacity(s.name, plan.BankB); left < least {
		w.violate("I7", "%q left %s with %d of %d containers that serve", op, h.name, left, b.wanted)
	}
	back := h.balancer.backends[s.name]
	if back != nil && back.split.Share == 0 {
		h.zeroed[s.name] = w.now
	}
	if !plan.Raises(op) && !startsCanary(s, op) {
		return
	}
	w.tally.Raises++
	if share, ok := op.(plan.Share); ok && s.agent.heard[s.name].Epoch > epoch {
		if most := allows(s.agent.heard[s.name], share.Split.Salt); share.Split.Share > most {
			w.violate("I2", "%s raises %s to %s by epoch %d, and has heard that it is to have %s at most",
				h.name, share.Split.Salt, rollout.Percent(share.Split.Share), epoch, rollout.Percent(most))
		}
	}
	since, superseded := w.record.supersededAt(s.name, epoch)
	if superseded && w.now-since > staleRaise {
		w.violate("I12", "%s does %q of epoch %d, which was over %s ago", h.name, op, epoch, (w.now - since).Round(time.Millisecond))
	}
	w.checkWarm(s, op, epoch)
}

// startsCanary tells what raises, whatever the plan calls it.
func startsCanary(s *service, op plan.Op) bool {
	c := s.post.Assigned.Canary
	switch op := op.(type) {
	case plan.Create:
		return c != nil && op.Revision.ID == c.ID
	case plan.Start:
		made := s.h.docker.find(op.ID)
		return c != nil && made != nil && made.revision.ID == c.ID
	default:
		return false
	}
}

func wanted(a rollout.Assignment) int {
	if a.Stable == nil {
		return 0
	}
	return a.Stable.Replicas
}

// checkWarm is I7, too: stable stays warm until the rollout has ended.
func (w *world) checkWarm(s *service, op plan.Op, epoch uint64) {
	svc := w.cluster.truth.Services[s.name]
	stop, ok := op.(plan.Stop)
	if !ok || svc == nil || svc.Active == nil || svc.Active.From == nil || epoch != svc.Epoch || svc.Active.Phase == rollout.Promoting {
		return
	}
	c := s.h.docker.find(stop.ID)
	if _, held := svc.Held[s.h.name]; !held && c != nil && c.revision.ID == svc.Active.From.ID && len(sameUnit(s.h.docker, c)) == 1 {
		w.violate("I7", "%s stops %s, which %s may have to go back to", s.h.name, c.id, svc.Active.ID)
	}
}

// sameUnit lists the containers of the same slot and revision.
func sameUnit(d *docker, c *container) []*container {
	var same []*container
	for _, x := range d.containers {
		if x.service == c.service && x.slot == c.slot && x.revision.ID == c.revision.ID {
			same = append(same, x)
		}
	}
	return same
}

// checkServed is I6: no request goes to a program that has not been proved
// ready, and none for long to somebody else's.
func (w *world) checkServed(h *host, service string, s *slot, c *container, n int64) {
	switch {
	case c == nil:
		for _, x := range h.docker.containers {
			if x.addr == s.addr && x.state == plan.Running && w.now-h.soundFrom > 2*resync {
				w.violate("I8", "%d requests for %s went to %s on %s", n, service, x.id, h.name)
			}
		}
	case !c.ready(w.now) && !c.surprise:
		w.violate("I6", "%d requests went to %s on %s before it was ready", n, c.id, h.name)
	}
}

// checkLowered is I5: what was taken back gets no requests any more, on a host
// that could hear of it, or else within its lease.
func (w *world) checkLowered(h *host, service string, run rollout.Rollout, at, within time.Duration) {
	back := h.balancer.backends[service]
	svc := w.cluster.truth.Services[service]
	again := svc.Active != nil && svc.Active.ID != run.ID && svc.Active.To.ID == run.To.ID || svc.Stable != nil && svc.Stable.ID == run.To.ID
	if back == nil || back.split.Share == 0 || back.split.Salt != run.To.ID || again || h.agent == nil {
		return
	}
	if h.warmth(service) < run.From.Replicas*plan.FullWeight {
		return // stable cannot take all of it yet
	}
	hears := within == lowerWithin
	l := w.cluster.leader
	switch {
	case hears && (h.quietFrom > at-time.Second || l == nil || l.born > at-time.Second || h.agent.service(service).post.Assigned.Service == ""):
		return // it could not hear
	case !hears && run.Spec.OnControlLoss != rollout.RevertOnLoss:
		return
	case !hears && w.now-h.soundFrom < cutOffWithin: // an agent that starts begins its lease anew
		w.after(lease, nil, func() { w.checkLowered(h, service, run, at, within) })
		return
	}
	w.violate("I5", "%s after %s was taken back %s still gives it %s", (w.now - at).Round(time.Millisecond), run.ID, h.name, rollout.Percent(back.split.Share))
}

// checkLease is I5 without a leader: a canary in flight gets nothing once the
// lease has ended, where stable can take it.
func (w *world) checkLease(h *host) {
	const grace = 15 * time.Second // for a look that finds stable whole again
	if h.agent == nil || w.now-max(h.hears, h.soundFrom) < lease*102/100+grace {
		return
	}
	for _, s := range h.agent.services {
		back := h.balancer.backends[s.name]
		inFlight := s.post.Assigned.Canary != nil && s.post.Assigned.OnControlLoss == rollout.RevertOnLoss
		if back != nil && inFlight && back.split.Share > 0 && h.warmth(s.name) >= wanted(s.post.Assigned)*plan.FullWeight {
			w.violate("I5", "%s has heard no leader for %s and still gives the canary %s", h.name, w.now-h.hears, rollout.Percent(back.split.Share))
		}
	}
}

// noteDeath has the canary's share looked at once its death is known (I5).
func (w *world) noteDeath(h *host, c *container) {
	back := h.balancer.backends[c.service]
	if back == nil || !h.balancer.up || h.agent == nil || back.split.Share == 0 || plan.BankOf(c.slot) != back.split.Bank {
		return
	}
	at, run := w.now, h.agent
	slot := back.slot(c.slot)
	if !slot.open || h.soundFrom > at-time.Second || back.split.Salt != c.revision.ID {
		return
	}
	w.after(lowerWithin, nil, func() {
		if h.agent == run && h.soundFrom <= at && h.zeroed[c.service] < at && back.split.Share > 0 {
			w.violate("I5", "%s after %s died %s still gives its bank %s", lowerWithin, c.id, h.name, rollout.Percent(back.split.Share))
		}
	})
}
