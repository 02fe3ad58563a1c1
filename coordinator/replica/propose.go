package replica

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// Propose puts an entry into the log and returns what applying it came to.
// Errors: ErrNotLeader, ErrTooLarge and ErrLevel if nothing was proposed; ErrUnknown if
// leadership, ctx or the replica ended before the outcome was known; Err's if
// the replica had stopped before.
func (r *Replica) Propose(ctx context.Context, e rollout.Entry) (rollout.Result, error) {
	data, err := encodeEntry(e)
	if err != nil {
		return rollout.Result{}, fmt.Errorf("propose: %w", err)
	}
	if err := r.Err(); err != nil {
		return rollout.Result{}, fmt.Errorf("propose: %w", err)
	}
	if err := r.allows(e.Command); err != nil {
		return rollout.Result{}, fmt.Errorf("propose: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return rollout.Result{}, fmt.Errorf("propose: %w", err)
	}
	answer := make(chan rollout.Result, 1)
	err = r.await(ctx, func() raft.Future { return applied{r.raft.Apply(data, 0), answer} })
	switch {
	case err == nil:
		return <-answer, nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return rollout.Result{}, fmt.Errorf("propose: %w", r.notLeader())
	default:
		return rollout.Result{}, fmt.Errorf("propose: %w: %w", ErrUnknown, err)
	}
}

// Private

// allows returns ErrLevel for what an earlier release among the replicas may
// not understand: it would stop there. To raise the level is up to whoever has
// asked them.
func (r *Replica) allows(c rollout.Command) error {
	if _, raises := c.(rollout.Raise); raises {
		return nil
	}
	if need, at := rollout.Needs(c), r.State().AtLevel(); need > at {
		return fmt.Errorf("%w: it needs level %d, the replicas are at %d", ErrLevel, need, at)
	}
	return nil
}

// applied is a future that also takes the answer of the state machine.
type applied struct {
	raft.ApplyFuture
	answer chan<- rollout.Result
}

// Error waits for the entry to be applied.
func (a applied) Error() error {
	if err := a.ApplyFuture.Error(); err != nil {
		return err
	}
	switch answer := a.Response().(type) {
	case rollout.Result:
		a.answer <- answer
		return nil
	case error:
		return answer
	default:
		return fmt.Errorf("the state machine answered %T", answer)
	}
}
