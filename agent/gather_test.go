package agent

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/agent/docker/dockertest"
	"github.com/serin-rollouts/serin/agent/haproxy/haproxytest"
	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// gated is an assignment whose gates want to know something.
func gated(a rollout.Assignment) rollout.Assignment {
	a.Telemetry = &rollout.Telemetry{
		Routes: []string{"/api/"},
		Metrics: []rollout.Scrape{
			{Gate: "orders", Path: "/metrics", Bad: `orders{result="bad"}`, Total: "orders", Every: 5 * time.Second},
			{Gate: "retries", Path: "/metrics", Bad: "retries", Every: 5 * time.Second},
			{Gate: "queue", Path: "/metrics", Port: 9100, Read: map[string]string{"depth": "depth"}, Every: 5 * time.Second},
		},
		Checks: []rollout.Probe{{Gate: "deep", Path: "/deep", Every: 2 * time.Second, Timeout: time.Second}},
	}
	return a
}

// programs answers as programs with counters do, which go on while time passes:
// canary's are bad more often.
func (b *bench) programs(canary string, unless func(c dockertest.Container, path string) (string, bool)) {
	began := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.program = func(c dockertest.Container, path string) string {
		if answer, ok := unless(c, path); ok {
			return answer
		}
		n := int64(time.Since(began) / time.Second)
		bad, depth := n, 3
		if c.Labels[labelRevision] == canary {
			bad, depth = 5*n, 7
		}
		if path == "/metrics" {
			return ok(fmt.Sprintf("orders{result=\"good\"} %d\norders{result=\"bad\"} %d\nretries %d\ndepth %d\n", 10*n-bad, bad, bad, depth))
		}
		return ok("")
	}
}

func never(dockertest.Container, string) (string, bool) { return "", false }

// TestGatesAreAnswered: from what containers and Docker say to the report.
func TestGatesAreAnswered(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1, r2 := b.revision("1", 2), b.revision("2", 2)
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		b.programs(r2.ID, never)
		time.Sleep(20 * time.Second)
		if s := b.service(); s.Signals != nil || s.Usage != nil || s.Readings != nil {
			t.Errorf("no rollout is in flight: %+v", s)
		}
		b.assign(gated(b.want(6, r1, r2, 1000)))
		b.settled(6)
		for i, c := range b.docker.Containers() {
			b.docker.SetUsage(c.ID, dockertest.Usage{Memory: uint64(20<<20 + i), Cache: 10 << 20, Periods: 100, Throttled: 7})
		}
		time.Sleep(20 * time.Second)
		b.haproxy.Serve(haproxytest.Traffic{Service: shop, Requests: 1000, Path: "/api/v1"})
		b.haproxy.Serve(haproxytest.Traffic{Service: shop, Requests: 1000})
		time.Sleep(20 * time.Second)
		s := b.service()
		if len(s.StableCounts) != 2 || len(s.Usage) != 4 {
			t.Fatalf("%+v", s)
		}
		b.wantSignals(s)
		want := []wire.Reading{{
			Gate: "queue", Variable: "depth", Canary: wire.Spread{Containers: 2, Sum: 14, Min: 7, Max: 7},
			Stable: wire.Spread{Containers: 2, Sum: 6, Min: 3, Max: 3},
		}}
		if diff := cmp.Diff(want, s.Readings); diff != "" {
			t.Error(diff)
		}
		canaries := 0
		for _, u := range s.Usage {
			if _, stable := s.StableCounts[u.Instance]; stable == u.Canary || u.Memory < 10<<20 || u.Memory > 10<<20+3 || u.Periods != 100 || u.Throttled != 7 {
				t.Errorf("%+v", u)
			}
			if u.Canary {
				canaries++
			}
		}
		byClass := map[string]int64{}
		for _, l := range s.Latencies {
			byClass[l.Route] += l.Lines
		}
		if diff := cmp.Diff(map[string]int64{"": 1000, "/api/": 1000}, byClass); diff != "" || canaries != 2 || len(s.Latencies) != 6 {
			t.Errorf("%d canaries, lines by class: %s", canaries, diff)
		}
	})
}

// wantSignals wants rates as programs count them.
func (b *bench) wantSignals(s wire.ServiceHealth) {
	b.t.Helper()
	for gate, percent := range map[string][2]int64{"orders": {50, 10}, "deep": {0, 0}} {
		signal := s.Signals[gate]
		each := map[string]analysis.Counts{"canary": signal.Canary}
		for name := range s.StableCounts {
			each[name] = signal.Stable[name]
		}
		for name, n := range each {
			want := percent[1]
			if name == "canary" {
				want = percent[0]
			}
			if n.Requests < 10 || 100*n.Errors != want*n.Requests {
				b.t.Errorf("%s of %s: %+v, want %d %%", gate, name, n, want)
			}
		}
	}
	// Without a total of its own: per request of HAProxy's.
	if n := s.Signals["retries"].Canary; n.Requests == 0 || n.Requests > s.CanaryCounts.Requests || n.Errors == 0 {
		b.t.Errorf("retries of canary: %+v of %+v", n, s.CanaryCounts)
	}
}

// TestHostileSources: whatever a container does when it is asked, its gate is
// silent, its checks are bad, and nothing else suffers.
func TestHostileSources(t *testing.T) {
	redirect := "HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	for name, x := range map[string]struct {
		answer string
		checks bool // are good all the same
	}{
		"says nothing":      {"", false},
		"breaks off":        {"HTTP/1.1 200 OK\r\nContent-Le", false},
		"is huge":           {ok(strings.Repeat("other 1\n", mostPage/8+1)), true},
		"has a huge header": {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*mostHeader), false},
		"leads elsewhere":   {redirect, true},
		"fails":             {"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", false},
		"is no page":        {ok("<html>orders"), true},
		"counts backwards":  {ok("orders -1\nretries -1\ndepth NaN\n"), true},
		"overflows":         {ok("orders 1e300\nretries +Inf\ndepth 1e300\n"), true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				r1, r2 := b.revision("1", 2), b.revision("2", 1)
				b.assign(b.want(5, r1, nil, 0))
				b.settled(5)
				b.programs(r2.ID, func(c dockertest.Container, path string) (string, bool) {
					return x.answer, path != "/healthz" && c.Labels[labelRevision] == r2.ID
				})
				b.assign(gated(b.want(6, r1, r2, 1000)))
				b.settled(6)
				time.Sleep(time.Minute)
				s := b.service()
				_, orders := s.Signals["orders"]
				_, retries := s.Signals["retries"]
				if orders || retries || len(s.Readings) != 1 || s.Readings[0].Canary != (wire.Spread{}) || s.Readings[0].Stable.Containers != 2 {
					t.Errorf("canary is not silent: %+v, %+v", s.Signals, s.Readings)
				}
				if n := s.Signals["deep"].Canary; n.Requests < 10 || (n.Errors == 0) != x.checks || !x.checks && n.Errors != n.Requests {
					t.Errorf("checks of canary: %+v", n)
				}
				for name, n := range s.Signals["deep"].Stable {
					if n.Requests < 10 || n.Errors != 0 {
						t.Errorf("checks of %s: %+v", name, n)
					}
				}
				b.assign(b.want(7, r1, nil, 0))
				began := time.Now()
				b.settled(7)
				if took := time.Since(began); took > 10*time.Second { // in the bubble
					t.Errorf("the way back took %s", took)
				}
			})
		})
	}
}

// TestSilenceEnds: a source that is silent for a while is heard again, and what
// it counted meanwhile is not lost.
func TestSilenceEnds(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1, r2 := b.revision("1", 1), b.revision("2", 1)
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		var silent atomic.Bool
		b.programs(r2.ID, func(_ dockertest.Container, path string) (string, bool) {
			return "", silent.Load() && path == "/metrics"
		})
		b.assign(gated(b.want(6, r1, r2, 1000)))
		heard := func(s wire.ServiceHealth) bool { return s.Signals["orders"].Canary.Requests > 0 }
		before := b.until("orders", time.Minute, heard).Signals["orders"].Canary
		silent.Store(true)
		b.until("silence", time.Minute, func(s wire.ServiceHealth) bool { return s.Signals["deep"].Canary.Requests > 0 && !heard(s) })
		time.Sleep(time.Minute)
		silent.Store(false)
		after := b.until("orders", time.Minute, heard).Signals["orders"].Canary
		if grown := after.Requests - before.Requests; grown < 600 {
			t.Errorf("%d orders were counted in a minute of 10 a second", grown)
		}
	})
}

// TestRestartsAreTold: a canary that dies again and again shows by its restarts,
// one that the agent stops does not.
func TestRestartsAreTold(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1, r2 := b.revision("1", 2), b.revision("2", 1)
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		b.assign(b.want(6, r1, r2, 1000))
		b.settled(6)
		kill := func(rev string, oom bool) string {
			for _, c := range b.docker.Containers() {
				if c.Labels[labelRevision] == rev && c.State == "running" {
					if oom {
						b.docker.OOM(c.ID)
					} else {
						b.docker.Die(c.ID, 1)
					}
					return nameOf(c.Labels[labelSlot], c.ID)
				}
			}
			t.Fatalf("no container of %s runs", rev)
			return ""
		}
		canary := kill(r2.ID, true)
		time.Sleep(time.Minute)
		if again := kill(r2.ID, false); again != canary {
			t.Errorf("%s became %s", canary, again)
		}
		stable := kill(r1.ID, false)
		time.Sleep(time.Minute)
		fates := map[string][2]int{}
		for _, u := range b.service().Usage {
			if u.Canary != (u.Instance == canary) {
				t.Errorf("%+v", u)
			}
			fates[u.Instance] = [2]int{u.Restarts, u.OOMs}
		}
		if fates[canary] != [2]int{2, 1} || fates[stable] != [2]int{1, 0} || len(fates) != 3 {
			t.Errorf("restarts and kills: %v", fates)
		}
		b.assign(b.want(7, r1, nil, 0))
		b.settled(7)
	})
}
