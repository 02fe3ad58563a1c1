package coordinator

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/serin-rollouts/serin/coordinator/replica"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/bus/embed"
)

// standingTimeout is how long who asks for the replicas waits for one that may be
// away.
const standingTimeout = 500 * time.Millisecond

// answerStanding tells whoever leads how this replica stands. The server is nil if
// the bus is the user's own.
func (p parts) answerStanding(r *replica.Replica, server *embed.Server, open *teardown) error {
	sub, err := p.bus.Subscribe(bus.StandingSubject(p.cfg.ID), func(m bus.Msg) {
		text, err := p.standing(r, server)
		if err == nil {
			err = m.Respond(text)
		}
		if err != nil {
			p.log.Debug().Err(err).Msg("standing not told; it is asked for again")
		}
	})
	if err != nil {
		return err
	}
	open.push("standing", unbounded(sub.Close))
	return nil
}

// Private

func (p parts) standing(r *replica.Replica, server *embed.Server) ([]byte, error) {
	c, err := r.Cluster()
	if err != nil {
		return nil, err
	}
	s := api.Standing{
		Version: p.cfg.Version, Role: c.Role, Term: c.Term, Last: c.Last, Applied: c.Applied, Contact: c.ContactMillis,
		NATS: p.bus.ConnectedURL(), Reconnects: p.bus.Stats().Reconnects,
	}
	if server != nil {
		s.Embedded, s.Streams, s.Peers = true, server.Streaming(), server.Peers()
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode standing: %w", err)
	}
	return text, nil
}

// standings asks all members at once how they stand, and writes down what those
// say that answer in time.
func (l *leader) standings(ctx context.Context, all []api.ClusterMember) {
	ctx, stop := context.WithTimeout(ctx, standingTimeout)
	defer stop()
	var asking sync.WaitGroup
	for k := range all {
		asking.Go(func() {
			m, err := l.bus.Request(ctx, bus.StandingSubject(all[k].ID), nil)
			var s api.Standing
			if err == nil && json.Unmarshal(m.Data, &s) == nil {
				all[k].Standing = &s
			}
		})
	}
	asking.Wait()
}
