package plan

import (
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Next returns the next operation for the service on the host. With the same
// arguments it says the same.
func Next(a rollout.Assignment, h Host) Op {
	op := newPlanner(a, h).next()
	if Raises(op) && !h.MayRaise {
		return Ask{For: op}
	}
	return op
}

// Floor returns how much of the traffic a canary keeps, in basis points, though
// it is to be lowered: all where no stable container serves, none where at least
// half of them do, so that none ever gets more than twice its part at once. A
// canary that does not live keeps nothing, one of which a container is dead only
// where nobody else serves.
func Floor(a rollout.Assignment, h Host) int { return newPlanner(a, h).floor() }

// Private

// planner is one look at one service.
type planner struct {
	a      rollout.Assignment
	h      Host
	stable track // zero if no stable revision is assigned
	canary track // zero if no canary is assigned
}

func newPlanner(a rollout.Assignment, h Host) *planner {
	p := &planner{a: a, h: h}
	if a.Stable != nil {
		p.stable = p.track(a.Stable, p.stableBank())
	}
	if a.Canary != nil {
		p.canary = p.track(a.Canary, p.stableBank().other())
	}
	return p
}

func (p *planner) next() Op {
	rules := []func() Op{
		p.lower, p.strays, p.frontend,
		p.restoreStable, p.flip,
		p.prefetch,
		p.startCanary, p.share,
		p.retire,
	}
	for _, rule := range rules {
		if op := rule(); op != nil {
			return op
		}
	}
	return Settled{}
}

// empty says that nothing of the service shall be on this host.
func (p *planner) empty() bool { return p.a.Stable == nil && p.a.Canary == nil }

// lower takes the share of a canary down to what it may have, or to what it has
// to keep because the others could not take it.
func (p *planner) lower() Op {
	split := p.h.Split
	limit := max(p.limit(), min(split.Share, p.floor()))
	if split.Share <= limit || limit > 0 && split.Share-limit < p.h.MinStep {
		return nil
	}
	split.Share = limit
	return Share{Split: split}
}

// floor is Floor: a container counts by its weight, so one that warms up counts
// for a part.
func (p *planner) floor() int {
	if p.empty() || !p.bankLives(p.h.Split.Bank) {
		return 0
	}
	whole, there := FullWeight, 0
	if p.a.Stable != nil {
		whole *= p.a.Stable.Replicas
	}
	for _, s := range p.h.Slots {
		if s.Weight > 0 && p.lives(s) {
			there += s.Weight
		}
	}
	if there > 0 && !p.splitWhole() {
		return 0 // it is about to lose what it has
	}
	return max(0, rollout.Full-rollout.Full*2*there/whole)
}

// splitWhole says that every container that the split is for lives.
func (p *planner) splitWhole() bool {
	for k := range p.h.Split.Replicas {
		if !p.lives(p.slot(SlotName(p.h.Split.Bank, k+1))) {
			return false
		}
	}
	return true
}

// limit is the most that the bank of the split may have now.
func (p *planner) limit() int {
	bank := p.h.Split.Bank
	switch {
	case p.canary.wanted() && bank == p.canary.bank && p.canary.whole() && p.h.Split.Salt == p.a.Canary.ID:
		return min(p.a.Weight, p.h.Ceiling)
	case p.stable.wanted() && bank == p.stable.bank && p.stable.whole() && p.serves(bank.other()):
		// The canary has become the stable revision: flip does the rest.
		return p.h.Split.Share
	default:
		return 0
	}
}

// strays closes slots that point to what is no live container of ours: Docker
// gives the address of a container that is gone to the next one at once.
func (p *planner) strays() Op {
	for _, s := range p.h.Slots {
		if s.Open && !p.lives(s) {
			return Detach{Slot: s.Name}
		}
	}
	return nil
}

func (p *planner) frontend() Op {
	if p.empty() || p.h.Frontend {
		return nil
	}
	return EnsureFrontend{}
}

// restoreStable brings up and attaches what is missing of the stable revision.
// It needs no licence unless another revision serves. What is back helps those
// that serve, without a wait for what is not.
func (p *planner) restoreStable() Op {
	if !p.stable.wanted() {
		return nil
	}
	elsewhere := p.serves(p.stable.bank.other())
	op := p.bringUp(p.stable, elsewhere)
	wait, waits := op.(Wait)
	switch {
	case elsewhere, op != nil && !waits:
		return op
	case op == nil:
		return p.weigh(p.stable)
	case !p.serves(p.stable.bank) && !p.carried():
		return op // the first that is ready had better not be alone
	}
	weighed := p.weigh(p.stable)
	if also, ok := weighed.(Wait); ok {
		return sooner(also, wait)
	}
	return orElse(weighed, op)
}

// flip makes the stable revision's bank the one that serves.
func (p *planner) flip() Op {
	if !p.stable.wanted() || !p.weighted(p.stable.bank.other()) {
		return nil
	}
	if down := p.stable.down(); down != "" {
		return Wait{Why: "HAProxy finds " + down + " down", Until: p.h.Now + lookAgain}
	}
	return Promote{Bank: p.stable.bank}
}

func (p *planner) prefetch() Op {
	for _, image := range p.a.Prefetch {
		if !p.has(image) {
			return Pull{Image: image}
		}
	}
	return nil
}

func (p *planner) startCanary() Op {
	if !p.canary.wanted() {
		return nil
	}
	return p.bringUp(p.canary, true)
}

// share raises the canary's share, once all of it stands. (lower has seen to
// it that it is not too much.)
func (p *planner) share() Op {
	if !p.canary.wanted() || p.a.Weight-p.h.Split.Share < p.h.MinStep || p.a.Weight == 0 {
		return nil
	}
	if down := p.canary.down(); down != "" {
		return Wait{Why: "HAProxy finds " + down + " down", Until: p.h.Now + lookAgain}
	}
	if p.h.MayRaise && p.h.Ceiling < p.a.Weight {
		return Wait{Why: "held at " + rollout.Percent(p.h.Ceiling) + " until a newer assignment comes", Until: p.h.Now + lookAgain}
	}
	return Share{
		Split: Split{Share: p.a.Weight, Bank: p.canary.bank, Salt: p.a.Canary.ID, Replicas: p.a.Canary.Replicas},
		Raise: true,
	}
}
