// Package metrics is what a coordinator tells Prometheus: where rollouts stand,
// which every replica knows; what the leader sees of the fleet and concludes
// from it; and how the replicas and their log fare.
package metrics

import (
	"context"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/serin-rollouts/serin/coordinator/control"
	"github.com/serin-rollouts/serin/coordinator/replica"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/metrics"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/trace"
)

// Sources are what a replica's metrics are read from.
type Sources struct {
	State   func() *rollout.State
	Cluster func() (replica.Cluster, error)
	Bus     *bus.Conn
	Traces  *trace.Exporter // nil: off
}

// Metrics are a coordinator's. All methods may be called from several
// goroutines; a nil one does nothing.
type Metrics struct {
	set     *metrics.Set
	traffic *traffic

	proposed, verified     *prometheus.HistogramVec
	refused, unverified    *prometheus.CounterVec
	transitions, decisions *prometheus.CounterVec

	mu      sync.Mutex
	sources Sources
	view    func(context.Context) (control.View, error) // of the leader; nil: this replica does not lead
}

// New makes the metrics of a coordinator of some version.
func New(version string) *Metrics {
	set := metrics.New("serin-coordinator", version)
	m := &Metrics{
		set: set,
		proposed: set.Histogram("serin_raft_propose_duration_seconds",
			"How long it took the leader to have a decision committed and applied, by command.", metrics.Durations(), "command"),
		refused: set.Counter("serin_raft_propose_errors_total",
			"Decisions that were not committed, or of which the leader does not know it.", "command"),
		verified: set.Histogram("serin_raft_verify_duration_seconds",
			"How long it took the leader to make sure that it leads.", metrics.Durations()),
		unverified: set.Counter("serin_raft_verify_errors_total", "Times that the leader could not make sure."),
		transitions: set.Counter("serin_coordinator_transitions_total",
			"What happened to rollouts while this replica led, by kind: the kinds of events.", "service", "kind"),
		decisions: set.Counter("serin_coordinator_verdicts_total",
			"Verdicts that this replica acted on as the leader, by outcome (pass, fail, wait) and the gate that decided; no gate: all passed.", "service", "gate", "outcome"),
	}
	m.traffic = newTraffic(set)
	m.rollouts()
	m.revisions()
	m.raft()
	m.leads()
	set.Bus(func() *bus.Conn { return m.from().Bus })
	set.Traces(func() *trace.Exporter { return m.from().Traces })
	return m
}

// Set is the metrics as a whole.
func (m *Metrics) Set() *metrics.Set { return m.set }

// Handler serves them.
func (m *Metrics) Handler() http.Handler { return m.set.Handler() }

// Watch names what is read with each page.
func (m *Metrics) Watch(s Sources) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sources = s
}

// Lead tells that this replica leads until done is called, and what the leader
// sees. What was counted of hosts in an earlier term is no beginning for it.
func (m *Metrics) Lead(view func(context.Context) (control.View, error)) (done func()) {
	if m == nil {
		return func() {}
	}
	m.traffic.begin()
	m.see(view)
	return func() { m.see(nil) }
}

// Proposed tells what became of a command, and of the rollouts by it. Errors are
// told from none on: a rate begins with the second value of a counter.
func (m *Metrics) Proposed(c rollout.Command, took time.Duration, result rollout.Result, err error) {
	name := strings.ToLower(reflect.TypeOf(c).Name())
	m.proposed.WithLabelValues(name).Observe(took.Seconds())
	refused := m.refused.WithLabelValues(name)
	if err != nil {
		refused.Inc()
		return
	}
	for _, e := range result.Events {
		m.transitions.WithLabelValues(e.Service, string(e.Kind)).Inc()
		if v := e.Verdict; v != nil {
			m.decisions.WithLabelValues(e.Service, v.Gate, v.Outcome.String()).Inc()
		}
	}
}

// Verified tells how long a leader took to make sure that it leads.
func (m *Metrics) Verified(took time.Duration, err error) {
	m.verified.WithLabelValues().Observe(took.Seconds())
	unverified := m.unverified.WithLabelValues()
	if err != nil {
		unverified.Inc()
	}
}

// Private

func (m *Metrics) see(view func(context.Context) (control.View, error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.view = view
}

func (m *Metrics) from() Sources {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sources
}

// raft adds how the replica stands in its group.
func (m *Metrics) raft() {
	leads := m.set.Reading(metrics.Gauge, "serin_raft_leader", "1 if this replica leads the group.")
	known := m.set.Reading(metrics.Gauge, "serin_raft_leader_known", "1 if this replica knows a leader.")
	term := m.set.Reading(metrics.Gauge, "serin_raft_term", "Term of the group, as this replica knows it.")
	last := m.set.Reading(metrics.Gauge, "serin_raft_last_index", "Last entry in this replica's log.")
	commit := m.set.Reading(metrics.Gauge, "serin_raft_commit_index", "Last entry that this replica knows to be committed.")
	applied := m.set.Reading(metrics.Gauge, "serin_raft_applied_index", "Last entry that this replica's state holds.")
	contact := m.set.Reading(metrics.Gauge, "serin_raft_leader_contact_seconds",
		"How long ago this replica heard of its leader; 0 if it leads, missing if it never has.")
	members := m.set.Reading(metrics.Gauge, "serin_raft_members", "Replicas of the group, by whether they have a vote (yes, no).", "vote")
	m.set.OnScrape(func(_ context.Context, page metrics.Page) {
		ask := m.from().Cluster
		if ask == nil {
			return
		}
		c, err := ask()
		if err != nil {
			return
		}
		page.Flag(leads, c.Role == "leader")
		page.Flag(known, c.Leader != "")
		page.Put(term, float64(c.Term))
		page.Put(last, float64(c.Last))
		page.Put(commit, float64(c.Commit))
		page.Put(applied, float64(c.Applied))
		if c.ContactMillis >= 0 {
			page.Put(contact, float64(c.ContactMillis)/1000)
		}
		votes := 0
		for _, member := range c.Members {
			if member.Voter {
				votes++
			}
		}
		page.Put(members, float64(votes), "yes")
		page.Put(members, float64(len(c.Members)-votes), "no")
	}, leads, known, term, last, commit, applied, contact, members)
}
