package nemesis

import (
	"context"
	"time"

	"github.com/serin-rollouts/serin/chaos/cell"
)

// slowSync is by how much each sync of a slow disk is late.
const slowSync = 150 * time.Millisecond

// Private

func diskFull(choose node) func(*Nemesis) fault {
	const limit = 12 * time.Second
	return func(n *Nemesis) fault {
		victim := choose(n)
		return fault{
			targets: []string{victim.Name}, hold: n.upTo(limit),
			begin: func(context.Context) error { return victim.FillDisk() },
			mend:  func(context.Context) error { return victim.FreeDisk() },
		}
	}
}

// badSync makes the syncs of a program so. One that ends by it is started again
// on a good disk.
func badSync(choose node, program string, bad cell.Sync) func(*Nemesis) fault {
	const limit = 12 * time.Second
	return func(n *Nemesis) fault {
		victim := choose(n)
		set := func(s cell.Sync) func(context.Context) error {
			return func(context.Context) error { return unlessEnded(victim.SetSync(program, s)) }
		}
		return fault{targets: []string{victim.Name}, hold: n.upTo(limit), begin: set(bad), mend: set(cell.Sync{})}
	}
}

// skew puts a program's wall clock wrong, forwards or backwards, and right again.
func skew(choose node, program string) func(*Nemesis) fault {
	const (
		limit = 12 * time.Second
		most  = 24 * time.Hour
	)
	return func(n *Nemesis) fault {
		victim := choose(n)
		by := n.upTo(most)
		if n.Chance.IntN(2) == 0 {
			by = -by
		}
		set := func(by time.Duration) func(context.Context) error {
			return func(context.Context) error { return unlessEnded(victim.Skew(program, by)) }
		}
		return fault{targets: []string{victim.Name}, hold: n.upTo(limit), begin: set(by), mend: set(0)}
	}
}
