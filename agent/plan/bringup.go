package plan

import "slices"

// bringUp returns what is to be done next until every replica of the track
// runs, is ready and attached; nil if all are. All are started before any of
// them is waited for.
func (p *planner) bringUp(t track, raise bool) Op {
	if !t.whole() {
		if op := p.clear(t); op != nil {
			return op
		}
	}
	var later Op
	for _, u := range t.units {
		op := p.run(t, u, raise)
		if wait, ok := op.(Wait); ok {
			later = sooner(later, wait)
		} else if op != nil {
			return op
		}
	}
	if op := p.attach(t); op != nil {
		return op
	}
	return later
}

// run returns what a replica needs until its container runs.
func (p *planner) run(t track, u unit, raise bool) Op {
	c := u.container
	switch {
	case c == nil && !p.has(t.rev.Image):
		return Pull{Image: t.rev.Image}
	case c == nil:
		return Create{Revision: *t.rev, Slot: u.slot.Name, Raise: raise}
	case c.State == Running:
		return nil
	case c.State == Broken:
		return Remove{ID: c.ID, Slot: c.Slot}
	case c.State == Leaving:
		return Wait{Why: "Docker removes " + c.Slot, Until: p.h.Now + lookAgain}
	case p.h.Now < c.RetryAt:
		return Wait{Why: c.Slot + " keeps dying", Until: c.RetryAt}
	default:
		return Start{ID: c.ID, Slot: c.Slot, Raise: raise}
	}
}

// attach opens the slots of those that are ready, then waits for the others.
func (p *planner) attach(t track) Op {
	prove := Prove{Revision: *t.rev}
	for _, u := range t.units {
		switch {
		case !u.runs():
		case !u.container.Ready:
			prove.Containers = append(prove.Containers, *u.container)
		case !u.attached():
			return Attach{Slot: u.slot.Name, Addr: u.container.Addr}
		}
	}
	if len(prove.Containers) > 0 {
		return prove
	}
	return nil
}

// clear empties the track's bank of other revisions.
func (p *planner) clear(t track) Op {
	if p.serves(t.bank) && p.serves(t.bank.other()) && len(p.homes(t.rev)) == 0 {
		return Promote{Bank: t.bank.other()}
	}
	var later Op
	for _, c := range p.h.Containers {
		if BankOf(c.Slot) != t.bank || t.holds(c) {
			continue
		}
		op := p.retireOne(c)
		if !waits(op) {
			return op
		}
		later = orElse(later, op)
	}
	return later
}

// weigh gives the slots of the track that serves their weights. A slot whose
// container was restarted gets its weight in quarters, if others are warm; and
// so does every slot that was lost while a canary carries what it took.
func (p *planner) weigh(t track) Op {
	carried := p.carried()
	warm := func(u unit) bool { return p.warm(u, carried) }
	spared := carried || slices.ContainsFunc(t.units, warm)
	var set []SlotWeight
	next := Wait{Why: "a restarted container warms up"}
	for _, u := range t.units {
		if !u.attached() {
			continue
		}
		want := FullWeight
		if spared && !warm(u) {
			age := p.h.Now - u.slot.AttachedAt
			want = max(u.slot.Weight, FullWeight*(1+int(age/rampStep))/quarters) // never back
			if want < FullWeight {
				next.Until = p.h.Now + rampStep - age%rampStep
			}
		}
		if u.slot.Weight != want {
			set = append(set, SlotWeight{Slot: u.slot.Name, Weight: want})
		}
	}
	switch {
	case len(set) > 0:
		return Weights{Set: set}
	case next.Until > 0:
		return next
	}
	return nil
}

// carried says that a canary has traffic that it is not to have, until others
// can take it.
func (p *planner) carried() bool {
	return p.h.Split.Share > p.limit() && p.bankLives(p.h.Split.Bank)
}

// warm says that a replica can carry its full weight. Where a canary carries it
// meanwhile, a container that has just been made is no warmer than a restarted
// one.
func (p *planner) warm(u unit, carried bool) bool {
	return u.attached() &&
		(!u.container.Restarted && !carried || u.slot.AttachedAt == 0 || p.h.Now-u.slot.AttachedAt >= rampStep*(quarters-1))
}

func sooner(a Op, b Wait) Op {
	if w, ok := a.(Wait); ok && w.Until <= b.Until {
		return a
	}
	return b
}

func orElse(a, b Op) Op {
	if a != nil {
		return a
	}
	return b
}
