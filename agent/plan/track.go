package plan

import (
	"slices"
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	// lookAgain is how long to wait for something of which no event tells.
	lookAgain = time.Second
	// rampStep is how long a slot with a restarted container stays at each
	// quarter of its weight, while others can carry the rest.
	rampStep = 2 * time.Second
	quarters = 4
)

// track is an assigned revision, with what there is of it in its bank.
type track struct {
	rev   *rollout.Revision
	bank  Bank
	units []unit // one for each replica
}

// unit is one replica: its slot, and its container if there is one.
type unit struct {
	slot      Slot
	container *Container
}

func (p *planner) track(rev *rollout.Revision, bank Bank) track {
	t := track{rev: rev, bank: bank}
	for k := range rev.Replicas {
		name := SlotName(bank, k+1)
		t.units = append(t.units, unit{slot: p.slot(name), container: p.container(rev.ID, name)})
	}
	return t
}

func (t track) wanted() bool { return t.rev != nil }

// whole says that every replica runs and is attached.
func (t track) whole() bool {
	return !slices.ContainsFunc(t.units, func(u unit) bool { return !u.attached() })
}

// down names the first slot that HAProxy's checks find down.
func (t track) down() string {
	for _, u := range t.units {
		if !u.slot.Up {
			return u.slot.Name
		}
	}
	return ""
}

// holds reports whether c is one of the track's containers.
func (t track) holds(c Container) bool {
	return slices.ContainsFunc(t.units, func(u unit) bool { return u.container != nil && u.container.ID == c.ID })
}

func (u unit) runs() bool { return u.container != nil && u.container.State == Running }

func (u unit) attached() bool {
	return u.runs() && u.slot.Open && u.slot.Addr == u.container.Addr
}

// stableBank is where the stable revision is or, if it is not there yet, where
// it shall be: not in the bank that serves.
func (p *planner) stableBank() Bank {
	switch here := p.homes(p.a.Stable); {
	case len(here) == 1:
		return here[0]
	case len(here) == 2 && p.serves(BankB) && !p.serves(BankA):
		return BankB
	case len(here) == 2:
		return BankA
	case p.serves(BankA) && p.serves(BankB):
		// A promotion was interrupted, and neither revision is the one: the
		// bank with less to lose makes room.
		return p.weaker()
	case p.serves(BankA):
		return BankB
	case p.serves(BankB):
		return BankA
	case p.h.Split.Share > 0 && p.bankLives(p.h.Split.Bank):
		return p.h.Split.Bank.other() // all that is left is a canary
	case slices.Equal(p.homes(p.a.Canary), []Bank{BankA}):
		return BankB
	default:
		return BankA
	}
}

// homes returns the banks that hold containers of a revision.
func (p *planner) homes(rev *rollout.Revision) []Bank {
	var banks []Bank
	for _, bank := range []Bank{BankA, BankB} {
		if rev != nil && slices.ContainsFunc(p.h.Containers, func(c Container) bool {
			return c.Revision == rev.ID && BankOf(c.Slot) == bank
		}) {
			banks = append(banks, bank)
		}
	}
	return banks
}

func (p *planner) weaker() Bank {
	weight := map[Bank]int{}
	for _, s := range p.h.Slots {
		if p.lives(s) {
			weight[BankOf(s.Name)] += s.Weight
		}
	}
	if weight[BankA] < weight[BankB] {
		return BankA
	}
	return BankB
}

func (p *planner) slot(name string) Slot {
	for _, s := range p.h.Slots {
		if s.Name == name {
			return s
		}
	}
	return Slot{Name: name}
}

// container returns the revision's container for a slot, a running one first.
func (p *planner) container(rev, slot string) *Container {
	var found *Container
	for _, c := range p.h.Containers {
		if c.Revision == rev && c.Slot == slot && (found == nil || c.State == Running && found.State != Running) {
			found = &c
		}
	}
	return found
}

// lives reports whether a slot is open and points to a live container.
func (p *planner) lives(s Slot) bool {
	return s.Open && slices.ContainsFunc(p.h.Containers, func(c Container) bool {
		return c.Slot == s.Name && c.State == Running && c.Addr == s.Addr
	})
}

// serves reports whether a bank takes traffic that the split does not.
func (p *planner) serves(bank Bank) bool {
	return slices.ContainsFunc(p.h.Slots, func(s Slot) bool {
		return BankOf(s.Name) == bank && s.Weight > 0 && p.lives(s)
	})
}

// weighted reports whether a bank has open slots with a weight.
func (p *planner) weighted(bank Bank) bool {
	return slices.ContainsFunc(p.h.Slots, func(s Slot) bool {
		return BankOf(s.Name) == bank && s.Open && s.Weight > 0
	})
}

// bankLives reports whether a bank has an open slot with a live container.
func (p *planner) bankLives(bank Bank) bool {
	return slices.ContainsFunc(p.h.Slots, func(s Slot) bool {
		return BankOf(s.Name) == bank && p.lives(s)
	})
}

func (p *planner) has(image string) bool { return slices.Contains(p.h.Images, image) }
