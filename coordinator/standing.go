package coordinator

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/serin-rollouts/serin/coordinator/replica"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/bus/embed"
	"github.com/serin-rollouts/serin/internal/durable"
)

// standingTimeout is how long who asks for the replicas waits for one that may be
// away.
const standingTimeout = 500 * time.Millisecond

// answerStanding tells whoever leads how this replica stands, and operators, also
// while nobody leads. The server is nil if the bus is the user's own.
func (p parts) answerStanding(r *replica.Replica, server *embed.Server, open *teardown) error {
	toLeader := func(s api.Standing) any { return s }
	toOperator := func(s api.Standing) any { return api.Answer[api.Standing]{Reply: api.Reply{OK: true}, Data: s} }
	for subject, form := range map[string]func(api.Standing) any{
		bus.StandingSubject(p.cfg.ID): toLeader, bus.GetSubject(api.GetStanding, ""): toOperator,
	} {
		sub, err := p.bus.Subscribe(subject, func(m bus.Msg) {
			s, err := p.standing(r, server)
			var text []byte
			if err == nil {
				text, err = json.Marshal(form(s))
			}
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
	}
	return nil
}

// Private

func (p parts) standing(r *replica.Replica, server *embed.Server) (api.Standing, error) {
	c, err := r.Cluster()
	if err != nil {
		return api.Standing{}, err
	}
	s := api.Standing{
		ID: p.cfg.ID, Version: p.cfg.Version, Level: p.cfg.level(), Role: c.Role, Term: c.Term, Last: c.Last, Applied: c.Applied, Contact: c.ContactMillis,
		NATS: p.bus.ConnectedURL(), Reconnects: p.bus.Stats().Reconnects,
	}
	if server != nil {
		s.Embedded, s.Streams, s.Peers = true, server.Streaming(), server.Peers()
	}
	if free, size, err := durable.Room(p.cfg.Data); err == nil {
		s.Disk = &api.Disk{Free: free, Size: size}
	}
	return s, nil
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
