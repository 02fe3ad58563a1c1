package metrics

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/serin-rollouts/serin/internal/bus"
)

func TestSet(t *testing.T) {
	s := New("serin-test", "1.2.3")
	s.Counter("serin_test_things_total", "Things.", "kind").WithLabelValues("good").Add(3)
	s.Histogram("serin_test_duration_seconds", "How long.", Durations()).WithLabelValues().Observe(0.3)
	gauge := s.Reading(Gauge, "serin_test_weight_ratio", "Weight.", "service")
	count := s.Reading(Counter, "serin_test_reads_total", "Reads.")
	times := s.Reading(Histogram, "serin_test_request_duration_seconds", "Requests.")
	quantiles := s.Reading(Summary, "serin_test_latency_seconds", "Latency.")
	s.OnScrape(func(_ context.Context, page Page) {
		page.Put(gauge, 0.25, "shop")
		page.Flag(gauge, true, "cart")
		page.Put(count, 7)
		page.Distribution(times, 4, 1.5, map[float64]uint64{0.1: 1, 1: 4})
		page.Quantiles(quantiles, 4, map[float64]float64{0.99: 0.8})
	}, gauge, count, times, quantiles)
	page := httptest.NewRecorder()
	s.Handler().ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	for _, want := range []string{
		`serin_build_info{go="go`, `program="serin-test",version="1.2.3"} 1`,
		`serin_test_things_total{kind="good"} 3`, `serin_test_duration_seconds_bucket{le="0.5"} 1`,
		`serin_test_weight_ratio{service="shop"} 0.25`, `serin_test_weight_ratio{service="cart"} 1`,
		"serin_test_reads_total 7", `serin_test_request_duration_seconds_bucket{le="0.1"} 1`,
		`serin_test_latency_seconds{quantile="0.99"} 0.8`, "go_goroutines ", "process_open_fds ",
	} {
		if !strings.Contains(page.Body.String(), want) {
			t.Errorf("%s is missing in\n%s", want, page.Body)
		}
	}
	problems, err := testutil.GatherAndLint(s.Registry())
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	defined := s.Definitions()
	if len(defined) != 7 || defined[0].Name != "serin_build_info" || defined[6].Kind != Gauge {
		t.Errorf("definitions: %+v", defined)
	}
}

// fakeWire is a connection that answers, or does not.
type fakeWire struct {
	stats bus.Stats
	trip  time.Duration
	err   error
}

func (f fakeWire) Stats() bus.Stats                                 { return f.stats }
func (f fakeWire) RoundTrip(context.Context) (time.Duration, error) { return f.trip, f.err }

func TestBus(t *testing.T) {
	for name, c := range map[string]struct {
		conn    wire
		want    []string
		wantNot string
	}{
		"none yet": {nil, []string{"serin_nats_connected 0"}, "round_trip"},
		"gone":     {fakeWire{stats: bus.Stats{Reconnects: 2}, err: bus.ErrNotConnected}, []string{"serin_nats_connected 0", "serin_nats_reconnects_total 2"}, "round_trip_seconds "},
		"there": {
			fakeWire{stats: bus.Stats{Connected: true, InMessages: 5, OutBytes: 70}, trip: 20 * time.Millisecond},
			[]string{"serin_nats_connected 1", `serin_nats_messages_total{direction="in"} 5`, `serin_nats_bytes_total{direction="out"} 70`, "serin_nats_round_trip_seconds 0.02"},
			"nothing",
		},
	} {
		s := New("serin-test", "1")
		s.wire(func() wire { return c.conn })
		page := httptest.NewRecorder()
		s.Handler().ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
		for _, want := range c.want {
			if !strings.Contains(page.Body.String(), want+"\n") {
				t.Errorf("%s: %s is missing in\n%s", name, want, page.Body)
			}
		}
		if strings.Contains(page.Body.String(), "\n"+c.wantNot) || strings.Contains(page.Body.String(), "\nserin_nats_"+c.wantNot) {
			t.Errorf("%s: %s is there", name, c.wantNot)
		}
	}
}
