package haproxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// promotedWeight is what Promote gives each server of the new stable bank.
	promotedWeight = 100
	// tries bounds how often a change is repeated that HAProxy took but does not
	// show: an old worker may take a command in the instant of a reload.
	tries = 3
)

// balancer is what Managed and Existing have in common.
type balancer struct {
	cfg     Config
	sock    socket
	mapPath string // of the split map; "" in an existing HAProxy

	turn    chan struct{}                                // holds one: who changes, launches or reloads
	view    atomic.Pointer[view]                         // written in turn
	persist func() error                                 // makes the view durable; called in turn
	tellOld func(ctx context.Context, commands []string) // repeats commands to workers that a reload left behind; nil if they cannot be reached
}

// change is what to send and how it must look afterwards. A phase is sent only
// if the one before was accepted, so that nothing is lowered before its
// replacement was raised.
type change struct {
	phases [][]string
	wish   []string // sent after them; that HAProxy refuses it is no failure
	done   func(e *entry) bool
	split  *Split // to remember, in weights mode
}

// Observe reads all backends in one exchange.
func (b *balancer) Observe(ctx context.Context) (Snapshot, error) {
	l, err := b.look(ctx, true)
	if err != nil {
		return Snapshot{}, fmt.Errorf("observe: %w", err)
	}
	snap := Snapshot{
		Pid: l.info.pid, Version: l.info.version, Started: l.info.started, Uptime: l.info.uptime,
		Backends: map[string]Backend{},
	}
	for name, e := range b.view.Load().services {
		e, err := b.merge(e, l)
		if err != nil {
			return Snapshot{}, fmt.Errorf("observe %s: %w", name, err)
		}
		snap.Backends[name] = b.backend(&e, l.stats)
	}
	return snap, nil
}

func (b *balancer) backend(e *entry, stats map[statKey]stat) Backend {
	out := Backend{Service: e.Name, Totals: stats[statKey{e.backend, "BACKEND"}].Totals}
	out.Split, out.Effective = e.shown()
	for _, name := range slotNames(b.cfg.Slots) {
		row, st := e.slots[name], stats[statKey{e.backend, name}]
		slot := Slot{
			Name: name, State: row.state, Weight: row.weight, Sessions: st.sessions,
			Up: row.state != Maint && !row.stopped && st.up, Counters: st.Counters,
		}
		if row.addr != placeholder {
			slot.Addr = row.addr
		}
		out.Slots = append(out.Slots, slot)
	}
	return out
}

// Attach puts a container that has proven its own readiness into an empty slot,
// with weight 0: HAProxy counts it as up at once, before its first check, and as
// one that has passed all it needs. (After "state ready" alone it would be down by
// the first check that fails.) It does nothing if the slot has that address already, and refuses with
// ErrSlotBusy if it has another one.
func (b *balancer) Attach(ctx context.Context, service, slot string, addr netip.AddrPort) error {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	if !addr.IsValid() || addr.Addr().Zone() != "" || addr.Port() == 0 {
		return fmt.Errorf("attach %s/%s: address %q is not valid", service, slot, addr)
	}
	err := b.change(ctx, service, func(e *entry) (change, error) {
		row, ok := e.slots[slot]
		if !ok {
			return change{}, ErrUnknownSlot
		}
		target := e.backend + "/" + slot
		done := func(e *entry) bool {
			s := e.slots[slot]
			return s.addr == addr && s.state != Maint && s.state != Drain
		}
		switch {
		case row.attached() && row.addr != addr:
			return change{}, fmt.Errorf("%w: %s", ErrSlotBusy, row.addr)
		case row.attached() && row.state != Drain:
			return change{done: done}, nil
		}
		return change{done: done, phases: [][]string{
			{fmt.Sprintf("set server %s addr %s port %d", target, addr.Addr(), addr.Port()), setWeight(target, 0)},
			{"set server " + target + " state ready"},
		}, wish: []string{"set server " + target + " health up"}}, nil // not where it tracks another one
	})
	if err != nil {
		return fmt.Errorf("attach %s to %s/%s: %w", addr, service, slot, err)
	}
	return nil
}

// Detach takes a slot out of use and empties it. With cutSessions the
// connections that are still open in it are cut; otherwise they go on.
func (b *balancer) Detach(ctx context.Context, service, slot string, cutSessions bool) error {
	return b.empty(ctx, service, slot, func(server) bool { return true }, cutSessions)
}

// SetWeights sets server weights, 0..256, raising before it lowers.
func (b *balancer) SetWeights(ctx context.Context, service string, weights map[string]int) error {
	err := b.change(ctx, service, func(e *entry) (change, error) {
		for slot, w := range weights {
			if _, ok := e.slots[slot]; !ok {
				return change{}, fmt.Errorf("%w: %s", ErrUnknownSlot, slot)
			}
			if w < 0 || w > maxWeight {
				return change{}, fmt.Errorf("weight %d of %s is not in 0..%d", w, slot, maxWeight)
			}
		}
		raise, lower := e.reweigh(weights)
		return change{phases: [][]string{raise, lower}, done: weighs(weights)}, nil
	})
	if err != nil {
		return fmt.Errorf("set weights of %s: %w", service, err)
	}
	return nil
}

// Promote makes a bank the stable one: its attached servers get weight 100, then
// the others 0, then the split ends. The old servers stay attached.
func (b *balancer) Promote(ctx context.Context, service, bank string) error {
	if bank != "a" && bank != "b" {
		return fmt.Errorf("promote %s: bank %q is not a or b", service, bank)
	}
	none := Split{Replicas: 1}
	err := b.change(ctx, service, func(e *entry) (change, error) {
		weights, up := e.promoted(bank)
		if up == 0 {
			return change{}, fmt.Errorf("%w: %s has none that is up", ErrNothingAttached, bank)
		}
		raise, lower := e.reweigh(weights)
		c := change{phases: [][]string{raise, lower}, split: &none, done: weighs(weights)}
		if e.Sticky {
			c.phases = append(c.phases, []string{b.setMap(e.Name, none)})
			c.done = func(e *entry) bool { return weighs(weights)(e) && e.split == none }
		}
		return c, nil
	})
	if err != nil {
		return fmt.Errorf("promote %s to bank %s: %w", service, bank, err)
	}
	return nil
}

// Private

// empty is Detach, of a slot that is as it has to be; of another it does nothing.
func (b *balancer) empty(ctx context.Context, service, slot string, is func(server) bool, cutSessions bool) error {
	err := b.change(ctx, service, func(e *entry) (change, error) {
		row, ok := e.slots[slot]
		if !ok {
			return change{}, ErrUnknownSlot
		}
		if !is(row) {
			return change{done: func(*entry) bool { return true }}, nil
		}
		target := e.backend + "/" + slot
		first := []string{"set server " + target + " state maint"}
		if cutSessions {
			first = append(first, "shutdown sessions server "+target)
		}
		return change{
			phases: [][]string{first, {
				setWeight(target, 0),
				fmt.Sprintf("set server %s addr %s port %d", target, placeholder.Addr(), placeholder.Port()),
			}},
			done: func(e *entry) bool {
				s := e.slots[slot]
				return s.state == Maint && s.addr == placeholder && s.weight == 0
			},
		}, nil
	})
	if err != nil {
		return fmt.Errorf("detach %s/%s: %w", service, slot, err)
	}
	return nil
}

// promoted returns the weights that make the bank the stable one, and how many
// of its servers are up.
func (e *entry) promoted(bank string) (weights map[string]int, up int) {
	weights = map[string]int{}
	for name, s := range e.slots {
		switch {
		case bankOf(name) != bank:
			weights[name] = 0
		case s.attached():
			weights[name] = promotedWeight
			if s.state == Ready {
				up++
			}
		}
	}
	return weights, up
}

func setWeight(target string, weight int) string {
	return fmt.Sprintf("set server %s weight %d", target, weight)
}

func (b *balancer) setMap(service string, split Split) string {
	return "set map " + b.mapPath + " " + service + " " + split.encode()
}

// reweigh returns the commands for the weights that differ, sorted by slot.
func (e *entry) reweigh(weights map[string]int) (raise, lower []string) {
	slots := make([]string, 0, len(weights))
	for slot := range weights {
		slots = append(slots, slot)
	}
	slices.Sort(slots)
	for _, slot := range slots {
		command := setWeight(e.backend+"/"+slot, weights[slot])
		switch now := e.slots[slot].weight; {
		case weights[slot] > now:
			raise = append(raise, command)
		case weights[slot] < now:
			lower = append(lower, command)
		}
	}
	return raise, lower
}

func weighs(weights map[string]int) func(*entry) bool {
	return func(e *entry) bool {
		for slot, w := range weights {
			if e.slots[slot].weight != w {
				return false
			}
		}
		return true
	}
}

// change reads the service, asks plan what to do, does it, reads back, and makes
// what it read durable. It is done when HAProxy shows it.
func (b *balancer) change(ctx context.Context, service string, plan func(*entry) (change, error)) error {
	free, err := b.take(ctx)
	if err != nil {
		return err
	}
	defer free()
	if _, err := b.entry(service); err != nil {
		return err
	}
	if err := b.refresh(ctx, service); err != nil {
		return err
	}
	var last error
	for try := range tries {
		if try > 0 {
			if err := pause(ctx); err != nil {
				return errors.Join(last, err)
			}
		}
		e, err := b.entry(service)
		if err != nil {
			return err
		}
		c, err := plan(&e)
		if err != nil {
			return err
		}
		if last = b.do(ctx, service, c); !errors.Is(last, ErrNotConverged) {
			return last
		}
	}
	return last
}

// send changes the worker that serves, and those that still end.
func (b *balancer) send(ctx context.Context, commands []string) error {
	if len(commands) == 0 {
		return nil
	}
	err := b.sock.set(ctx, commands...)
	if b.tellOld != nil {
		b.tellOld(ctx, commands)
	}
	return err
}

// do sends one change and reads back, whether it was accepted or not.
func (b *balancer) do(ctx context.Context, service string, c change) error {
	var refused error
	for _, phase := range c.phases {
		if refused = b.send(ctx, phase); refused != nil {
			break
		}
	}
	if refused == nil {
		if err := b.send(ctx, c.wish); err != nil && !isRefusal(err) {
			refused = err
		}
	}
	if err := b.refresh(ctx, service); err != nil {
		return errors.Join(refused, err)
	}
	e, err := b.entry(service)
	if err != nil {
		return err
	}
	shows := c.done(&e)
	if shows && c.split != nil {
		b.remember(service, *c.split)
	}
	if err := b.persist(); err != nil {
		return errors.Join(refused, fmt.Errorf("make durable: %w", err))
	}
	if refused == nil && !shows {
		return ErrNotConverged
	}
	return refused
}

// take waits for its turn; a launch may take its time.
func (b *balancer) take(ctx context.Context) (free func(), err error) {
	select {
	case b.turn <- struct{}{}:
		return func() { <-b.turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for what else is done to HAProxy: %w", ctx.Err())
	}
}

// pause waits a moment between two looks.
func pause(ctx context.Context) error {
	t := time.NewTimer(pollEvery)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
