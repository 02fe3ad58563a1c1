// Package nemesis breaks a fleet: each kind of fault by itself or several at
// once, chosen by a seed, and mends what it broke.
package nemesis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serin-rollouts/serin/chaos/fleet"
	"github.com/serin-rollouts/serin/chaos/history"
)

// Kind is one way to break a fleet.
type Kind struct {
	Name string
	// Says is what it does, in words.
	Says string
	// Users says that users of the targets may get no answer, whatever serin does.
	Users bool
	// OwnBus says that the fleet has to have a NATS server of its own.
	OwnBus bool

	draw func(*Nemesis) fault
}

// Mix is the name of all kinds together.
const Mix = "mix"

// Find returns the kinds that are named or, for Mix, all that such a fleet can
// be broken by.
func Find(names string, ownBus bool) ([]Kind, error) {
	all := Kinds()
	if names == Mix {
		return slices.DeleteFunc(all, func(k Kind) bool { return k.OwnBus && !ownBus }), nil
	}
	var chosen []Kind
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(k Kind) bool { return k.Name == name })
		if i < 0 {
			var known []string
			for _, k := range all {
				known = append(known, k.Name)
			}
			return nil, fmt.Errorf("there is no nemesis %q; known are mix, none, %s", name, strings.Join(known, ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// Nemesis breaks one fleet.
type Nemesis struct {
	Fleet  *fleet.Fleet
	Log    *history.Log
	Chance *rand.Rand
	Kinds  []Kind
	// Whole returns when the fleet was seen whole, all of it since it was called.
	Whole func(context.Context) error
	// Calm is the longest time between two faults.
	Calm time.Duration
	Say  func(format string, args ...any)

	quorums int      // quorum-kills drawn so far
	broken  sync.Map // targets of faults that last: no node is broken twice at once
}

// Run breaks and mends until ctx ends, or count faults were made; 0 is no bound.
// When it returns everything is mended.
func (n *Nemesis) Run(ctx context.Context, count int) {
	const seldom = 4 // one fault in so many has a second one beside it
	var beside sync.WaitGroup
	defer beside.Wait()
	for i := 0; (count == 0 || i < count) && ctx.Err() == nil; i++ {
		kind := n.next(i)
		if len(n.Kinds) > 1 && n.Chance.IntN(seldom) == 0 {
			other := n.prepare(n.Kinds[n.Chance.IntN(len(n.Kinds))])
			beside.Go(func() { n.strike(ctx, other) })
		}
		n.strike(ctx, n.prepare(kind))
		beside.Wait()
		pause(ctx, time.Duration(n.Chance.Int64N(int64(n.Calm)+1)))
	}
}

// Private

// fault is one act, as it was drawn.
type fault struct {
	kind    Kind
	targets []string
	hold    time.Duration // how long it lasts
	begin   func(context.Context) error
	mend    func(context.Context) error
}

// next takes the kinds in turns, in an order that is shuffled anew each time: so
// that a run of some length has all of them.
func (n *Nemesis) next(i int) Kind {
	at := i % len(n.Kinds)
	if at == 0 {
		n.Chance.Shuffle(len(n.Kinds), func(a, b int) { n.Kinds[a], n.Kinds[b] = n.Kinds[b], n.Kinds[a] })
	}
	return n.Kinds[at]
}

func (n *Nemesis) prepare(k Kind) fault {
	f := k.draw(n)
	f.kind = k
	return f
}

// strike makes a fault, waits, mends it, and waits until the fleet is whole.
func (n *Nemesis) strike(ctx context.Context, f fault) {
	for _, target := range f.targets {
		if _, taken := n.broken.LoadOrStore(target, true); taken {
			return
		}
		defer n.broken.Delete(target)
	}
	change := n.Log.Begin(history.Fault{Kind: f.kind.Name, Targets: f.targets, Users: f.kind.Users})
	n.Say("%s %s for %s", f.kind.Name, strings.Join(f.targets, ","), f.hold.Round(10*time.Millisecond))
	note := ""
	if err := f.begin(ctx); err != nil {
		note = "begin: " + err.Error()
		change(func(h *history.Fault) { h.Missed = true })
	}
	pause(ctx, f.hold)
	// What was broken is mended, also when the run ends.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recoveryLimit)
	defer cancel()
	change(func(h *history.Fault) { h.Mending = n.Log.Now() })
	if err := f.mend(ctx); err != nil {
		note += " mend: " + err.Error()
	}
	healed := n.Log.Now()
	err := n.Whole(ctx)
	recovered := n.Log.Now()
	if err != nil {
		note += " recover: " + err.Error()
		recovered = 0
	}
	change(func(h *history.Fault) { h.Healed, h.Recovered, h.Note = healed, recovered, note })
	if note != "" {
		n.Say("%s %s:%s", f.kind.Name, strings.Join(f.targets, ","), note)
	}
}

// recoveryLimit is how long a fleet may take to be whole again.
const recoveryLimit = 2 * time.Minute

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
