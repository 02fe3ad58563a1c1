// Package metrics is what an agent tells Prometheus: what users got from each
// track on this host, what the agent did and how long it took, and how the host
// stands.
package metrics

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/metrics"
	"github.com/serin-rollouts/serin/internal/trace"
)

// Sight is how the host stands at one moment.
type Sight struct {
	// Lease is how much longer the host goes on without hearing a leader; not
	// positive: it does no more.
	Lease    time.Duration
	Services []Service
}

// Service is one service on the host.
type Service struct {
	Name        string
	Epoch       uint64 // of the assignment that is worked on
	Weight      int    // canary's share in force, basis points
	StableReady int    // containers that get requests
	CanaryReady int
	Settled     bool // the host is as assigned
	Troubled    bool // something keeps it from that
	Deaths      int  // canary containers that died by themselves in this rollout
}

// Metrics are an agent's. All methods may be called from several goroutines.
type Metrics struct {
	set   *metrics.Set
	times *times

	requests, failures   *prometheus.CounterVec
	operations, failed   *prometheus.CounterVec
	took, passes, lowers *prometheus.HistogramVec
	commands             *prometheus.HistogramVec
	refused              *prometheus.CounterVec

	sight atomic.Pointer[func() Sight]
	conn  atomic.Pointer[bus.Conn]

	traces atomic.Pointer[trace.Exporter]
}

// New makes the metrics of an agent of some version.
func New(version string) *Metrics {
	set := metrics.New("serin-agent", version)
	m := &Metrics{
		set: set,
		requests: set.Counter("serin_agent_requests_total",
			"Requests that HAProxy gave to containers, by track.", "service", "track"),
		failures: set.Counter("serin_agent_request_errors_total",
			"Requests that HAProxy gave to containers and that ended in a 5xx or a failed connection, by track; those too that another track answered instead.", "service", "track"),
		operations: set.Counter("serin_agent_operations_total",
			"Operations on the host, by kind, those that failed too.", "operation"),
		failed: set.Counter("serin_agent_operation_errors_total",
			"Operations that failed. They are tried again.", "operation"),
		took: set.Histogram("serin_agent_operation_duration_seconds",
			"How long operations took, by kind.", metrics.Durations(), "operation"),
		passes: set.Histogram("serin_agent_reconcile_duration_seconds",
			"How long one pass took: a look at Docker and HAProxy, a decision, and at most one operation.", metrics.Durations(), "service"),
		lowers: set.Histogram("serin_agent_reflex_duration_seconds",
			"How long it took to lower a canary at once: on a broadcast, a death, or a lost lease.", metrics.Durations(), "service"),
		commands: set.Histogram("serin_agent_haproxy_command_duration_seconds",
			"How long HAProxy took to answer on its socket, by the first command of an exchange.", metrics.Durations(), "command"),
		refused: set.Counter("serin_agent_haproxy_command_errors_total",
			"Exchanges with HAProxy that failed.", "command"),
	}
	m.times = newTimes(set)
	m.states()
	set.Bus(m.conn.Load)
	set.Traces(m.traces.Load)
	return m
}

// Set is the metrics as a whole.
func (m *Metrics) Set() *metrics.Set { return m.set }

// Handler serves them.
func (m *Metrics) Handler() http.Handler { return m.set.Handler() }

// Watch names what tells how the host stands, and the connection to the bus.
func (m *Metrics) Watch(sight func() Sight, conn *bus.Conn) {
	m.sight.Store(&sight)
	m.conn.Store(conn)
}

// Trace names what exports traces; nil: they are off.
func (m *Metrics) Trace(x *trace.Exporter) { m.traces.Store(x) }

// Counted tells of requests that a track of a service got, and how many of them
// were errors.
func (m *Metrics) Counted(service, track string, requests, errors int64) {
	m.requests.WithLabelValues(service, track).Add(float64(max(0, requests)))
	m.failures.WithLabelValues(service, track).Add(float64(max(0, errors)))
}

// Did tells of an operation. Errors are told from none on: a rate begins with the
// second value of a counter.
func (m *Metrics) Did(operation string, took time.Duration, err error) {
	m.operations.WithLabelValues(operation).Inc()
	m.took.WithLabelValues(operation).Observe(took.Seconds())
	failed := m.failed.WithLabelValues(operation)
	if err != nil {
		failed.Inc()
	}
}

// Passed tells of one pass of a service's loop.
func (m *Metrics) Passed(service string, took time.Duration) {
	m.passes.WithLabelValues(service).Observe(took.Seconds())
}

// Lowered tells that a canary was lowered at once.
func (m *Metrics) Lowered(service string, took time.Duration) {
	m.lowers.WithLabelValues(service).Observe(took.Seconds())
}

// Commanded tells of an exchange with HAProxy.
func (m *Metrics) Commanded(command string, took time.Duration, err error) {
	m.commands.WithLabelValues(command).Observe(took.Seconds())
	refused := m.refused.WithLabelValues(command)
	if err != nil {
		refused.Inc()
	}
}

// Private

// states adds what is read from the host with each page.
func (m *Metrics) states() {
	lease := m.set.Reading(metrics.Gauge, "serin_agent_lease_seconds",
		"How much longer canaries get traffic without a sign of life from a leader; not positive: they get none.")
	epoch := m.set.Reading(metrics.Gauge, "serin_agent_epoch", "Epoch of the assignment that is worked on.", "service")
	weight := m.set.Reading(metrics.Gauge, "serin_agent_weight_ratio", "The canary's share of this host's traffic that is in force, 0 to 1.", "service")
	ready := m.set.Reading(metrics.Gauge, "serin_agent_containers_ready", "Containers that get requests, by track.", "service", "track")
	settled := m.set.Reading(metrics.Gauge, "serin_agent_settled", "1 if the host is as assigned.", "service")
	troubled := m.set.Reading(metrics.Gauge, "serin_agent_troubled", "1 if something keeps the host from what is assigned; serin hosts says what.", "service")
	deaths := m.set.Reading(metrics.Gauge, "serin_agent_canary_deaths", "Canary containers that died by themselves in the rollout in flight.", "service")
	m.set.OnScrape(func(_ context.Context, page metrics.Page) {
		sight := m.sight.Load()
		if sight == nil {
			return
		}
		now := (*sight)()
		page.Put(lease, now.Lease.Seconds())
		for _, s := range now.Services {
			page.Put(epoch, float64(s.Epoch), s.Name)
			page.Put(weight, float64(s.Weight)/10_000, s.Name)
			page.Put(ready, float64(s.StableReady), s.Name, metrics.Stable)
			page.Put(ready, float64(s.CanaryReady), s.Name, metrics.Canary)
			page.Flag(settled, s.Settled, s.Name)
			page.Flag(troubled, s.Troubled, s.Name)
			page.Put(deaths, float64(s.Deaths), s.Name)
		}
	}, lease, epoch, weight, ready, settled, troubled, deaths)
}
