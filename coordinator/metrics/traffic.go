package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/metrics"
	"github.com/serin-rollouts/serin/internal/wire"
)

// traffic sums up what hosts report. Reports are cumulative within an
// incarnation, the sum is over all of them.
type traffic struct {
	requests, failures *prometheus.CounterVec

	mu   sync.Mutex
	last map[place]reported
}

type place struct{ host, service string }

// reported is what a host said last.
type reported struct {
	incarnation    string
	canary, stable analysis.Counts
}

func newTraffic(set *metrics.Set) *traffic {
	return &traffic{
		requests: set.Counter("serin_fleet_requests_total",
			"Requests that hosts reported to this replica while it led, by track; what passed while it did not is not in it.", "service", "track"),
		failures: set.Counter("serin_fleet_request_errors_total",
			"Requests that hosts reported to this replica while it led and that ended in a 5xx or a failed connection, by track.", "service", "track"),
		last: map[place]reported{},
	}
}

// Heard tells of a host's report.
func (m *Metrics) Heard(h wire.Health) {
	if m == nil {
		return
	}
	t := m.traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range h.Services {
		now := reported{incarnation: s.Incarnation, canary: s.CanaryCounts}
		for _, c := range s.StableCounts {
			now.stable.Requests += c.Requests
			now.stable.Errors += c.Errors
		}
		at := place{h.Host, s.Service}
		was, known := t.last[at]
		t.last[at] = now
		if !known {
			continue // some of it may have been counted by another leader
		}
		if was.incarnation != now.incarnation {
			was = reported{}
		}
		t.add(s.Service, metrics.Canary, was.canary, now.canary)
		t.add(s.Service, metrics.Stable, was.stable, now.stable)
	}
}

// Private

// begin forgets what hosts said to an earlier leader of this process.
func (t *traffic) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.last)
}

func (t *traffic) add(service, track string, was, now analysis.Counts) {
	t.requests.WithLabelValues(service, track).Add(float64(max(0, now.Requests-was.Requests)))
	t.failures.WithLabelValues(service, track).Add(float64(max(0, now.Errors-was.Errors)))
}
