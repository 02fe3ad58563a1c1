package coordinator

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/latency"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// latencyOf is of requests that all took as long, and were all logged.
func latencyOf(requests, micros int64) analysis.Latency {
	s := latency.New()
	for range requests {
		s.Add(micros)
	}
	return analysis.Latency{Requests: requests, Lines: requests, Sketch: s.Encode()}
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
	f := newFleet(0)
	sequence := uint64(0)
	hear := func(x wire.ServiceHealth) wire.ServiceHealth {
		sequence++
		x.Service = checkout
		h, _, ok := f.hear(wire.Health{Host: "a", Sequence: sequence, Services: []wire.ServiceHealth{{Service: "other"}, x}}, time.Second)
		if !ok {
			t.Fatal("not heard")
		}
		return h.health.Services[1]
	}
	canary := analysis.Latency{Canary: true, Requests: 10, Lines: 9}
	stable := analysis.Latency{Instance: "a1", Requests: 100, Lines: 100}
	api := analysis.Latency{Instance: "a1", Route: "/api/", Lines: 7}
	hear(wire.ServiceHealth{Incarnation: "1", Latencies: []analysis.Latency{canary, stable, api}, Usage: []analysis.Usage{{Instance: "a1"}}})
	hear(wire.ServiceHealth{Incarnation: "1"})
	got := hear(wire.ServiceHealth{Incarnation: "1", Weight: 500})
	if diff := cmp.Diff([]analysis.Latency{canary, stable, api}, got.Latencies); diff != "" || got.Weight != 500 {
		t.Error("not kept:\n" + diff)
	}
	if got.Usage != nil {
		t.Errorf("silence does not show: %+v", got.Usage)
	}
	stable.Requests, stable.Lines = 120, 119
	if diff := cmp.Diff([]analysis.Latency{stable, canary, api}, hear(wire.ServiceHealth{Incarnation: "1", Latencies: []analysis.Latency{stable}}).Latencies); diff != "" {
		t.Error("not taken over one by one:\n" + diff)
	}
	if got := hear(wire.ServiceHealth{Incarnation: "2"}); got.Latencies != nil {
		t.Errorf("kept over incarnations: %+v", got)
	}
	for i := range 2000 {
		got = hear(wire.ServiceHealth{Incarnation: "2", Latencies: []analysis.Latency{{Instance: strconv.Itoa(i)}}})
	}
	if n := len(got.Latencies); n != mostKept {
		t.Errorf("%d latencies are kept of an agent that invents instances", n)
	}
	if f.complained("a", checkout, "garbage") {
		t.Error("has complained of nothing")
	}
	hear(wire.ServiceHealth{Incarnation: "2", TelemetryProblem: "garbage"})
	if !f.complained("a", checkout, "garbage") || f.complained("a", "other", "garbage") || f.complained("b", checkout, "garbage") {
		t.Error("complaints are mixed up")
	}
}

// TestInboxKeepsTelemetry: a report that is overtaken before the loop looks, for
// there are too many, takes nothing away that the next one does not say again.
func TestInboxKeepsTelemetry(t *testing.T) {
	b := newInbox()
	sequence := uint64(0)
	say := func(x wire.ServiceHealth) {
		sequence++
		x.Service, x.Incarnation = checkout, "1"
		b.put(wire.Health{Host: "a", Sequence: sequence, Services: []wire.ServiceHealth{x}})
	}
	count := func(n int64) analysis.Signal { return analysis.Signal{Canary: analysis.Counts{Requests: n}} }
	depth, age := wire.Reading{Gate: "queue", Variable: "depth"}, wire.Reading{Gate: "queue", Variable: "age"}
	newer := depth
	newer.Canary.Containers = 1
	first := wire.ServiceHealth{
		Latencies: []analysis.Latency{{Instance: "a1", Requests: 9, Lines: 9}}, Usage: []analysis.Usage{{Instance: "a1", Memory: 1}},
		Signals: map[string]analysis.Signal{"x": count(1), "y": count(2)}, Readings: []wire.Reading{depth, age},
	}
	for range mostUnread - 1 {
		say(wire.ServiceHealth{})
	}
	say(first)
	say(wire.ServiceHealth{Signals: map[string]analysis.Signal{"x": count(3)}, Readings: []wire.Reading{newer}})
	want := wire.ServiceHealth{
		Service: checkout, Incarnation: "1", Latencies: first.Latencies, Usage: first.Usage,
		Signals: map[string]analysis.Signal{"x": count(3), "y": count(2)}, Readings: []wire.Reading{newer, age},
	}
	all := b.take()["a"]
	if diff := cmp.Diff(want, all[len(all)-1].Services[0]); len(all) != mostUnread || diff != "" {
		t.Error(diff)
	}
}
