package coordinator

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/heaptest"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// Bounds of what a flood may take of a leader, and of the state.
const (
	floodOutbox    = 4_096 + 100 // unconfirmed events, and those of a rollout that goes on
	floodOutcomes  = 1_024
	floodGoroutine = 3*maxRequests + 500
	floodHeap      = 128 << 20
)

// flood is how many triggers come at once.
func flood() int {
	if racing {
		return 1_000
	}
	return 10_000
}

// Ten thousand triggers come at once while a rollout runs. Each is answered by
// an event, none is lost or answered twice, what they take is bounded all the
// while, and the rollout goes on.
func TestFloodOfTriggers(t *testing.T) {
	inBubble(t, 2, func(b *bench) {
		b.install()
		id := b.must(api.Trigger{ID: "2", Spec: specText("shop/checkout:2", `,"gates":{"errors":"off"},"steps":[{"weight":"20%","hold":"1m"},{"weight":"50%","hold":"1m"},{}]`)})
		b.until(id, rollout.Progressing)
		before := heaptest.Live()
		for i := range flood() {
			header := bus.Header{"Nats-Msg-Id": {fmt.Sprintf("flood-%d", i)}}
			if err := b.conn.PublishHeader(bus.TriggerSubject(checkout), header, encodeJSON(t, api.Trigger{Image: "shop/checkout:3", ID: fmt.Sprintf("flood-%d", i)})); err != nil {
				t.Fatal(err)
			}
			if i%500 == 0 {
				b.bounded()
				time.Sleep(10 * time.Millisecond)
			}
		}
		if grown := heaptest.Live() - before; grown > floodHeap {
			t.Errorf("I14: a flood of %d triggers takes %d KiB", flood(), grown>>10)
		} else {
			t.Logf("a flood of %d triggers takes %d KiB", flood(), grown>>10)
		}
		for range 600 {
			b.bounded()
			time.Sleep(time.Second)
		}
		b.until(id, rollout.Succeeded)
		answered := map[string]int{}
		for _, e := range b.checkEvents() {
			answered[e.Key]++
		}
		for i := range flood() {
			if n := answered[keyOfID(checkout, fmt.Sprintf("flood-%d", i))]; n != 1 {
				t.Fatalf("trigger %d of the flood has %d events", i, n)
			}
		}
	})
}

// The same with nobody to take the events: what cannot be recorded is left to
// its sender, and the rollout goes on.
func TestFloodWithoutJetStream(t *testing.T) {
	inBubble(t, 2, func(b *bench) {
		b.install()
		if err := b.dropStreams(b.ctx); err != nil {
			t.Fatal(err)
		}
		b.crowd(4_000)
		id := b.must(api.Trigger{ID: "2", Spec: specText("shop/checkout:2", `,"gates":{"errors":"off"},"steps":[{"weight":"20%","hold":"5m"},{}]`)})
		b.until(id, rollout.Progressing)
		for i := range 300 {
			if err := b.conn.Publish(bus.TriggerSubject(checkout), encodeJSON(t, api.Trigger{Image: "shop/checkout:3", ID: fmt.Sprintf("flood-%d", i)})); err != nil {
				t.Fatal(err)
			}
			if i%50 == 0 { // so that most find a place
				b.bounded()
				time.Sleep(time.Millisecond)
			}
		}
		b.bounded()
		b.until(id, rollout.Succeeded)
		b.bounded()
		b.group.mu.Lock()
		defer b.group.mu.Unlock()
		if n := len(b.group.state.Outbox); n < 4_096 {
			t.Errorf("the flood was none: %d events wait", n)
		}
	})
}

// crowd has events wait for the stream.
func (b *bench) crowd(n int) {
	b.group.mu.Lock()
	defer b.group.mu.Unlock()
	s := b.group.state
	for range n {
		s.EventSeq++
		s.Outbox = append(s.Outbox, rollout.Event{Seq: s.EventSeq, Kind: rollout.KindUnchanged, Service: checkout})
	}
}

// bounded fails the test if a flood takes more than it may.
func (b *bench) bounded() {
	b.t.Helper()
	b.group.mu.Lock()
	outbox, outcomes := len(b.group.state.Outbox), len(b.group.state.Outcomes)
	b.group.mu.Unlock()
	if n := runtime.NumGoroutine(); outbox > floodOutbox || outcomes > floodOutcomes || n > floodGoroutine {
		b.t.Fatalf("I14: %d events wait, %d outcomes are kept, %d goroutines run", outbox, outcomes, n)
	}
}

// Reports that come faster than the loop takes them overwrite each other, and
// invented hosts are turned away beyond a number. What is there is not lost.
func TestFloodOfReports(t *testing.T) {
	in := newInbox()
	report := func(host string, sequence uint64) {
		data, err := wire.EncodeHealth(wire.Health{Host: host, Started: "once", Sequence: sequence})
		if err != nil {
			t.Fatal(err)
		}
		in.receive(bus.Msg{Subject: bus.HealthSubject(host), Data: data})
	}
	report("real", 1)
	for i := range maxHosts + 5_000 {
		report(fmt.Sprintf("invented-%d", i), 1)
	}
	for i := range uint64(10_000) {
		report("real", i+2)
	}
	if n := in.dropped.Load(); n != 5_001 {
		t.Errorf("%d reports dropped, want 5001", n)
	}
	taken := in.take()
	if last := newest(taken["real"]); len(taken) != maxHosts || last.Sequence != 10_001 {
		t.Errorf("%d hosts are held, and report %d of the real one", len(taken), last.Sequence)
	}
	if left := in.take(); len(left) > 0 {
		t.Errorf("%d reports came twice", len(left))
	}
	known := newFleet(0)
	known.hear(newest(taken["real"]), 0)
	for _, reports := range taken {
		known.hear(newest(reports), time.Second)
	}
	if _, _, ok := known.hear(wire.Health{Host: "one-too-many", Started: "once"}, time.Second); ok || len(known.hosts) != maxHosts {
		t.Errorf("%d hosts are known", len(known.hosts))
	}
	if _, _, ok := known.hear(wire.Health{Host: "real", Started: "once", Sequence: 10_002}, 2*time.Second); !ok {
		t.Error("a known host was not heard in the flood")
	}
}

// A flood of large reports, of a known host and of invented ones, takes no more memory
// however long it lasts.
func TestFloodOfReportsTakesNoMemory(t *testing.T) {
	in := newInbox()
	services := []wire.ServiceHealth{{Service: checkout, Problem: strings.Repeat("x", 4<<10)}}
	report := func(host string, sequence int) {
		data, err := wire.EncodeHealth(wire.Health{Host: host, Started: "once", Sequence: uint64(sequence), Services: services})
		if err != nil {
			t.Fatal(err)
		}
		in.receive(bus.Msg{Subject: bus.HealthSubject(host), Data: data})
	}
	const hosts, rounds = 200, 30 // 24 MiB in all
	flood := func() {
		for sequence := range rounds {
			for i := range hosts {
				report(fmt.Sprintf("web-%d", i), sequence+1)
			}
		}
	}
	before := heaptest.Live()
	flood()
	once := heaptest.Live() - before
	if most := int64(2 * mostUnread * hosts * (4 << 10)); once > most {
		t.Errorf("I14: reports that wait take %d KiB, more than %d KiB", once>>10, most>>10)
	}
	for i := range maxHosts {
		in.receive(bus.Msg{Subject: bus.HealthSubject("forged"), Data: []byte(strings.Repeat("y", i%1_000))})
	}
	for range 5 {
		flood()
	}
	if more := heaptest.Live() - before - once; more > once/4+8<<20 {
		t.Errorf("I14: a flood that lasts takes %d KiB more than the %d KiB of its beginning", more>>10, once>>10)
	}
	if n := len(in.take()); n != hosts {
		t.Errorf("%d hosts are held", n)
	}
}

// newest is the last of a host's reports.
func newest(reports []wire.Health) wire.Health {
	if len(reports) == 0 {
		return wire.Health{}
	}
	return reports[len(reports)-1]
}
