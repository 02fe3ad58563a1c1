package metrics

import (
	"context"

	"github.com/serin-rollouts/serin/internal/metrics"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// phases are all there are.
func phases() []rollout.Phase {
	return []rollout.Phase{
		rollout.Preparing, rollout.Progressing, rollout.Paused, rollout.Promoting, rollout.RollingBack,
		rollout.Succeeded, rollout.RolledBack, rollout.Aborted,
	}
}

// Private

// rollouts adds where each service's running rollout stands, or else its last
// one: what all replicas agree on.
func (m *Metrics) rollouts() {
	phase := m.set.Reading(metrics.Gauge, "serin_rollout_phase",
		"1 for the phase that the service's running or else last rollout is in, 0 for the others. Every replica tells it.", "service", "phase")
	number := m.set.Reading(metrics.Gauge, "serin_rollout_number", "Number of the service's last rollout.", "service")
	step := m.set.Reading(metrics.Gauge, "serin_rollout_step", "Step that the running rollout is at, from 1; 0: none runs.", "service")
	steps := m.set.Reading(metrics.Gauge, "serin_rollout_steps", "Steps of the running rollout; 0: none runs.", "service")
	weight := m.set.Reading(metrics.Gauge, "serin_rollout_weight_ratio",
		"Share of its traffic that each host of the wave is to give the canary, 0 to 1; 0: no rollout runs.", "service")
	hosts := m.set.Reading(metrics.Gauge, "serin_rollout_hosts",
		"Hosts of the running rollout: of all, those in its wave, and those that it goes on without (excluded, lost).", "service", "state")
	started := m.set.Reading(metrics.Gauge, "serin_rollout_start_timestamp_seconds", "When the running rollout started.", "service")
	frozen := m.set.Reading(metrics.Gauge, "serin_service_frozen", "1 while no rollout of the service may begin: it is frozen, or the fleet is; else 0. Every replica tells it.", "service")
	events := m.set.Reading(metrics.Counter, "serin_coordinator_events_total", "Events that there have been, as this replica knows.")
	outbox := m.set.Reading(metrics.Gauge, "serin_coordinator_outbox_events", "Events that the stream is not known to hold yet.")
	m.set.OnScrape(func(_ context.Context, page metrics.Page) {
		ask := m.from().State
		if ask == nil {
			return
		}
		s := ask()
		page.Put(events, float64(s.EventSeq))
		page.Put(outbox, float64(len(s.Outbox)))
		for name, svc := range s.Services {
			page.Put(number, float64(svc.Number), name)
			page.Flag(frozen, len(s.Freezes(name, s.Clock)) > 0, name)
			latest, ok := svc.Latest()
			for _, p := range phases() {
				page.Flag(phase, ok && latest.Phase == p, name, string(p))
			}
			r := svc.Active
			if r == nil {
				page.Put(step, 0, name)
				page.Put(steps, 0, name)
				page.Put(weight, 0, name)
				continue
			}
			page.Put(step, float64(r.Step+1), name)
			page.Put(steps, float64(len(r.Spec.Steps)), name)
			page.Put(weight, share(r), name)
			page.Put(started, float64(r.Started)/1000, name)
			page.Put(hosts, float64(len(r.Hosts)), name, "all")
			page.Put(hosts, float64(reached(r)), name, "wave")
			page.Put(hosts, float64(len(r.Excluded)), name, "excluded")
			page.Put(hosts, float64(len(r.Lost)), name, "lost")
		}
	}, phase, number, step, steps, weight, hosts, started, frozen, events, outbox)
}

// revisions adds which revision each track of a service is: what is counted by
// track is of these.
func (m *Metrics) revisions() {
	info := m.set.Reading(metrics.Gauge, "serin_rollout_revision_info",
		"1, with the revision that a track of the service is, and its version, in the labels; the canary's while a rollout runs. Every replica tells it.",
		"service", "track", "revision", "version")
	m.set.OnScrape(func(_ context.Context, page metrics.Page) {
		ask := m.from().State
		if ask == nil {
			return
		}
		for name, svc := range ask().Services {
			if r := svc.Stable; r != nil {
				page.Put(info, 1, name, metrics.Stable, r.ID, r.Version())
			}
			if svc.Active != nil {
				r := svc.Active.To
				page.Put(info, 1, name, metrics.Canary, r.ID, r.Version())
			}
		}
	}, info)
}

// share is what the hosts of the wave give the canary, from 0 to 1.
func share(r *rollout.Rollout) float64 {
	switch r.Phase {
	case rollout.Progressing, rollout.Paused:
		return float64(r.Weight()) / rollout.Full
	case rollout.Promoting, rollout.Succeeded:
		return 1
	case rollout.Preparing, rollout.RollingBack, rollout.RolledBack, rollout.Aborted:
	}
	return 0
}

// reached is how many hosts have the canary.
func reached(r *rollout.Rollout) int {
	switch r.Phase {
	case rollout.Progressing, rollout.Paused:
		return r.Wave()
	case rollout.Promoting, rollout.Succeeded:
		return len(r.Hosts)
	case rollout.Preparing, rollout.RollingBack, rollout.RolledBack, rollout.Aborted:
	}
	return 0
}
