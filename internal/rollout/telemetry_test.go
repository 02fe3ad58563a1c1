package rollout_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestTelemetry follows what hosts are asked to gather: nothing at an install, what the gates read
// from before the canary starts until the rollout is decided, and nothing more from there on.
func TestTelemetry(t *testing.T) {
	gates := rollout.Gates{
		Latency: []rollout.LatencyGate{{Quantile: 9900, MaxIncrease: 2000, Route: "/api/"}},
		Metrics: []rollout.MetricsGate{
			{Conduct: rollout.Conduct{Name: "orders"}, Bad: "failed", Total: "orders"},
			{Conduct: rollout.Conduct{Name: "queue"}, Path: "/m", Port: 9100, Read: map[string]string{"q": "queue"}, Condition: rollout.Condition{When: "canary.q < 5", Every: time.Second}},
		},
		Checks: []rollout.CheckGate{
			{Conduct: rollout.Conduct{Name: "login"}, Path: "/login"},
			{Conduct: rollout.Conduct{Name: "shop"}, URL: "http://shop", Condition: rollout.Condition{When: "status == 200"}},
		},
	}
	want := &rollout.Telemetry{
		Routes: []string{"/api/"},
		Metrics: []rollout.Scrape{
			{Gate: "orders", Path: "/metrics", Bad: "failed", Total: "orders", Every: 10 * time.Second},
			{Gate: "queue", Path: "/m", Port: 9100, Read: map[string]string{"q": "queue"}, Every: time.Second},
		},
		Checks: []rollout.Probe{{Gate: "login", Path: "/login", Every: 5 * time.Second, Timeout: 2 * time.Second}},
	}
	f := newTelemetryFleet(t, gates)
	f.submit("one")
	f.expect("an install is prepared", nil)
	f.apply(rollout.Advance{Target: f.target()})
	f.expect("an install runs", nil)
	f.apply(rollout.Promote{Target: f.target()})
	f.apply(rollout.Finish{Target: f.target()})
	f.expect("nothing runs", nil)
	f.submit("two")
	f.expect("preparing", want)
	f.apply(rollout.Advance{Target: f.target()})
	f.expect("progressing", want)
	f.apply(rollout.Pause{Target: f.target()})
	f.expect("paused", want)
	f.apply(rollout.RollBack{Target: f.target()})
	f.expect("going back", nil)
	f.apply(rollout.Finish{Target: f.target()})

	f.gates = rollout.Gates{Checks: gates.Checks[1:], Routes: []string{"/api/"}}
	f.submit("three")
	f.expect("nothing that a host can tell", nil)
}

// telemetryFleet is one service on one host.
type telemetryFleet struct {
	*testing.T

	gates rollout.Gates
	state *rollout.State
}

func newTelemetryFleet(t *testing.T, gates rollout.Gates) *telemetryFleet {
	t.Helper()
	return &telemetryFleet{T: t, gates: gates, state: rollout.NewState()}
}

func (f *telemetryFleet) apply(c rollout.Command) {
	f.Helper()
	if r := f.state.Apply(f.state.Index+1, rollout.Entry{Command: c}); r.Refused != nil {
		f.Fatal(r.Refused)
	}
}

func (f *telemetryFleet) submit(revision string) {
	f.Helper()
	spec := rollout.Spec{
		Service: "web", Image: "web:1", Container: rollout.Container{Port: 80}, Gates: f.gates,
		Steps: []rollout.Step{{Hosts: rollout.HostCount{Share: rollout.Full}, Weight: rollout.Full}},
	}.WithDefaults()
	if problem := spec.Validate(); problem != nil {
		f.Fatal(problem)
	}
	f.apply(rollout.Submit{Key: revision, Spec: spec, To: rollout.Revision{ID: revision, Image: "web@sha256:" + revision}, Hosts: []string{"web-1"}})
}

func (f *telemetryFleet) target() rollout.Target {
	svc := f.state.Services["web"]
	return rollout.Target{Service: "web", Rollout: svc.Active.ID, Epoch: svc.Epoch}
}

func (f *telemetryFleet) expect(when string, want *rollout.Telemetry) {
	f.Helper()
	a, ok := f.state.Assignment("web", "web-1", nil)
	if !ok {
		f.Fatalf("%s: the host is not assigned", when)
	}
	if diff := cmp.Diff(want, a.Telemetry); diff != "" {
		f.Errorf("%s: %s", when, diff)
	}
}
