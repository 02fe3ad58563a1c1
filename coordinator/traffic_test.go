package coordinator

import (
	"math"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/wire"
)

// TestTraffic: what hosts get is told from their counters, whatever becomes of these.
func TestTraffic(t *testing.T) {
	f := newFleet(0)
	at := time.Duration(0)
	say := func(host, incarnation string, stable, canary int64) {
		t.Helper()
		h := wire.Health{Host: host, Services: []wire.ServiceHealth{
			{Service: "search", Incarnation: "s"},
			{
				Service: checkout, Incarnation: incarnation, CanaryCounts: analysis.Counts{Requests: canary},
				StableCounts: map[string]analysis.Counts{"a": {Requests: stable / 2}, "b": {Requests: stable - stable/2}},
			},
		}}
		if _, _, ok := f.hear(h, at); !ok {
			t.Fatal("refused")
		}
	}
	both := []string{"a", "b", "never heard of"}
	expect := func(what string, want float64) {
		t.Helper()
		if got := f.traffic(checkout, both); math.Abs(got-want) > 1e-6*(1+want) {
			t.Errorf("%s: %g requests a second, want %g", what, got, want)
		}
	}
	say("a", "1", 1_000_000, 0)
	expect("heard once", 0)
	for range 10 {
		at += 5 * time.Second
		now := int64(at / time.Second)
		say("a", "1", 1_000_000+18*now, 2*now)
		say("b", "1", 10*now, 0)
	}
	expect("20 and 10 a second", 30)
	at += 5 * time.Second
	say("a", "2", 7, 0) // begun again
	say("b", "1", 3, 0) // has lost a container
	expect("counters that fell", 30)
	for range 200 {
		at += 5 * time.Second
		say("a", "2", 7, 0)
	}
	if got := f.traffic(checkout, both); got > 10.1 || got < 10 {
		t.Errorf("a service that gets nothing any more on one host: %g requests a second", got)
	}
	if got := f.traffic("search", both); got != 0 {
		t.Errorf("another service: %g requests a second", got)
	}
}
