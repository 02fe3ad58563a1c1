package fence

import (
	"reflect"
	"time"

	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Post is one service on one host, as far as others may say what it shall be.
// The zero value has heard of nothing.
type Post struct {
	// Assigned is what the service shall be, by the last assignment.
	Assigned rollout.Assignment
	// Fence is the highest epoch heard of: the assignment's, or that of a
	// broadcast which is newer.
	Fence uint64
	// Turn counts what may forbid a raise: a raise that was planned in an
	// earlier turn is not carried out.
	Turn uint64
	// Licensed is the end of the licence for the assignment; 0: there was none.
	Licensed time.Duration

	ceiling ceiling
}

// ceiling holds the canary down, whatever is assigned.
type ceiling struct {
	on    bool
	limit int    // basis points
	epoch uint64 // of the broadcast; 0: the lease was lost
}

// Accept takes an assignment that the fence let through and the disk holds. until
// is the end of the licence that came with it, 0 if none did. It reports whether
// the assignment is another one than before.
func (p *Post) Accept(a rollout.Assignment, until time.Duration) (changed bool) {
	changed = !reflect.DeepEqual(a, p.Assigned)
	if changed {
		p.Turn++
	}
	p.Assigned, p.Fence = a, max(p.Fence, a.Epoch)
	if p.ceiling.on && p.ceiling.epoch > 0 && p.ceiling.epoch <= a.Epoch {
		p.ceiling = ceiling{}
	}
	if until > 0 && p.Fence == a.Epoch {
		p.Licensed, p.ceiling = until, ceiling{}
	}
	return changed
}

// Restore takes up what was accepted before the agent's last end. A broadcast
// that is newer than the assignment can only have lowered, and how far is
// forgotten.
func (p *Post) Restore(page Page) {
	p.Accept(page.Assignment, 0)
	p.Fence = max(p.Fence, page.Epoch)
	if page.Epoch > page.Assignment.Epoch {
		p.ceiling = ceiling{on: true, epoch: page.Epoch}
	}
}

// Hold takes a broadcast, which may lower the canary and never raises it. newer
// reports whether it is newer than what is assigned, lowered whether the canary is
// now to have less.
func (p *Post) Hold(w rollout.Wave) (newer, lowered bool) {
	if w.Epoch < p.Fence {
		return false, false
	}
	p.Fence = w.Epoch
	newer = w.Epoch > p.Assigned.Epoch
	limit := w.Weight
	if c := p.Assigned.Canary; c == nil || c.ID != w.Canary {
		limit = 0
	}
	if p.Assigned.Canary == nil || limit >= min(p.Assigned.Weight, p.Limit()) {
		return newer, false
	}
	p.ceiling = ceiling{on: true, limit: limit, epoch: w.Epoch}
	p.Turn++
	return newer, true
}

// Refuse does what an assignment lowers that could not be written down, and
// nothing else of it. It reports whether the canary is now to have less.
func (p *Post) Refuse(a rollout.Assignment) (lowered bool) {
	w := rollout.Wave{Service: a.Service, Epoch: a.Epoch, Rollout: a.Rollout, Weight: a.Weight}
	if a.Canary != nil {
		w.Canary = a.Canary.ID
	}
	promoted := a.Stable != nil && p.Assigned.Canary != nil && p.Assigned.Canary.ID == a.Stable.ID
	if a.Canary == nil && promoted {
		return false // what was the canary is to be stable
	}
	_, lowered = p.Hold(w)
	return lowered
}

// LoseControl takes the canary's share away when no leader is heard; only a
// licence gives it back. It reports whether there was anything to take.
func (p *Post) LoseControl() (lowered bool) {
	held := p.Assigned.OnControlLoss == rollout.HoldOnLoss
	if p.Assigned.Canary == nil || held || p.ceiling.on && p.ceiling.limit == 0 {
		return false
	}
	p.ceiling = ceiling{on: true, epoch: p.ceiling.epoch}
	p.Turn++
	return true
}

// Limit is the most that the canary may have, in basis points, whatever is
// assigned.
func (p *Post) Limit() int {
	if p.ceiling.on {
		return p.ceiling.limit
	}
	return rollout.Full
}

// MayRaise reports whether a licence for what is assigned is in force.
func (p *Post) MayRaise(now time.Duration) bool {
	return now < p.Licensed && p.Fence == p.Assigned.Epoch
}

// Allowed is the most that a split, as it was last seen, may have.
func (p *Post) Allowed(split plan.Split) int {
	a := p.Assigned
	switch {
	case a.Canary != nil && split.Salt == a.Canary.ID:
		return min(a.Weight, p.Limit())
	case a.Canary == nil && a.Stable != nil && split.Salt == a.Stable.ID:
		return split.Share // it is promoted
	default:
		return 0
	}
}
