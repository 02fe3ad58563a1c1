package metrics

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/serin-rollouts/serin/coordinator/control"
	"github.com/serin-rollouts/serin/coordinator/replica"
	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/latency"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// state is one with a rollout at its second step and a service that rests.
func state() *rollout.State {
	hosts := []string{"web-1", "web-2", "web-3", "web-4"}
	spec := rollout.Spec{Service: "shop", Steps: []rollout.Step{
		{Hosts: rollout.HostCount{Count: 1}, Weight: 500}, {Hosts: rollout.HostCount{Share: rollout.Full / 2}, Weight: 2500},
	}}
	return &rollout.State{EventSeq: 12, Frozen: map[string]rollout.Frozen{"shop": {Service: "shop", By: "ann"}}, Outbox: make([]rollout.Event, 2), Services: map[string]*rollout.Service{
		"shop": {Name: "shop", Number: 3, Stable: &rollout.Revision{ID: "r1", Name: "shop:1.4.0"}, Active: &rollout.Rollout{
			ID: "shop-3", Service: "shop", Spec: spec, From: &rollout.Revision{ID: "r1"}, To: rollout.Revision{ID: "r2"},
			Hosts: hosts, Lost: []string{"web-9"}, Phase: rollout.Progressing, Step: 1, Started: 1_700_000_000_500,
		}},
		"cart": {Name: "cart", Number: 1, History: []rollout.Rollout{{ID: "cart-1", Phase: rollout.RolledBack}}},
	}}
}

// view is what a leader sees of it.
func view() control.View {
	times := latency.New()
	for range 1000 {
		times.Add(40_000)
	}
	report := wire.ServiceHealth{Service: "shop", Stable: "r1", Canary: "r2", Latencies: []analysis.Latency{
		{Canary: true, Requests: 1000, Lines: 1000, Sketch: times.Encode()},
	}}
	return control.View{
		Hosts: []control.Host{
			{Health: wire.Health{Host: "web-1", Services: []wire.ServiceHealth{report}}, Live: true},
			{Health: wire.Health{Host: "web-2"}, Live: true},
			{Health: wire.Health{Host: "web-3"}},
		},
		Dropped: 4,
		Evidence: rollout.Evidence{"shop": {Verdict: analysis.Verdict{
			Needed: 320, Canary: analysis.Counts{Requests: 700, Errors: 9}, Stable: analysis.Counts{Requests: 7000, Errors: 2},
			Findings: []analysis.Finding{{Gate: "errors", Outcome: analysis.Wait}, {Gate: "latency-p99", Outcome: analysis.Pass}},
		}}},
	}
}

func cluster() (replica.Cluster, error) {
	return replica.Cluster{
		ID: "c1", Role: "leader", Leader: "c1", Term: 5, Last: 90, Commit: 89, Applied: 88,
		Members: []replica.Member{{ID: "c1", Voter: true}, {ID: "c2", Voter: true}, {ID: "c3"}},
	}, nil
}

// full returns a leader's metrics with every series that there can be.
func full() *Metrics {
	m := New("1.2.3")
	m.Watch(Sources{State: state, Cluster: cluster})
	m.Lead(func(context.Context) (control.View, error) { return view(), nil })
	m.Proposed(rollout.RollBack{}, 30*time.Millisecond, rollout.Result{Events: []rollout.Event{
		{Service: "shop", Kind: rollout.KindRollingBack, Verdict: &analysis.Verdict{Outcome: analysis.Fail, Gate: "errors"}},
	}}, nil)
	m.Proposed(rollout.Advance{}, time.Second, rollout.Result{}, errors.New("no majority"))
	m.Verified(time.Millisecond, nil)
	m.Verified(time.Second, errors.New("no majority"))
	m.Heard(report("x", 10, 1, 100))
	m.Heard(report("x", 30, 2, 300))
	return m
}

func report(incarnation string, canary, failed, stable int64) wire.Health {
	return wire.Health{Host: "web-1", Services: []wire.ServiceHealth{{
		Service: "shop", Incarnation: incarnation, CanaryCounts: analysis.Counts{Requests: canary, Errors: failed},
		StableCounts: map[string]analysis.Counts{"a1": {Requests: stable / 2}, "a2": {Requests: stable - stable/2}},
	}}}
}

func page(t *testing.T, m *Metrics) string {
	t.Helper()
	page := httptest.NewRecorder()
	m.Handler().ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	return page.Body.String()
}

func want(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("%s is missing in\n%s", line, text)
		}
	}
}

func TestPage(t *testing.T) {
	want(t, page(t, full()),
		`serin_rollout_phase{phase="Progressing",service="shop"} 1`, `serin_rollout_phase{phase="Paused",service="shop"} 0`,
		`serin_service_frozen{service="shop"} 1`, `serin_service_frozen{service="cart"} 0`,
		`serin_rollout_phase{phase="RolledBack",service="cart"} 1`, `serin_rollout_number{service="shop"} 3`,
		`serin_rollout_step{service="shop"} 2`, `serin_rollout_steps{service="shop"} 2`, `serin_rollout_step{service="cart"} 0`,
		`serin_rollout_weight_ratio{service="shop"} 0.25`, `serin_rollout_weight_ratio{service="cart"} 0`,
		`serin_rollout_hosts{service="shop",state="all"} 4`, `serin_rollout_hosts{service="shop",state="wave"} 2`,
		`serin_rollout_hosts{service="shop",state="lost"} 1`, `serin_rollout_start_timestamp_seconds{service="shop"} 1.7000000005e+09`,
		`serin_rollout_revision_info{revision="r1",service="shop",track="stable",version="1.4.0"} 1`,
		`serin_rollout_revision_info{revision="r2",service="shop",track="canary",version="r2"} 1`,
		`serin_coordinator_events_total 12`, `serin_coordinator_outbox_events 2`,
		`serin_fleet_hosts{state="live"} 2`, `serin_fleet_hosts{state="silent"} 1`, `serin_coordinator_dropped_reports_total 4`,
		`serin_rollout_evidence_requests{service="shop",track="canary"} 700`,
		`serin_rollout_evidence_errors{service="shop",track="stable"} 2`, `serin_rollout_requests_needed{service="shop"} 320`,
		`serin_rollout_gate_verdict{gate="errors",outcome="wait",service="shop"} 1`,
		`serin_rollout_gate_verdict{gate="latency-p99",outcome="fail",service="shop"} 0`,
		`serin_fleet_request_duration_seconds_count{service="shop",track="canary"} 1000`,
		`serin_fleet_requests_total{service="shop",track="canary"} 20`, `serin_fleet_requests_total{service="shop",track="stable"} 200`,
		`serin_fleet_request_errors_total{service="shop",track="canary"} 1`,
		`serin_coordinator_transitions_total{kind="rollingback",service="shop"} 1`,
		`serin_coordinator_verdicts_total{gate="errors",outcome="fail",service="shop"} 1`,
		`serin_raft_propose_duration_seconds_bucket{command="rollback",le="0.05"} 1`,
		`serin_raft_propose_errors_total{command="rollback"} 0`, `serin_raft_propose_errors_total{command="advance"} 1`, `serin_raft_verify_errors_total 1`,
		`serin_raft_verify_duration_seconds_count 2`, `serin_raft_leader 1`, `serin_raft_leader_known 1`, `serin_raft_term 5`,
		`serin_raft_last_index 90`, `serin_raft_commit_index 89`, `serin_raft_applied_index 88`,
		`serin_raft_leader_contact_seconds 0`, `serin_raft_members{vote="yes"} 2`, `serin_raft_members{vote="no"} 1`,
		`serin_nats_connected 0`)
}

// A replica that does not lead tells what it knows, and nothing of the fleet.
func TestFollowersPage(t *testing.T) {
	m := New("1")
	if text := page(t, m); !strings.Contains(text, "serin_build_info") || strings.Contains(text, "serin_raft_leader") {
		t.Errorf("before there is a replica:\n%s", text)
	}
	m.Watch(Sources{State: state, Cluster: cluster})
	m.Lead(func(context.Context) (control.View, error) { return view(), nil })()
	text := page(t, m)
	want(t, text, `serin_rollout_step{service="shop"} 2`)
	if strings.Contains(text, "serin_fleet_hosts") || strings.Contains(text, "loop_wait") {
		t.Errorf("it leads no more:\n%s", text)
	}
	m.Lead(func(context.Context) (control.View, error) { return control.View{}, context.DeadlineExceeded })
	if text := page(t, m); strings.Contains(text, "serin_fleet_hosts") || !strings.Contains(text, "serin_rollout_step") {
		t.Errorf("its loop does not answer:\n%s", text)
	}
}

// Requests are counted once: over terms, new incarnations, and reports that fall.
func TestTrafficIsCountedOnce(t *testing.T) {
	m := New("1")
	lead := func() { m.Lead(func(context.Context) (control.View, error) { return control.View{}, nil }) }
	lead()
	m.Heard(report("x", 1000, 50, 0)) // counted before this term, perhaps
	m.Heard(report("x", 1010, 51, 8))
	m.Heard(report("x", 1010, 51, 8))
	want(t, page(t, m), `serin_fleet_requests_total{service="shop",track="canary"} 10`, `serin_fleet_request_errors_total{service="shop",track="canary"} 1`)
	m.Heard(report("y", 5, 1, 2)) // the agent has started anew
	want(t, page(t, m), `serin_fleet_requests_total{service="shop",track="canary"} 15`, `serin_fleet_requests_total{service="shop",track="stable"} 10`)
	lead()
	m.Heard(report("y", 900, 1, 2)) // another leader was there meanwhile
	m.Heard(report("y", 899, 1, 2))
	want(t, page(t, m), `serin_fleet_requests_total{service="shop",track="canary"} 15`)
	var none *Metrics
	none.Heard(report("x", 1, 1, 1))
	none.Lead(nil)()
}

func TestNames(t *testing.T) {
	problems, err := testutil.GatherAndLint(full().Set().Registry())
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
