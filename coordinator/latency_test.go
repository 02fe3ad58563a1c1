package coordinator

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/latency"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// latencyOf is of requests that all took as long, and were all logged.
func latencyOf(revision string, requests, micros int64) wire.Latency {
	s := latency.New()
	for range requests {
		s.Add(micros)
	}
	return wire.Latency{Revision: revision, Requests: requests, Lines: requests, Sketch: s.Encode()}
}

// TestLatencyIsShownWhileItRolls: from reports that do not all tell it to the
// operators' API, also by another leader.
func TestLatencyIsShownWhileItRolls(t *testing.T) {
	inBubble(t, 3, func(b *bench) {
		for _, a := range b.agents {
			a.mu.Lock()
			a.logs = true
			a.mu.Unlock()
		}
		b.install()
		steps := `,"steps":[{"hosts":2,"weight":"10%","approve":true},{"hosts":"100%","weight":"100%"}]`
		id := b.must(api.Trigger{ID: "2", Spec: specText("shop/checkout:2", steps)})
		b.until(id, rollout.Paused)
		time.Sleep(time.Minute)
		b.wantLatency(true)
		b.ends["c1"]()
		b.group.elect("c3")
		b.lead("c3", 2)
		time.Sleep(30 * time.Second)
		b.wantLatency(true)
		b.verb(api.Promote, api.Command{By: "ann"})
		b.until(id, rollout.Succeeded)
		b.wantLatency(false)
	})
}

func (b *bench) wantLatency(known bool) {
	b.t.Helper()
	status, err := api.DecodeAnswer[api.ServiceStatus](b.request(bus.GetSubject(api.GetService, checkout), ""))
	if err != nil {
		b.t.Fatal(err)
	}
	l := status.Rollout.Latency
	if !known {
		if l != nil {
			b.t.Errorf("after the end: %+v", l)
		}
		return
	}
	if l == nil || l.Canary.P99.String() != "182ms" && l.Canary.P99.String() != "181ms" || l.Stable.P50 < 178_000 || l.Stable.P50 > 182_000 ||
		l.Canary.Coverage != 1_000_000 || l.Canary.Requests < 500 || l.Stable.Requests < 5000 {
		b.t.Errorf("latency: %+v", l)
	}
}

func TestFleetKeepsLatencies(t *testing.T) {
	f := newFleet()
	sequence := uint64(0)
	hear := func(x wire.ServiceHealth) wire.ServiceHealth {
		sequence++
		x.Service = checkout
		h, ok := f.hear(wire.Health{Host: "a", Sequence: sequence, Services: []wire.ServiceHealth{{Service: "other"}, x}}, time.Second)
		if !ok {
			t.Fatal("not heard")
		}
		return h.health.Services[1]
	}
	told := wire.ServiceHealth{
		Incarnation:   "1",
		CanaryLatency: wire.Latency{Revision: "r2", Requests: 10, Lines: 9}, StableLatency: wire.Latency{Revision: "r1", Requests: 100, Lines: 100},
	}
	hear(told)
	hear(wire.ServiceHealth{Incarnation: "1"})
	got := hear(wire.ServiceHealth{Incarnation: "1", Weight: 500})
	if diff := cmp.Diff(told.CanaryLatency, got.CanaryLatency) + cmp.Diff(told.StableLatency, got.StableLatency); diff != "" || got.Weight != 500 {
		t.Error("not kept:\n" + diff)
	}
	if got := hear(wire.ServiceHealth{Incarnation: "1", StableLatency: told.StableLatency}); !got.CanaryLatency.IsZero() {
		t.Errorf("kept though the canary has gone: %+v", got)
	}
	if got := hear(wire.ServiceHealth{Incarnation: "2"}); !got.StableLatency.IsZero() {
		t.Errorf("kept over incarnations: %+v", got)
	}
	if f.complained("a", checkout, "garbage") {
		t.Error("has complained of nothing")
	}
	hear(wire.ServiceHealth{Incarnation: "2", LatencyProblem: "garbage"})
	if !f.complained("a", checkout, "garbage") || f.complained("a", "other", "garbage") || f.complained("b", checkout, "garbage") {
		t.Error("complaints are mixed up")
	}
}

// TestInboxKeepsLatencies: a report that is overtaken before the loop looks
// takes nothing away that the next one does not say again.
func TestInboxKeepsLatencies(t *testing.T) {
	b := newInbox()
	told := wire.Latency{Revision: "r1", Requests: 9, Lines: 9}
	b.put(wire.Health{Host: "a", Sequence: 1, Services: []wire.ServiceHealth{{Service: checkout, Incarnation: "1", StableLatency: told}}})
	b.put(wire.Health{Host: "a", Sequence: 2, Services: []wire.ServiceHealth{{Service: checkout, Incarnation: "1"}}})
	if diff := cmp.Diff(told, b.take()["a"].Services[0].StableLatency); diff != "" {
		t.Error(diff)
	}
}
