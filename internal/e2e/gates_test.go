package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/localfleet"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// gated is a world whose rollouts are judged by every kind of gate.
type gated struct {
	*world

	prometheus prometheus
	page       *httptest.Server // of the URL check
	down       *atomic.Bool     // the page
}

// TestGates rolls versions out that answer users well, but for one that shows in
// one of the users' own signals alone.
func TestGates(t *testing.T) {
	t.Parallel()
	w := up(t, newFleet(t, localfleet.Config{Name: "gates", Hosts: 2, Replicas: 1}))
	g := gated{world: w, prometheus: newPrometheus(w), down: new(atomic.Bool)}
	g.page = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if g.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(g.page.Close)
	w.rollOut("install", w.file("v1", "[{weight: 100%}]"), rollout.Succeeded, nil)
	// In pairs: a HAProxy that takes turns gives each version both paths.
	var urls []string
	for _, path := range []string{"", "", "api/orders", "api/orders"} {
		for _, h := range w.serving() {
			urls = append(urls, h+path)
		}
	}
	for range 2 { // latencies take many requests
		defer w.load(urls...)()
	}
	g.good()
	for _, c := range []struct {
		gate string
		ills localfleet.Ills
		too  func(gated) // what is bad besides, from before the rollout
	}{
		{"orders", localfleet.Ills{FailedPercent: 90}, nil},
		{"queue", localfleet.Ills{Queue: 100}, nil},
		{"lag", localfleet.Ills{Lag: 60}, nil},
		{"selfcheck", localfleet.Ills{Unwell: true}, nil},
		{"shop", localfleet.Ills{}, gated.takePageDown},
		{"complaints", localfleet.Ills{}, gated.complain},
	} {
		ok := t.Run(c.gate, func(t *testing.T) {
			g := g
			g.world = w.in(t)
			g.bad(c.gate, c.ills, c.too)
		})
		if !ok {
			break
		}
	}
}

// file is a rollout file with all kinds of gates, each of which needs as little
// evidence as it can.
func (g gated) file(version string) string {
	all := fmt.Sprintf(`
  alpha: 50%%
  errors: {max_increase: 20%%, min_requests: 20}
  latency:
    - {quantile: p90, max_increase: 900%%, min_requests: 20}
    - {quantile: p50, max_increase: 900%%, min_requests: 20, route: /api/}
  saturation: {memory: 400%%, throttling: 50%%, restarts: 0}
  metrics:
    - {name: orders, bad: 'demo_orders_total{result="failed"}', total: demo_orders_total, max_increase: 20%%, min_requests: 20, every: 1s}
    - {name: queue, read: {queue: demo_queue_depth}, when: canary.max.queue <= stable.max.queue + 10, every: 1s}
    - {name: watched, observe: true, read: {queue: demo_queue_depth}, when: canary.max.queue <= stable.max.queue, every: 1s}
  prometheus:
    - name: lag
      address: http://%s
      queries: {lag: 'max(demo_payment_lag_seconds{service="$service",revision="$revision"})'}
      when: canary.lag < stable.lag + 5
      every: 1s
  checks:
    - {name: selfcheck, path: %s, every: 3s, timeout: 3s, max_increase: 30%%, min_checks: 4}
    - {name: shop, url: %q, every: 3s, timeout: 3s, when: status == 200}
  feedback: {name: complaints, kinds: [complaint], max_increase: 20%%, min_requests: 20}`,
		g.prometheus.address, localfleet.SelfCheckPath, g.page.URL)
	return strings.Replace(g.world.file(version, "[{weight: 50%}, {weight: 100%}]"), "gates: "+gates, "gates:"+all, 1) + "routing: weights\n"
}

// good: a version in which nothing is bad waits for the one source that says
// nothing, and goes on as soon as that does. Its queue is longer than stable's,
// which a gate tells that only observes.
func (g gated) good() {
	g.t.Helper()
	if err := g.Push(g.t.Context(), localfleet.Version{Tag: "longer", Ills: localfleet.Ills{Queue: 5}}); err != nil {
		g.t.Fatal(err)
	}
	g.publish("good", g.file("longer"))
	eventually(g.t, "nothing but Prometheus is waited for", func() error {
		s, err := localfleet.Ask[api.ServiceStatus](bounded(g.t, 10*time.Second), g.conn, api.GetService, service)
		switch {
		case err != nil:
			return err
		case s.Rollout == nil || s.Rollout.To != "longer":
			return errors.New("it has not begun")
		case s.Rollout.Verdict == nil:
			return errors.New(s.Rollout.Waiting)
		}
		return passedBut("lag", *s.Rollout.Verdict)
	})
	g.prometheus.run(g.t)
	events := g.follow("good", nil)
	last := events[len(events)-1]
	if last.Phase != rollout.Succeeded {
		g.t.Fatalf("ended %s: %s", last.Phase, last.Text)
	}
	verdicts := 0
	for _, e := range events {
		if e.Verdict == nil {
			continue
		}
		verdicts++
		if err := passedBut("", api.VerdictOf(*e.Verdict)); err != nil {
			g.t.Errorf("%s: %v", e.Text, err)
		}
	}
	if verdicts != 2 {
		g.t.Errorf("%d events tell what the gates say, want one for each step", verdicts)
	}
}

// passedBut wants all gates passed but for one, which has nothing to say yet,
// and the one that only observes, which fails.
func passedBut(waits string, v api.Verdict) error {
	const gates = 11
	if len(v.Gates) != gates {
		return fmt.Errorf("%d gates say something, want %d", len(v.Gates), gates)
	}
	for _, f := range v.Gates {
		want := api.OutcomePass
		switch f.Name {
		case waits:
			want = api.OutcomeWait
		case "watched":
			want = api.OutcomeFail
		}
		if f.Outcome != want {
			return fmt.Errorf("%s: %s, want %s: %s", f.Name, f.Outcome, want, f.Reason)
		}
	}
	return nil
}

// bad: a version that is bad in one way is taken back, by the gate that sees it.
func (g gated) bad(gate string, ills localfleet.Ills, too func(gated)) {
	g.t.Helper()
	if err := g.Push(g.t.Context(), localfleet.Version{Tag: "bad-" + gate, Ills: ills}); err != nil {
		g.t.Fatal(err)
	}
	defer g.down.Store(false)
	if too != nil {
		too(g)
	}
	events := g.rollOut("bad-"+gate, g.file("bad-"+gate), rollout.RolledBack, nil)
	for _, e := range events {
		if e.Kind != rollout.KindRollingBack {
			continue
		}
		if e.Cause != rollout.CauseGate || e.Verdict == nil || e.Verdict.Gate != gate {
			g.t.Errorf("goes back for %s: %q\n%+v", e.Cause, e.Text, e.Verdict)
		}
		if e.Step != 1 {
			g.t.Errorf("found at step %d", e.Step)
		}
	}
}

// takePageDown lets the URL check fail.
func (g gated) takePageDown() { g.down.Store(true) }

// complain says that the new version is bad, once for some of its requests,
// until the rollout is over.
func (g gated) complain() {
	said, err := json.Marshal(api.Feedback{Revision: "bad-complaints", Kind: "complaint", Count: 40})
	if err != nil {
		g.t.Error(err)
	}
	ctx, stop := context.WithCancel(g.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if err := g.conn.Publish(bus.FeedbackSubject(service), said); err != nil {
				g.t.Error(err)
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(500 * time.Millisecond):
			}
		}
	}()
	g.t.Cleanup(func() { stop(); <-ended })
}
