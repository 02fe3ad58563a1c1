package embed_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/serin-rollouts/serin/internal/bus"
)

// JetStream answers a message by itself if three servers keep its stream and know
// its Nats-Msg-Id, even where the stream acknowledges nothing. Triggers may carry
// one, and their senders are to hear the leader.
func TestClusterLeavesRepeatedRequestsToTheLeader(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	leader, sender := c.connect(t), c.connect(t)
	ctx := timeout(t, 3*patience)
	if err := leader.EnsureStreams(ctx, 3); err != nil {
		t.Fatal(err)
	}
	nc, stream := c.triggers(t)
	subject := bus.TriggerSubject("a")
	send := func(id string) {
		if err := sender.PublishHeader(subject, bus.Header{jetstream.MsgIDHeader: {id}}, nil); err != nil {
			t.Fatal(err)
		}
	}

	eventually(t, "an id is forgotten at once", func() bool {
		send("build-1")
		return stored(t, stream) > 1
	})

	// So it is with what others have made: the id is known for certain.
	cfg := stream.CachedInfo().Config
	cfg.Duplicates = 10 * time.Minute
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.UpdateStream(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	before := stored(t, stream)
	eventually(t, "the stream has taken one", func() bool {
		send("build-2")
		return stored(t, stream) > before
	})
	foreign := make(chan *nats.Msg, 100)
	if _, err := nc.ChanSubscribe(nats.InboxPrefix+">", foreign); err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushWithContext(ctx); err != nil {
		t.Fatal(err)
	}
	const silent = "JetStream says nothing"
	if _, err := leader.SubscribeTriggers(func(m bus.Msg) { // it waits until JetStream has answered
		answer := silent // so it is where the id was taken before the servers knew that they are to keep it
		if said, err := answerTo(timeout(t, 5*time.Second), foreign, m.Reply); err == nil {
			answer = "not " + string(said)
		}
		if err := m.Respond([]byte(answer)); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := leader.Request(ctx, "flush", nil); !errors.Is(err, bus.ErrNoResponders) {
		t.Fatal(err)
	}
	for range 3 {
		eventually(t, "JetStream answers, and then the leader", func() bool {
			m, err := sender.RequestHeader(timeout(t, patience), subject, bus.Header{jetstream.MsgIDHeader: {"build-2"}}, nil)
			said := string(m.Data)
			if err == nil && said == silent {
				return false
			}
			if err != nil || !strings.HasPrefix(said, `not {"stream":"`+bus.TriggersStream) || !strings.Contains(said, `"duplicate": true`) {
				t.Errorf("got %s, %v", said, err)
			}
			return true
		})
	}
}

// triggers is the stream of triggers as NATS's own client sees it.
func (c *cluster) triggers(t *testing.T) (*nats.Conn, jetstream.Stream) {
	t.Helper()
	tlsConfig, err := c.client.Config()
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect("", nats.Secure(tlsConfig), nats.Timeout(patience), func(o *nats.Options) error {
		o.Servers = c.urls()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	var stream jetstream.Stream
	eventually(t, "the stream of triggers", func() bool {
		stream, err = js.Stream(timeout(t, 5*time.Second), bus.TriggersStream)
		return err == nil
	})
	return nc, stream
}

// stored is how many messages a stream has taken.
func stored(t *testing.T, stream jetstream.Stream) uint64 {
	t.Helper()
	var last uint64
	eventually(t, "how many are stored", func() bool {
		info, err := stream.Info(timeout(t, 5*time.Second))
		if err != nil {
			return false
		}
		last = info.State.LastSeq
		return true
	})
	return last
}

// answerTo returns what somebody has sent to an inbox.
func answerTo(ctx context.Context, sent <-chan *nats.Msg, inbox string) ([]byte, error) {
	for {
		select {
		case m := <-sent:
			if m.Subject == inbox {
				return m.Data, nil
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
