package agent

import (
	"context"

	"github.com/serin-rollouts/serin/agent/haproxy"
)

// Private

// residents returns how HAProxy's adapter asks whose the addresses of a host are.
func residents(docker engine, host string) func(context.Context) ([]haproxy.Resident, error) {
	return func(ctx context.Context) ([]haproxy.Resident, error) {
		ctx, cancel := context.WithTimeout(ctx, observeTimeout)
		defer cancel()
		found, err := docker.List(ctx, map[string]string{labelHost: host})
		if err != nil {
			return nil, err
		}
		var all []haproxy.Resident
		for _, c := range found {
			if addr := addressOf(c); addr.IsValid() {
				all = append(all, haproxy.Resident{Service: c.Labels[labelService], Slot: c.Labels[labelSlot], Addr: addr})
			}
		}
		return all, nil
	}
}

// evict closes the slots of all services that lead to what is not their container.
func (a *agent) evict(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, observeTimeout+proxyTimeout)
	defer cancel()
	gone, err := a.out.landlord.Evict(ctx)
	for _, r := range gone {
		a.log.Warn().Str("service", r.Service).Str("slot", r.Slot).Stringer("address", r.Addr).Msg("slot closed: its container is gone")
	}
	if len(gone) > 0 {
		a.wakeAll()
	}
	return err
}
