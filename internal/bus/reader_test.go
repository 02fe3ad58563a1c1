package bus

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/bus/embed"
)

// handed is a message as a consumer hands it out: pending is what its copy of the
// stream holds besides.
type handed struct {
	jetstream.Msg

	at, pending uint64
}

func (h handed) Subject() string      { return EventSubject("checkout", "checkout-7", "step") }
func (h handed) Headers() nats.Header { return nats.Header{} }
func (h handed) Data() []byte         { return nil }
func (h handed) Metadata() (*jetstream.MsgMetadata, error) {
	return &jetstream.MsgMetadata{Sequence: jetstream.SequencePair{Stream: h.at}, NumPending: h.pending}, nil
}

// A consumer's copy of the stream may lag behind: that it has no more is not the
// end. What the stream's leader holds is.
func TestCopyThatLagsIsNotTheEnd(t *testing.T) {
	var got []uint64
	r := reader{next: 1, last: 3, deliver: func(m EventMsg) error {
		got = append(got, m.StreamSeq)
		return nil
	}}
	if more, done, err := r.handle(handed{at: 1}); more || done || err != nil {
		t.Errorf("after the last that the copy has: more %v, done %v, %v", more, done, err)
	}
	if more, done, err := r.handle(handed{at: 2, pending: 1}); !more || done || err != nil {
		t.Errorf("in the middle: more %v, done %v, %v", more, done, err)
	}
	if _, done, err := r.handle(handed{at: 3, pending: 4}); !done || err != nil {
		t.Errorf("at the end: done %v, %v", done, err)
	}
	if _, done, err := r.handle(handed{at: 4, pending: 3}); !done || err != nil || !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Errorf("after it: done %v, %v, delivered %v", done, err, got)
	}
}

// What lags is asked again; what has expired while it was read is not waited for.
func TestReadEndsWhereTheStreamEnds(t *testing.T) {
	c := connected(t)
	for seq := uint64(1); seq <= 3; seq++ {
		if err := c.PublishEvent(t.Context(), Event{Seq: seq, Subject: EventSubject("checkout", "checkout-7", "step")}, seq-1); err != nil {
			t.Fatal(err)
		}
	}
	r := reader{conn: c, filter: Filter{Rollout: "checkout-7"}, deliver: func(EventMsg) error { return nil }, next: 4, last: 9}
	if done, err := r.behind(t.Context()); !done || err != nil {
		t.Errorf("messages that are gone: done %v, %v", done, err)
	}
	r.next, r.last = 3, 9
	if done, err := r.behind(t.Context()); done || !errors.Is(err, errBehind) {
		t.Errorf("a copy that lacks the last: done %v, %v", done, err)
	}
	if done, err := r.read(t.Context(), func() {}); !done || err != nil || r.next != 4 {
		t.Errorf("once it has it: done %v, %v, next %d", done, err, r.next)
	}
}

func connected(t *testing.T) *Conn {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	s, err := embed.Start(ctx, embed.Config{Name: "test", Dir: t.TempDir(), InProcessOnly: true, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	c, err := Connect(ctx, Config{Name: t.Name(), InProcess: s, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(s.Ready(ctx), c.EnsureStreams(ctx, 1)); err != nil {
		t.Fatal(err)
	}
	return c
}
