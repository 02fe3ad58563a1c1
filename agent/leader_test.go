package agent

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// leader is played by the test: it answers every report of one host.
type leader struct {
	t    *testing.T
	host string
	conn *bus.Conn
	late sync.WaitGroup // answers under way

	mu       sync.Mutex
	last     wire.Health
	heard    int
	answers  bool // it grants licences
	lag      time.Duration
	assigned map[string]rollout.Assignment
}

func newLeader(t *testing.T, host string, conn *bus.Conn) *leader {
	t.Helper()
	l := &leader{t: t, host: host, conn: conn, answers: true, assigned: map[string]rollout.Assignment{}}
	if _, err := l.conn.Subscribe(bus.HealthSubject(host), l.onHealth); err != nil {
		t.Fatal(err)
	}
	return l
}

// onHealth is the leader: it answers each report with all assignments.
func (l *leader) onHealth(m bus.Msg) {
	h, err := wire.DecodeHealth(m.Data)
	if err != nil {
		l.t.Errorf("health: %v", err)
		return
	}
	l.mu.Lock()
	for i := range h.Services {
		l.keepTelemetry(&h.Services[i])
	}
	l.last, l.heard = h, l.heard+1
	answers, lag := l.answers, l.lag
	l.mu.Unlock()
	if !answers {
		return
	}
	if lag > 0 {
		l.late.Go(func() {
			time.Sleep(lag) // in the bubble
			l.send(h.Nonce)
		})
		return
	}
	l.send(h.Nonce)
}

// keepTelemetry fills in what was said before: not every report tells it.
func (l *leader) keepTelemetry(s *wire.ServiceHealth) {
	for _, was := range l.last.Services {
		if was.Service != s.Service || was.Incarnation != s.Incarnation {
			continue
		}
		for _, old := range was.Latencies {
			if !slices.ContainsFunc(s.Latencies, func(x analysis.Latency) bool {
				return x.Canary == old.Canary && x.Instance == old.Instance && x.Route == old.Route
			}) {
				s.Latencies = append(s.Latencies, old)
			}
		}
		if s.Signals == nil && s.Usage == nil && s.Readings == nil {
			s.Signals, s.Usage, s.Readings = was.Signals, was.Usage, was.Readings
		}
	}
}

func (l *leader) send(nonce uint64) {
	m := wire.Assign{Host: l.host, Nonce: nonce, Leader: "c1", Term: 1, Interval: time.Second, Lease: 10 * time.Second}
	l.mu.Lock()
	for _, a := range l.assigned {
		m.Assignments = append(m.Assignments, a)
	}
	l.mu.Unlock()
	data, err := wire.EncodeAssign(m)
	if err == nil {
		err = l.conn.Publish(bus.AssignSubject(l.host), data)
	}
	if err != nil && l.t.Context().Err() == nil {
		l.t.Errorf("assign: %v", err)
	}
}

// assign has the leader want this from now on, and say so at once.
func (l *leader) assign(a rollout.Assignment) {
	l.mu.Lock()
	l.assigned[a.Service] = a
	answers := l.answers
	l.mu.Unlock()
	if answers {
		l.send(0)
	}
}

func (l *leader) wave(w rollout.Wave) {
	l.t.Helper()
	data, err := wire.EncodeWave(w)
	if err == nil {
		err = l.conn.Publish(bus.StepSubject(w.Service), data)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *leader) leads(yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers = yes
}

// service is the last report's part about the shop.
func (l *leader) service() wire.ServiceHealth {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.last.Services {
		if s.Service == shop {
			return s
		}
	}
	return wire.ServiceHealth{}
}

// until waits, in the bubble's time, for what a report shall say.
func (l *leader) until(what string, limit time.Duration, ok func(wire.ServiceHealth) bool) wire.ServiceHealth {
	l.t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end) && pause(l.t.Context(), 10*time.Millisecond) == nil; {
		if s := l.service(); ok(s) {
			return s
		}
	}
	l.t.Fatalf("%s: not within %s; last report: %+v", what, limit, l.service())
	return wire.ServiceHealth{}
}

func (l *leader) settled(epoch uint64) wire.ServiceHealth {
	l.t.Helper()
	return l.until(fmt.Sprintf("settled at %d", epoch), time.Minute, func(s wire.ServiceHealth) bool { return s.Epoch == epoch && s.Settled })
}
