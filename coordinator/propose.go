package coordinator

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// retryAfter is the pause after a proposal that came to nothing while we lead.
const retryAfter = 200 * time.Millisecond

// proposeDecision hands a decision to Raft without waiting: the loop goes on
// hearing. One at a time for a service, since Decide repeats itself until the
// state has changed.
func (l *leader) proposeDecision(ctx context.Context, c rollout.Command) {
	t, _ := rollout.TargetOf(c) // of what concerns a freeze none
	if _, busy := l.pending[t.Service]; busy {
		return
	}
	l.pending[t.Service] = struct{}{}
	l.spawn(ctx, func(ctx context.Context) {
		result, err := l.propose(ctx, self, c)
		log := l.log.With().Str("rollout", t.Rollout).Uint64("epoch", t.Epoch).Logger()
		switch {
		case err != nil && ctx.Err() == nil:
			log.Warn().Err(err).Msg("decision not recorded")
			pause(ctx, retryAfter)
		case err == nil && result.Refused != nil:
			log.Debug().Stringer("refusal", textOf{result.Refused}).Msg("decision overtaken")
			pause(ctx, retryAfter)
		}
		select {
		case l.proposed <- t.Service:
		case <-ctx.Done():
		}
	})
}

// propose stamps a command and waits for what it came to.
func (l *leader) propose(ctx context.Context, by string, c rollout.Command) (rollout.Result, error) {
	result, err := l.ledger.Propose(ctx, rollout.Entry{Command: c, Stamp: rollout.Stamp{
		At: l.clock.now(), Wall: time.Now().UnixMilli(), By: by, Confirmed: l.confirmed.Load(),
	}})
	for _, e := range result.Events {
		logged(l.log.Info(), e).Msg(e.Text)
	}
	return result, err
}

// Private

// logged adds to a line what an event tells, and what the gates came to.
func logged(line *zerolog.Event, e rollout.Event) *zerolog.Event {
	line = line.Str("service", e.Service).Str("rollout", e.Rollout).Uint64("epoch", e.Index).
		Str("kind", string(e.Kind)).Str("by", e.By)
	if e.Host != "" {
		line = line.Str("host", e.Host)
	}
	if v := e.Verdict; v != nil {
		line = line.Stringer("outcome", v.Outcome).Str("gate", v.Gate).Str("reason", v.Reason)
	}
	return line
}

// textOf logs an error's text lazily.
type textOf struct{ error }

// String implements fmt.Stringer.
func (t textOf) String() string { return t.Error() }
