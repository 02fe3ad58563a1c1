package agent

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/agent/haproxy/haproxytest"
	"github.com/serin-rollouts/serin/agent/metrics"
	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/latency"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// fataler is what testing and rapid have in common.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

// times is what a track, or a part of it, told.
type times struct {
	requests, lines int64
	size            int // of the sketches, in bytes
	sketch          *latency.Sketch
}

// timesOf merges latencies.
func timesOf(t fataler, all []analysis.Latency) times {
	t.Helper()
	sum := times{sketch: latency.New()}
	for _, l := range all {
		sum.requests += l.Requests
		sum.lines += l.Lines
		sum.size += len(l.Sketch)
		if err := sum.sketch.MergeEncoded(l.Sketch); err != nil {
			t.Fatal(err)
		}
	}
	return sum
}

// tracks tells what a report says of either track.
func tracks(t fataler, s wire.ServiceHealth) (canary, stable times) {
	t.Helper()
	track := func(yes bool) times {
		return timesOf(t, slices.DeleteFunc(slices.Clone(s.Latencies), func(l analysis.Latency) bool { return l.Canary != yes }))
	}
	return track(true), track(false)
}

// clocked is a meter with two slots, and what HAProxy shows of them.
type clocked struct {
	meter

	pid   int
	shown map[string]int64  // requests by slot
	owner map[string]string // revision by slot
}

func newClocked() *clocked {
	c := &clocked{meter: newMeter(newStopwatch()), pid: 1, shown: map[string]int64{}, owner: map[string]string{"a1": "r1", "b1": "r2"}}
	c.look()
	return c
}

func (c *clocked) look() {
	var back haproxy.Backend
	units := map[string]plan.Container{}
	for i, name := range []string{"a1", "b1"} {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 80)
		back.Slots = append(back.Slots, haproxy.Slot{Name: name, Addr: addr, State: haproxy.Ready, Counters: haproxy.Counters{Requests: c.shown[name]}})
		units[name] = plan.Container{ID: name + c.owner[name], Revision: c.owner[name], Addr: addr.String()}
	}
	c.read(c.pid, back, units)
}

// line is a request that HAProxy counts and tells of.
func (c *clocked) line(r haproxy.Record) {
	c.shown[r.Slot]++
	c.watch.record(r)
}

func answered(slot string, micros int64) haproxy.Record {
	return haproxy.Record{Slot: slot, Status: 200, Micros: micros, Termination: "--"}
}

func (c *clocked) want(t *testing.T, revision string, requests, lines, times int64) {
	t.Helper()
	l := timesOf(t, c.together(revision))
	if n := l.sketch.Count(); l.requests != requests || l.lines != lines || n != times {
		t.Errorf("%s: %d requests, %d lines, %d times; want %d, %d, %d", revision, l.requests, l.lines, n, requests, lines, times)
	}
}

func TestLinesGoWithTheSlotsOwner(t *testing.T) {
	c := newClocked()
	c.line(answered("a1", 1000))
	c.line(answered("b1", 9000))
	c.look()
	c.owner["b1"] = "r3"
	c.line(answered("b1", 9000)) // still r2's: it had the slot when one looked last
	c.look()
	c.line(answered("b1", 5000))
	c.line(answered("b1", 5000))
	c.look()
	c.want(t, "r1", 1, 1, 1)
	c.want(t, "r2", 2, 2, 2)
	c.want(t, "r3", 2, 2, 2)
	if p50, _ := timesOf(t, c.together("r3")).sketch.Quantile(0.5); p50 < 4950 || p50 > 5050 {
		t.Errorf("median of r3: %d", p50)
	}
	c.begin("shop-2", nil)
	c.line(answered("b1", 100))
	c.look()
	c.want(t, "r2", 0, 0, 0)
	c.want(t, "r3", 1, 1, 1)
}

func TestWhatIsNoLatency(t *testing.T) {
	c := newClocked()
	for _, r := range []haproxy.Record{
		{Slot: "b1", Status: 502, Micros: 1000, Termination: "SH"},
		{Slot: "b1", Status: 200, Micros: 1000, Termination: "CD"},
		{Slot: "b1", Status: 0, Micros: 1000, Termination: "--"},
		{Slot: "b1", Status: 200, Micros: -1, Termination: "--"},
		{Slot: "b1", Status: 500, Micros: 1000, Termination: "--", Want: "b1"}, // the app's answer: it counts
	} {
		c.line(r)
	}
	c.look()
	c.want(t, "r2", 5, 5, 1)

	// Redispatched: HAProxy counts an attempt at both.
	c.shown["b1"]++
	c.line(haproxy.Record{Slot: "a1", Want: "b1", Status: 200, Micros: 1000, Termination: "--"})
	c.look()
	c.want(t, "r1", 1, 1, 0)
	c.want(t, "r2", 6, 6, 1)

	c.watch.record(haproxy.Record{Want: "b1", Status: 503, Termination: "SC"}) // no server was tried
	c.watch.record(answered("b77", 1000))                                      // not a slot of ours
	c.watch.record(haproxy.Record{Slot: "a1", Want: "b77", Termination: "--"}) // nor is that
	c.shown["a1"]++
	c.look()
	c.want(t, "r1", 2, 2, 0)
	if n := len(c.watch.slots); n != 2 {
		t.Errorf("%d slots are listened to", n)
	}
}

// TestLinesOfAnotherWorker: an interval that the counts leave out is left out
// of the lines, too; so is what came before the first look.
func TestLinesOfAnotherWorker(t *testing.T) {
	c := &clocked{meter: newMeter(newStopwatch()), pid: 1, shown: map[string]int64{}, owner: map[string]string{"a1": "r1", "b1": "r2"}}
	c.line(answered("b1", 1000))
	c.look()
	c.line(answered("b1", 1000))
	c.look()
	c.want(t, "r2", 1, 1, 1)
	c.pid++
	c.shown = map[string]int64{}
	c.line(answered("b1", 1000))
	c.look()
	c.line(answered("b1", 1000))
	c.look()
	c.want(t, "r2", 2, 2, 2)
}

// TestLostLinesShow: what the log does not tell of, the counts do.
func TestLostLinesShow(t *testing.T) {
	c := newClocked()
	for i := range 100 {
		if c.shown["b1"]++; i%10 != 0 {
			c.watch.record(answered("b1", 1000))
		}
	}
	c.look()
	c.want(t, "r2", 100, 90, 90)
}

// TestLatenciesAreReported: from HAProxy's log, over TCP, to the report; also
// after the agent has run anew.
func TestLatenciesAreReported(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1, r2 := b.revision("1", 2), b.revision("2", 2)
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		b.serve(100)
		time.Sleep(3 * time.Second)
		if s := b.service(); s.Latencies != nil {
			t.Errorf("nobody asked: %+v", s.Latencies)
		}
		b.assign(b.want(6, r1, r2, 1000))
		b.settled(6)
		for range 2 {
			b.haproxy.Serve(haproxytest.Traffic{Service: shop, Requests: 1000, CanaryErrors: 10, StableMicros: 180_000, CanaryMicros: 182_000})
			s := b.until("all lines", 20*time.Second, func(s wire.ServiceHealth) bool {
				_, stable := tracks(t, s)
				return stable.lines >= 900
			})
			canary, stable := tracks(t, s)
			for name, x := range map[string]struct {
				got         times
				lines, p99  int64
				sizeAtWorst int
			}{"canary": {canary, 100, 182_000, 64}, "stable": {stable, 900, 180_000, 128}} {
				p99, _ := x.got.sketch.Quantile(0.99)
				if x.got.lines != x.lines || x.got.requests != x.lines || p99 < x.p99*99/100 || p99 > x.p99*101/100 || x.got.size > x.sizeAtWorst {
					t.Errorf("%s: %d of %d lines, p99 %d, %d bytes", name, x.got.lines, x.got.requests, p99, x.got.size)
				}
			}
			if len(s.Latencies) != 3 || len(s.StableCounts) != 2 {
				t.Errorf("of 2 stable instances and canary's sum: %+v", s.Latencies)
			}
			for _, l := range s.Latencies {
				if n, ok := s.StableCounts[l.Instance]; ok == l.Canary || !l.Canary && l.Requests != n.Requests {
					t.Errorf("instance %q is not one of the counts: %+v", l.Instance, s.StableCounts)
				}
			}
			before := s.Incarnation
			b.end()
			b.serve(10) // finds that nobody reads any more
			b.start()
			b.until("another incarnation", time.Minute, func(s wire.ServiceHealth) bool {
				_, stable := tracks(t, s)
				return s.Incarnation != before && s.Settled && stable.lines == 0
			})
			time.Sleep(3 * time.Second)
		}
	})
}

// TestTheLogIsTriedAgain: a log that cannot be followed stops nothing, and is
// tried again less and less often.
func TestTheLogIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries atomic.Int64
		a := &agent{log: zerolog.Nop(), out: outside{lines: func(context.Context, func(haproxy.Record)) error {
			tries.Add(1)
			return errors.New("address in use")
		}}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.follow(ctx) }()
		time.Sleep(10 * time.Minute)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if n := tries.Load(); n < 10 || n > 20 {
			t.Errorf("%d tries in 10 minutes", n)
		}
		if err := (&agent{}).follow(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestReportsStaySmall: many services share the room for latencies, and each
// gets its turn.
func TestReportsStaySmall(t *testing.T) {
	a := &agent{services: map[string]*service{}, began: time.Now(), leash: newLeash(startOfTime, time.Minute), log: zerolog.Nop(), started: "once", out: outside{observer: metrics.New("test")}}
	a.cfg.Host = host
	const many = 256
	for i := range many {
		s := newService(a, "s"+strconv.Itoa(i))
		c := &clocked{meter: s.meter, pid: 1, shown: map[string]int64{}, owner: map[string]string{"a1": "r1", "b1": "r2"}}
		c.begin("shop-1", nil)
		c.look()
		for k := range 20_000 { // as widely spread as can be
			c.line(answered([]string{"a1", "b1"}[k%2], int64(latency.Least+k*k/4)))
		}
		c.look()
		s.meter = c.meter
		s.post.Assigned.Service, s.post.Assigned.Rollout, s.post.Assigned.Epoch = s.name, "shop-1", 1
		s.post.Assigned.Stable, s.post.Assigned.Canary = &rollout.Revision{ID: "r1"}, &rollout.Revision{ID: "r2"}
		a.services[s.name] = s
	}
	told := map[string]bool{}
	for report := 1; len(told) < 2*many; report++ {
		h := a.health()
		data, err := wire.EncodeHealth(h)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 256<<10 || report > 20 {
			t.Fatalf("report %d has %d bytes, %d of %d told", report, len(data), len(told), 2*many)
		}
		for _, s := range h.Services {
			for _, l := range s.Latencies {
				told[s.Service+l.Instance] = true
			}
		}
	}
}

// BenchmarkRecord is one line of the log, while the counts are read as well.
func BenchmarkRecord(b *testing.B) {
	c := newClocked()
	b.ReportAllocs()
	for i := range b.N {
		if i%1000 == 0 {
			c.look() // far more often than it is done
		}
		c.watch.record(answered("b1", int64(1000+i%100_000)))
	}
}
