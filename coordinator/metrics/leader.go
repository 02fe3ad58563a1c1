package metrics

import (
	"context"
	"time"

	"github.com/serin-rollouts/serin/coordinator/control"
	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/metrics"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// viewTimeout is how long a page waits for the leader's loop.
const viewTimeout = 2 * time.Second

// seen are the readings of what a leader sees.
type seen struct {
	wait, hosts, dropped      metrics.Reading
	requests, failures, needs metrics.Reading
	gates, latency            metrics.Reading
}

// Private

// leads adds what only the leader knows.
func (m *Metrics) leads() {
	r := seen{
		wait: m.set.Reading(metrics.Gauge, "serin_coordinator_loop_wait_seconds",
			"How long the leader's loop took to answer this page; missing where this replica does not lead."),
		hosts: m.set.Reading(metrics.Gauge, "serin_fleet_hosts", "Hosts that have reported to the leader, by whether they still do (live, silent).", "state"),
		dropped: m.set.Reading(metrics.Counter, "serin_coordinator_dropped_reports_total",
			"Reports of hosts that the leader did not take: unreadable, late, or of a host too many."),
		requests: m.set.Reading(metrics.Gauge, "serin_rollout_evidence_requests",
			"Requests of the current step that the running rollout is judged by, by track.", "service", "track"),
		failures: m.set.Reading(metrics.Gauge, "serin_rollout_evidence_errors", "Requests of the current step that the running rollout is judged by and that were errors, by track.", "service", "track"),
		needs: m.set.Reading(metrics.Gauge, "serin_rollout_requests_needed",
			"About how many more canary requests a decision takes; 0: not known.", "service"),
		gates: m.set.Reading(metrics.Gauge, "serin_rollout_gate_verdict",
			"1 for what the gate of the running rollout comes to now (pass, fail, wait), 0 for the others.", "service", "gate", "outcome"),
		latency: m.set.Reading(metrics.Summary, "serin_fleet_request_duration_seconds",
			"How long requests have taken in the running rollout, where its hosts have the canary, by track; the sum is not told.", "service", "track"),
	}
	m.set.OnScrape(func(ctx context.Context, page metrics.Page) {
		m.mu.Lock()
		view, state := m.view, m.sources.State
		m.mu.Unlock()
		if view == nil || state == nil {
			return
		}
		ctx, stop := context.WithTimeout(ctx, viewTimeout)
		defer stop()
		began := time.Now()
		v, err := view(ctx)
		if err != nil {
			return
		}
		page.Put(r.wait, time.Since(began).Seconds())
		r.fill(page, state(), v)
	}, r.wait, r.hosts, r.dropped, r.requests, r.failures, r.needs, r.gates, r.latency)
}

func (r seen) fill(page metrics.Page, s *rollout.State, v control.View) {
	live := 0
	for _, h := range v.Hosts {
		if h.Live {
			live++
		}
	}
	page.Put(r.hosts, float64(live), "live")
	page.Put(r.hosts, float64(len(v.Hosts)-live), "silent")
	page.Put(r.dropped, float64(v.Dropped))
	for name, svc := range s.Services {
		if svc.Active == nil || svc.Active.Install() {
			continue
		}
		r.judged(page, name, v.Evidence[name].Verdict)
		if status := control.ServiceStatus(s, name, v); status.Rollout != nil && status.Rollout.Latency != nil {
			r.times(page, name, metrics.Canary, status.Rollout.Latency.Canary)
			r.times(page, name, metrics.Stable, status.Rollout.Latency.Stable)
		}
	}
}

// judged tells what the gates say of a rollout.
func (r seen) judged(page metrics.Page, service string, v analysis.Verdict) {
	for track, n := range map[string]analysis.Counts{metrics.Canary: v.Canary, metrics.Stable: v.Stable} {
		page.Put(r.requests, float64(n.Requests), service, track)
		page.Put(r.failures, float64(n.Errors), service, track)
	}
	page.Put(r.needs, float64(v.Needed), service)
	for _, f := range v.Findings {
		for _, outcome := range []analysis.Outcome{analysis.Wait, analysis.Pass, analysis.Fail} {
			page.Flag(r.gates, f.Outcome == outcome, service, f.Gate, outcome.String())
		}
	}
}

// times tells the quantiles that are known.
func (r seen) times(page metrics.Page, service, track string, t api.Times) {
	known := map[float64]float64{}
	for q, micros := range map[float64]api.Micros{.5: t.P50, .9: t.P90, .99: t.P99} {
		if micros > 0 {
			known[q] = float64(micros) / 1e6
		}
	}
	page.Quantiles(r.latency, uint64(max(0, t.Requests)), known, service, track)
}
