// Package notify tells people elsewhere what happens: it follows the events and
// sends those that are wanted to chats, mailboxes and webhooks.
//
// Each target has a position of its own in the order of events, which moves on
// only when the target has taken a message, or is given up on. So a target that
// does not answer holds up no other, and after a crash what was being sent is
// sent again: every message arrives at least once, and seldom twice.
package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	retryMin = time.Second
	retryMax = time.Minute
)

// source is where events come from.
type source interface {
	// Events hands on the selected events in order; see bus.Conn.Events.
	Events(ctx context.Context, filter bus.Filter, f func(rollout.Event, []byte) error) error
	// LastEvent is the number of the last one that is stored, 0 if there is none.
	LastEvent(ctx context.Context) (uint64, error)
}

// Config is what to tell whom.
type Config struct {
	Source  source
	Targets []*Target
	// Wanted selects events.
	Wanted func(rollout.Event) bool
	// Template renders them.
	Template *Template
	// Positions are remembered over restarts; nil remembers nothing.
	Positions *Positions
	// Since is where a target without a position begins; what happens from now
	// on, if zero.
	Since time.Time
	// Once ends when all that is stored has been sent.
	Once bool
	// GiveUp is how long a message is tried for.
	GiveUp time.Duration
	// Sent and Failed are told what became of messages; several goroutines call
	// them. Failed with last set gave the message up.
	Sent   func(t *Target, m Message)
	Failed func(t *Target, m Message, err error, last bool)
	// Note is told what else is worth a line.
	Note func(text string)
}

// Run sends until ctx ends, or with Once until all is sent.
func Run(ctx context.Context, cfg Config) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, t := range cfg.Targets {
		group.Go(func() error { return cfg.follow(ctx, t) })
	}
	return group.Wait()
}

// Private

// follow sends one target all that it is to have.
func (c Config) follow(ctx context.Context, t *Target) error {
	filter, err := c.begin(ctx, t)
	if err != nil {
		return err
	}
	return c.Source.Events(ctx, filter, func(e rollout.Event, _ []byte) error {
		if !c.Wanted(e) {
			return nil
		}
		m, err := c.Template.Render(e)
		if err != nil {
			return err
		}
		if err := c.send(ctx, t, m); err != nil {
			return err
		}
		return c.Positions.advance(t.key, e.Seq)
	})
}

// begin finds where a target goes on.
func (c Config) begin(ctx context.Context, t *Target) (bus.Filter, error) {
	filter := bus.Filter{Follow: !c.Once}
	position, known := c.Positions.of(t.key)
	if !known && !c.Since.IsZero() {
		filter.Since = c.Since
		return filter, nil
	}
	last, err := c.Source.LastEvent(ctx)
	if err != nil {
		return filter, err
	}
	switch {
	case !known:
		filter.FromSeq = last + 1
		return filter, c.Positions.advance(t.key, last) // so that a crash before the first message loses none
	case position > last:
		c.Note(fmt.Sprintf("%s has had event %d, but the bus ends with %d: these are other events, and it gets them from the first on", t, position, last))
		return filter, c.Positions.reset(t.key)
	}
	filter.FromSeq = position + 1
	return filter, nil
}

// send tries until the target takes the message, or for as long as a message is
// tried. Only the end of ctx is an error.
func (c Config) send(ctx context.Context, t *Target, m Message) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = retryMin, retryMax
	_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, t.Send(ctx, m) },
		backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(c.GiveUp),
		backoff.WithNotify(func(err error, _ time.Duration) { c.Failed(t, m, err, false) }))
	switch {
	case ctx.Err() != nil:
		return errors.Join(context.Cause(ctx), err)
	case err != nil:
		c.Failed(t, m, err, true)
	default:
		c.Sent(t, m)
	}
	return nil
}
