package metrics

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/serin-rollouts/serin/internal/latency"
)

// full returns metrics in which every series there can be is there.
func full() *Metrics {
	m := New("1.2.3")
	m.Counted("shop", "canary", 100, 3)
	m.Counted("shop", "canary", 10, 0)
	times := latency.New()
	for _, micros := range []int64{800, 40_000, 40_000, 20_000_000} {
		times.Add(micros)
	}
	m.Timed("shop", "canary", times)
	m.Timed("shop", "canary", times)
	m.Did("pull", 3*time.Second, nil)
	m.Did("pull", time.Second, errors.New("no such image"))
	m.Passed("shop", 20*time.Millisecond)
	m.Lowered("shop", 4*time.Millisecond)
	m.Commanded("show stat", time.Millisecond, nil)
	m.Commanded("set map", time.Second, errors.New("hangs"))
	m.Watch(func() Sight {
		return Sight{Lease: 29 * time.Second, Services: []Service{{
			Name: "shop", Epoch: 7, Weight: 500, StableReady: 2, CanaryReady: 1, Settled: true, Deaths: 1,
		}}}
	}, nil)
	return m
}

func page(t *testing.T, m *Metrics) string {
	t.Helper()
	page := httptest.NewRecorder()
	m.Handler().ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	return page.Body.String()
}

func TestPage(t *testing.T) {
	text := page(t, full())
	for _, want := range []string{
		`serin_agent_requests_total{service="shop",track="canary"} 110`,
		`serin_agent_request_errors_total{service="shop",track="canary"} 3`,
		`serin_agent_request_duration_seconds_bucket{service="shop",track="canary",le="0.001"} 2`,
		`serin_agent_request_duration_seconds_bucket{service="shop",track="canary",le="0.05"} 6`,
		`serin_agent_request_duration_seconds_bucket{service="shop",track="canary",le="10"} 6`,
		`serin_agent_request_duration_seconds_bucket{service="shop",track="canary",le="+Inf"} 8`,
		`serin_agent_request_duration_seconds_count{service="shop",track="canary"} 8`,
		`serin_agent_operations_total{operation="pull"} 2`,
		`serin_agent_operation_errors_total{operation="pull"} 1`,
		`serin_agent_operation_duration_seconds_bucket{operation="pull",le="1"} 1`,
		`serin_agent_reconcile_duration_seconds_count{service="shop"} 1`,
		`serin_agent_reflex_duration_seconds_bucket{service="shop",le="0.005"} 1`,
		`serin_agent_haproxy_command_errors_total{command="set map"} 1`,
		`serin_agent_haproxy_command_errors_total{command="show stat"} 0`,
		`serin_agent_haproxy_command_duration_seconds_count{command="show stat"} 1`,
		`serin_agent_lease_seconds 29`, `serin_agent_epoch{service="shop"} 7`,
		`serin_agent_weight_ratio{service="shop"} 0.05`,
		`serin_agent_containers_ready{service="shop",track="stable"} 2`,
		`serin_agent_settled{service="shop"} 1`, `serin_agent_troubled{service="shop"} 0`,
		`serin_agent_canary_deaths{service="shop"} 1`, `serin_nats_connected 0`,
		`program="serin-agent",version="1.2.3"} 1`,
	} {
		if !strings.Contains(text, want+"\n") && !strings.Contains(text, want) {
			t.Errorf("%s is missing in\n%s", want, text)
		}
	}
}

// Before there is anything to tell, the page is there all the same.
func TestEmptyPage(t *testing.T) {
	text := page(t, New("1"))
	if !strings.Contains(text, "serin_build_info") || strings.Contains(text, "serin_agent_lease_seconds") {
		t.Errorf("page:\n%s", text)
	}
}

func TestNames(t *testing.T) {
	problems, err := testutil.GatherAndLint(full().Set().Registry())
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
