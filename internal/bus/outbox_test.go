package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/bus/bustest"
)

func event(seq uint64) bus.Event {
	return bus.Event{
		Seq:     seq,
		Subject: bus.EventSubject("checkout", "checkout-7", "step.started"),
		Data:    fmt.Appendf(nil, `{"id":"%d"}`, seq),
	}
}

// stored returns the Seqs that an observer reads.
func stored(t *testing.T, c *bus.Conn, filter bus.Filter) []uint64 {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	var seqs []uint64
	if err := c.Events(ctx, filter, func(m bus.EventMsg) error {
		seqs = append(seqs, m.Seq)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return seqs
}

func publish(t *testing.T, c *bus.Conn, prev uint64, seqs ...uint64) {
	t.Helper()
	for _, seq := range seqs {
		if err := c.PublishEvent(t.Context(), event(seq), prev); err != nil {
			t.Fatal(err)
		}
		prev = seq
	}
}

func TestEventsAreChained(t *testing.T) {
	c := bustest.Connect(t, bustest.Start(t))
	if last, err := c.LastEvent(t.Context()); last != 0 || err != nil {
		t.Fatalf("empty stream: %d, %v", last, err)
	}
	if err := c.PublishEvent(t.Context(), event(5), 3); !errors.Is(err, bus.ErrChain) {
		t.Fatalf("behind an event that is not there: %v", err)
	}
	publish(t, c, 0, 5, 9, 12)
	if last, err := c.LastEvent(t.Context()); last != 12 || err != nil {
		t.Fatalf("last: %d, %v", last, err)
	}
	if err := c.PublishEvent(t.Context(), event(12), 12); err == nil {
		t.Fatal("an event behind itself")
	}
	if err := c.PublishEvent(t.Context(), event(12), 9); !errors.Is(err, bus.ErrChain) {
		t.Fatalf("a publisher that knows the last event publishes an old one: %v", err)
	}
	if got := stored(t, c, bus.Filter{}); !slices.Equal(got, []uint64{5, 9, 12}) {
		t.Fatalf("stored %v", got)
	}
}

func TestZombiePublisherIsRefusedByTheStream(t *testing.T) {
	s := bustest.Start(t)
	zombie, leader := bustest.Connect(t, s), bustest.Connect(t, s)
	publish(t, zombie, 0, 1, 2)
	if last, err := leader.LastEvent(t.Context()); last != 2 || err != nil {
		t.Fatalf("last: %d, %v", last, err)
	}
	publish(t, leader, 2, 4)

	// The zombie holds the entry 3, which was never committed.
	if err := zombie.PublishEvent(t.Context(), event(3), 2); !errors.Is(err, bus.ErrChain) {
		t.Fatalf("zombie: %v", err)
	}
	if last, err := zombie.LastEvent(t.Context()); last != 4 || err != nil {
		t.Fatalf("after re-reading: %d, %v", last, err)
	}
	publish(t, leader, 4, 6)
	if got := stored(t, leader, bus.Filter{}); !slices.Equal(got, []uint64{1, 2, 4, 6}) {
		t.Fatalf("stored %v", got)
	}
}

func TestEventWhoseConfirmationWasLostIsStoredOnce(t *testing.T) {
	s := bustest.Start(t)
	first, retry := bustest.Connect(t, s), bustest.Connect(t, s)
	publish(t, first, 0, 1)
	if _, err := retry.LastEvent(t.Context()); err != nil { // retry now knows 1 as the end
		t.Fatal(err)
	}
	publish(t, first, 1, 2)
	publish(t, retry, 1, 2) // the same event, not knowing that it is stored
	publish(t, retry, 2, 3)
	if got := stored(t, retry, bus.Filter{}); !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Fatalf("stored %v", got)
	}
}

func TestForeignMessagesDoNotStopTheOutbox(t *testing.T) {
	s := bustest.Start(t)
	c := bustest.Connect(t, s)
	publish(t, c, 0, 1)
	if err := c.Publish(bus.EventSubject("a", "b", "forged"), nil); err != nil {
		t.Fatal(err)
	}
	flush(t, c)
	if err := c.PublishEvent(t.Context(), event(2), 1); !errors.Is(err, bus.ErrChain) {
		t.Fatalf("behind a forged event: %v", err)
	}
	if last, err := c.LastEvent(t.Context()); last != 1 || err != nil {
		t.Fatalf("last: %d, %v", last, err)
	}
	publish(t, c, 1, 2)
}

func TestOutboxContinuesAfterAllEventsHaveExpired(t *testing.T) {
	s := bustest.Start(t)
	c := bustest.Connect(t, s)
	publish(t, c, 0, 1, 2)
	js, err := jetstream.New(rawConn(t, s))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), bus.EventsStream)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxAge, cfg.Duplicates = 100*time.Millisecond, 100*time.Millisecond
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the events expire", func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 0
	})
	fresh := bustest.Connect(t, s)
	last, err := fresh.LastEvent(t.Context())
	if last != 0 || err != nil {
		t.Fatalf("last: %d, %v", last, err)
	}
	publish(t, fresh, last, 3)
}

func TestStateKeepsTheLatestOnly(t *testing.T) {
	s := bustest.Start(t)
	leader, zombie := bustest.Connect(t, s), bustest.Connect(t, s)
	if _, err := leader.LastState(t.Context(), "checkout"); !errors.Is(err, bus.ErrNoState) {
		t.Fatalf("no state: %v", err)
	}
	for _, step := range []struct {
		from *bus.Conn
		seq  uint64
		want error
	}{
		{zombie, 3, nil},
		{zombie, 3, nil}, // again after a failover
		{leader, 7, nil},
		{zombie, 5, bus.ErrChain}, // it does not know of 7 yet
		{zombie, 5, bus.ErrChain}, // now it does
		{leader, 8, nil},
		{zombie, 9, nil},           // leads again
		{leader, 10, bus.ErrChain}, // would be right, but knows 8 as the last
		{zombie, 9, nil},
	} {
		err := step.from.PublishState(t.Context(), "checkout", step.seq, fmt.Appendf(nil, "%d", step.seq))
		if !errors.Is(err, step.want) {
			t.Fatalf("state %d: %v, want %v", step.seq, err, step.want)
		}
	}
	m, err := leader.LastState(t.Context(), "checkout")
	if err != nil || m.Seq != 9 || string(m.Data) != "9" || m.Service != "checkout" {
		t.Fatalf("got %+v, %v", m, err)
	}
}

func TestStreamsThatCannotBeMadeSayWhy(t *testing.T) {
	s := bustest.StartEmpty(t)
	c := bustest.Connect(t, s)
	if err := c.EnsureStreams(t.Context(), 3); !errors.Is(err, bus.ErrReplicas) {
		t.Errorf("three replicas on one server: %v", err)
	}
	if _, err := c.LastEvent(t.Context()); !errors.Is(err, bus.ErrNoStream) {
		t.Errorf("no stream: %v", err)
	}
	if err := c.Events(t.Context(), bus.Filter{Follow: true}, nil); !errors.Is(err, bus.ErrNoStream) {
		t.Errorf("no stream to read: %v", err)
	}
	for range 2 { // idempotent
		if err := c.EnsureStreams(t.Context(), 1); err != nil {
			t.Error(err)
		}
	}
}
