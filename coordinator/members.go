package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/coordinator/control"
	"github.com/serin-rollouts/serin/coordinator/replica"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/bus/embed"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	// groupTimeout bounds a change of the Raft group, removeTimeout one of
	// JetStream's. Below closeTimeout: a leader that removes itself is closed
	// meanwhile.
	groupTimeout  = 8 * time.Second
	removeTimeout = 8 * time.Second
	// copiesTimeout bounds the wait for the streams to move; within a request.
	copiesTimeout = 15 * time.Second
)

// Private

// members is the group as the operators' API changes it. With embedded servers
// a replica is a peer of JetStream too, which has majorities of its own.
type members struct {
	*replica.Replica

	server *embed.Server // nil if the bus is the user's own
	bus    *bus.Conn
	copies int // of each stream
	log    zerolog.Logger
}

// Status implements control.Cluster.
func (m members) Status() (api.ClusterStatus, error) {
	c, err := m.Cluster()
	if err != nil {
		return api.ClusterStatus{}, err
	}
	status := api.ClusterStatus{Leader: c.Leader, Term: c.Term, Applied: c.Applied, Commit: c.Commit}
	for _, x := range c.Members {
		status.Members = append(status.Members, api.ClusterMember{ID: x.ID, Addr: x.Address, Voter: x.Voter})
	}
	return status, nil
}

// Backup implements control.Cluster.
func (members) Backup(s *rollout.State) ([]byte, error) { return replica.Backup(s) }

// Add implements control.Cluster.
func (m members) Add(ctx context.Context, id, address string) error {
	return hard(m.Replica.Add(ctx, id, address))
}

// Remove implements control.Cluster. What a removal left undone, the next one
// of the same id does.
func (m members) Remove(ctx context.Context, id string) error {
	removed := outliving(ctx, groupTimeout, func(ctx context.Context) error { return m.Replica.Remove(ctx, id) })
	if m.server == nil || removed != nil && !errors.Is(removed, replica.ErrNotMember) {
		return hard(removed)
	}
	err := outliving(ctx, removeTimeout, func(ctx context.Context) error { return m.server.RemovePeer(ctx, id) })
	switch {
	case errors.Is(err, embed.ErrNoPeer):
		return hard(removed)
	case err != nil:
		return fmt.Errorf("replica %s is out, but its NATS server still counts: %w; repeat this before any server is stopped", id, err)
	}
	m.awaitCopies(ctx, id)
	return nil
}

// Transfer implements control.Cluster.
func (m members) Transfer(ctx context.Context, id string) error {
	if id == "" {
		c, err := m.Cluster()
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(c.Members, func(x replica.Member) bool { return x.Voter && x.ID != c.ID }) {
			return fmt.Errorf("%w: there is no other replica to lead", control.ErrImpossible)
		}
	}
	return hard(outliving(ctx, groupTimeout, func(ctx context.Context) error { return m.Replica.Transfer(ctx, id) }))
}

// outliving does what ends the term, and with it ctx, when it succeeds: the
// outcome is worth waiting for. A replica that is closed cuts it short.
func outliving(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer stop()
	return do(ctx)
}

// awaitCopies waits until the others hold what the removed server held: before
// that it had better not be another server that stops.
func (m members) awaitCopies(ctx context.Context, gone string) {
	ctx, stop := context.WithTimeout(ctx, copiesTimeout)
	defer stop()
	err := m.bus.AwaitCopies(ctx, gone, func() int { return min(m.copies, m.server.Peers()) })
	if err != nil {
		m.log.Warn().Err(err).Str("member", gone).Msg("streams still move away from a removed replica")
	}
}

// hard marks what asking again, or another leader, would not change.
func hard(err error) error {
	switch {
	case errors.Is(err, replica.ErrNotMember):
		return fmt.Errorf("%w: %w", control.ErrNoMember, err)
	case errors.Is(err, replica.ErrLastVoter), errors.Is(err, replica.ErrNoVote), errors.Is(err, replica.ErrAddress):
		return fmt.Errorf("%w: %w", control.ErrImpossible, err)
	}
	return err
}
