package haproxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Resident is a container that runs: the slot that it is for, and its address.
type Resident struct {
	Service, Slot string
	Addr          netip.AddrPort
}

// Evict empties the slots of all services whose address does not belong to their
// own container, by Config.Residents, and returns them, sorted. A slot that gets
// another address meanwhile is left alone.
func (b *balancer) Evict(ctx context.Context) ([]Resident, error) {
	if b.cfg.Residents == nil {
		return nil, nil
	}
	// HAProxy first: a container that has a slot ran before it got that.
	l, err := b.look(ctx, false)
	if err != nil {
		return nil, fmt.Errorf("evict: %w", err)
	}
	v := &view{services: map[string]entry{}}
	for name, e := range b.view.Load().services {
		if v.services[name], err = b.merge(e, l); err != nil {
			return nil, fmt.Errorf("evict: %s: %w", name, err)
		}
	}
	gone, err := b.strangers(ctx, v)
	if err != nil {
		return nil, fmt.Errorf("evict: %w", err)
	}
	var errs []error
	for _, r := range gone {
		errs = append(errs, b.empty(ctx, r.Service, r.Slot, func(s server) bool { return s.addr == r.Addr }, false))
	}
	return gone, errors.Join(errs...)
}

// Private

// strangers returns what the view's slots lead to that is not their container.
func (b *balancer) strangers(ctx context.Context, v *view) ([]Resident, error) {
	there := v.attached()
	if len(there) == 0 || b.cfg.Residents == nil {
		return nil, nil
	}
	residents, err := b.cfg.Residents(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask whose the addresses are: %w", err)
	}
	return slices.DeleteFunc(there, func(r Resident) bool { return slices.Contains(residents, r) }), nil
}

// attached returns what all slots lead to, sorted.
func (v *view) attached() []Resident {
	var all []Resident
	for name, e := range v.services {
		for slot, s := range e.slots {
			if s.attached() {
				all = append(all, Resident{Service: name, Slot: slot, Addr: s.addr})
			}
		}
	}
	slices.SortFunc(all, func(x, y Resident) int {
		if c := strings.Compare(x.Service, y.Service); c != 0 {
			return c
		}
		return strings.Compare(x.Slot, y.Slot)
	})
	return all
}

// vacate empties the slots of a HAProxy that is about to start whose addresses
// belong to others: Docker may have given them away while it was gone.
func (m *Managed) vacate(ctx context.Context, next *view) error {
	gone, err := m.strangers(ctx, next)
	if err != nil {
		return err
	}
	for _, r := range gone {
		e := next.services[r.Service]
		e.slots = maps.Clone(e.slots)
		delete(e.slots, r.Slot)
		next.services[r.Service] = e
		m.cfg.Log.Warn().Str("service", r.Service).Str("slot", r.Slot).Stringer("address", r.Addr).
			Msg("HAProxy starts without a slot: its container does not have the address any more")
	}
	return nil
}
