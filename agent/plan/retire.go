package plan

// retire takes away what is ours and not assigned, one container at a time,
// but does not let one that drains hold up the others. When it runs, the
// stable revision is whole and serves alone.
func (p *planner) retire() Op {
	var later Op
	for _, c := range p.h.Containers {
		if p.stable.holds(c) || p.canary.holds(c) {
			continue
		}
		op := p.retireOne(c)
		if !waits(op) {
			return op
		}
		later = orElse(later, op)
	}
	if later == nil && p.empty() && p.h.Frontend && len(p.h.Containers) == 0 {
		return RemoveFrontend{}
	}
	return later
}

// retireOne is one container's way out: no new requests, no open ones, no
// slot, then no process, then no container.
func (p *planner) retireOne(c Container) Op {
	slot := p.slot(c.Slot)
	switch {
	case c.State == Leaving:
		return Wait{Why: "Docker removes " + c.Slot, Until: p.h.Now + lookAgain}
	case c.State != Running:
		return Remove{ID: c.ID, Slot: c.Slot}
	case slot.Open && slot.Addr == c.Addr:
		return p.empties(c, slot)
	case p.h.OldWorkers:
		return Wait{Why: "HAProxy's old workers may still use " + c.Slot, Until: p.h.Now + lookAgain}
	default:
		return Stop{ID: c.ID, Slot: c.Slot, Grace: c.StopGrace}
	}
}

func (p *planner) empties(c Container, slot Slot) Op {
	limit := slot.QuietSince + c.DrainLimit
	switch {
	case slot.Weight > 0:
		return Weights{Set: []SlotWeight{{Slot: slot.Name}}, Raise: true}
	case !slot.Idle && p.h.Now < limit:
		return Drain{Slot: slot.Name, Until: limit}
	default:
		return Detach{Slot: slot.Name, Cut: !slot.Idle, Raise: true}
	}
}

// waits reports whether op leaves time for others.
func waits(op Op) bool {
	switch op.(type) {
	case Wait, Drain:
		return true
	default:
		return false
	}
}
