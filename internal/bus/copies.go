package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const copiesPause = 200 * time.Millisecond

// AwaitCopies waits until every stream, and the consumer of the triggers, is
// kept by as many servers as copies says, all of them up to date and none of
// them called gone. What does not exist needs no copies. The error, with
// ctx's, names what is not there yet.
func (c *Conn) AwaitCopies(ctx context.Context, gone string, copies func() int) error {
	for {
		err := c.copied(ctx, gone, copies())
		if err == nil {
			return nil
		}
		if wait(ctx, copiesPause) != nil {
			return errors.Join(err, ctx.Err())
		}
	}
}

// Private

func (c *Conn) copied(ctx context.Context, gone string, copies int) error {
	ctx, stop := context.WithTimeout(ctx, attemptTimeout)
	defer stop()
	for _, name := range []string{TriggersStream, EventsStream, StateStream} {
		stream, err := c.js.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look at stream %s: %w", name, typedStream(err))
		}
		if err := kept(stream.CachedInfo().Cluster, gone, copies); err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
	}
	consumer, err := c.js.Consumer(ctx, TriggersStream, triggerConsumer)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("look at consumer %s: %w", triggerConsumer, typedStream(err))
	}
	if err := kept(consumer.CachedInfo().Cluster, gone, copies); err != nil {
		return fmt.Errorf("consumer %s: %w", triggerConsumer, err)
	}
	return nil
}

// kept says what keeps a stream or a consumer from being where it should be.
func kept(info *jetstream.ClusterInfo, gone string, copies int) error {
	switch {
	case info == nil: // a server alone
		return nil
	case info.Leader == "" || info.Leader == gone:
		return fmt.Errorf("%q leads", info.Leader)
	case len(info.Replicas)+1 != copies:
		return fmt.Errorf("%d copies of %d", len(info.Replicas)+1, copies)
	}
	for _, r := range info.Replicas {
		if r.Name == gone || r.Offline || !r.Current {
			return fmt.Errorf("the copy on %s is not up to date", r.Name)
		}
	}
	return nil
}
