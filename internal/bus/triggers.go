package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// ackWait bounds what a leader that died with a trigger in hand delays it.
	ackWait = 10 * time.Second
	// handleTimeout ends a handler before the trigger goes to somebody else.
	handleTimeout = 8 * time.Second

	nakMin = time.Second
	nakMax = 30 * time.Second

	pullExpiry    = 10 * time.Second
	pullHeartbeat = 2 * time.Second // so a lost stream leader is noticed after 4 s
)

// Trigger is a stored announcement of a new version.
type Trigger struct {
	// Service is what the subject names; empty if Wrong says why no service can
	// be called so. Whoever published it is to hear of that too.
	Service string
	Wrong   error
	// ID is the sender's Nats-Msg-Id; empty if it set none.
	ID string
	// Trace is the sender's traceparent header; empty if it set none.
	Trace string
	Data  []byte
	// At is when the stream stored it, by that server's clock.
	At time.Time
	// StreamSeq is its place in the stream: unique, and the same each time it
	// is delivered.
	StreamSeq uint64
	// Redelivered is true if it has been handed out before.
	Redelivered bool
}

// ConsumeTriggers hands the stored triggers to f, one at a time, until ctx
// ends; then it returns nil. A trigger is taken from the stream only after f
// has returned nil. If f fails, or does not end within 8 s (its ctx), or the
// process dies, it is delivered again, to whoever consumes then: after 1, 2, 4
// ... 30 s if f failed, 10 s if nobody answered for it. f must be
// idempotent. Everything that JetStream refuses meanwhile is retried.
func (c *Conn) ConsumeTriggers(ctx context.Context, f func(context.Context, Trigger) error) error {
	// It ends only with ctx, which is the regular end.
	_ = c.keepTrying(ctx, "consume triggers", func(progress func()) (bool, error) {
		messages, err := c.triggerMessages(ctx)
		if err != nil {
			return false, err
		}
		defer messages.Stop()
		for {
			msg, err := messages.Next(jetstream.NextContext(ctx))
			if err != nil {
				return false, err
			}
			progress()
			c.handleTrigger(ctx, msg, f)
		}
	})
	return nil
}

// Private

// keepTrying runs attempt until it is done, and returns its error, or until
// ctx ends, and returns ctx's. The pauses between tries grow as long as
// attempt makes no progress.
func (c *Conn) keepTrying(ctx context.Context, what string, attempt func(progress func()) (done bool, err error)) error {
	pause := newPause()
	complaints := rarely{}
	for {
		done, err := attempt(pause.Reset)
		if done {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if skipped, ok := complaints.allow(); ok {
			c.log.Warn().Err(typedStream(err)).Int("unlogged", skipped).Msg(what + ": interrupted, trying on")
		}
		if err := wait(ctx, pause.NextBackOff()); err != nil {
			return err
		}
	}
}

func (c *Conn) triggerMessages(ctx context.Context) (jetstream.MessagesContext, error) {
	ask, stop := context.WithTimeout(ctx, attemptTimeout)
	defer stop()
	consumer, err := c.js.CreateOrUpdateConsumer(ask, TriggersStream, jetstream.ConsumerConfig{
		Durable:       triggerConsumer,
		Description:   "hands triggers to the leader",
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxDeliver:    -1,
		DeliverPolicy: jetstream.DeliverAllPolicy,
	})
	if err != nil {
		return nil, fmt.Errorf("make consumer %s: %w", triggerConsumer, err)
	}
	// One message at a time: a waiting one would use up its ackWait here.
	return consumer.Messages(
		jetstream.PullMaxMessages(1),
		jetstream.PullExpiry(pullExpiry),
		jetstream.PullHeartbeat(pullHeartbeat),
		jetstream.WithMessagesErrOnMissingHeartbeat(true))
}

func (c *Conn) handleTrigger(ctx context.Context, msg jetstream.Msg, f func(context.Context, Trigger) error) {
	log := c.log.With().Str("subject", msg.Subject()).Logger()
	meta, err := msg.Metadata()
	if err != nil {
		log.Error().Err(err).Msg("trigger without metadata, left alone")
		return
	}
	service, wrong := ParseTrigger(msg.Subject())
	t := Trigger{
		Service:     service,
		Wrong:       wrong,
		ID:          msg.Headers().Get(jetstream.MsgIDHeader),
		Trace:       TraceOf(msg.Headers()),
		Data:        msg.Data(),
		At:          meta.Timestamp,
		StreamSeq:   meta.Sequence.Stream,
		Redelivered: meta.NumDelivered > 1,
	}
	bounded, stop := context.WithTimeout(ctx, handleTimeout)
	defer stop()
	if err := f(bounded, t); err != nil {
		delay := nakDelay(meta.NumDelivered)
		log.Warn().Err(err).Uint64("trigger", t.StreamSeq).Stringer("again_in", delay).Msg("trigger not taken")
		c.settleTrigger(msg.NakWithDelay(delay))
		return
	}
	c.settleTrigger(msg.Ack())
}

// settleTrigger logs an acknowledgement that could not be sent: the trigger
// then comes again.
func (c *Conn) settleTrigger(err error) {
	if err != nil && !errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
		c.log.Warn().Err(err).Msg("trigger not acknowledged, it will come again")
	}
}

// nakDelay doubles from nakMin with each delivery, up to nakMax.
func nakDelay(delivered uint64) time.Duration {
	delay := nakMin
	for range min(delivered, 10) - 1 {
		delay *= 2
	}
	return min(delay, nakMax)
}
