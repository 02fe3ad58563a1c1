package workload

import (
	"context"
	"errors"
	"time"

	"github.com/serin-rollouts/serin/chaos/fleet"
	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// weighEvery is how often each HAProxy is looked at.
const weighEvery = 200 * time.Millisecond

// Follow records all events as they come, until ctx ends.
func Follow(ctx context.Context, conn *bus.Conn, log *history.Log) {
	next := uint64(1)
	for ctx.Err() == nil {
		_ = conn.Events(ctx, bus.Filter{FromSeq: next, Follow: true}, func(m bus.EventMsg) error {
			e, err := event.Decode(m.Data)
			if err != nil {
				return err
			}
			log.Event(e)
			next = m.Seq + 1
			return nil
		}) // the bus may be away; what is missing in the end is found out then
		pause(ctx, weighEvery)
	}
}

// Weigh records the canaries' shares on a host, until ctx ends. Where there is none
// that is recorded now and then: so that it is known for when it was looked at.
func Weigh(ctx context.Context, n *fleet.Node, log *history.Log) {
	const again = time.Second
	last := map[string]history.Weight{}
	for ctx.Err() == nil {
		asked := log.Now()
		shares, err := n.Shares(ctx)
		at := log.Now()
		if err == nil { // else the host or its HAProxy is away
			for service, share := range shares {
				w := history.Weight{At: at, Took: at - asked, Host: n.Name, Service: service, Share: share.Points, Revision: share.Revision}
				if before, ok := last[service]; !ok || share.Points != 0 || before.Share != 0 || at-before.At >= again {
					log.Weight(w)
					last[service] = w
				}
			}
		}
		pause(ctx, weighEvery)
	}
}

// Overhear records what a leader and the agents say to each other, as the server of
// one replica has it, until ctx ends: the licences that this replica gives, all of
// them if it has no name, the revisions that are assigned, and the epochs that agents
// work on.
func Overhear(ctx context.Context, conn *bus.Conn, replica string, log *history.Log) error {
	assigned, err := conn.Subscribe(bus.AssignSubject("*"), assigned(replica, log))
	if err != nil {
		return err
	}
	said := map[string]uint64{} // epochs, by run and service
	health, err := conn.Subscribe(bus.AllHealth, func(m bus.Msg) {
		h, err := wire.DecodeHealth(m.Data)
		if err != nil {
			return
		}
		for _, s := range h.Services {
			key := h.Host + " " + h.Started + " " + s.Service
			if epoch, known := said[key]; known && epoch == s.Epoch {
				continue
			}
			said[key] = s.Epoch
			log.Report(history.Report{At: log.Now(), Host: h.Host, Service: s.Service, Run: h.Started, Sequence: h.Sequence, Epoch: s.Epoch})
		}
	})
	if err != nil {
		return errors.Join(err, assigned.Close())
	}
	<-ctx.Done()
	return errors.Join(assigned.Close(), health.Close())
}

// Stops records who asks a host's dockerd to end serin's containers, until ctx ends.
func Stops(ctx context.Context, n *fleet.Node, log *history.Log) {
	for ctx.Err() == nil {
		_ = n.Killed(ctx, serviceLabel, func(service, signal string) {
			log.Stop(history.Stop{At: log.Now(), Host: n.Name, Service: service, How: "signal " + signal})
		}) // the host or its dockerd is away
		pause(ctx, weighEvery)
	}
}

// Private

// assigned records what is in assignments.
func assigned(replica string, log *history.Log) func(bus.Msg) {
	named := map[string]bool{} // revisions
	name := func(r *rollout.Revision) {
		if r != nil && !named[r.ID] {
			named[r.ID] = true
			log.Revision(r.ID, r.Version())
		}
	}
	return func(m bus.Msg) {
		a, err := wire.DecodeAssign(m.Data)
		if err != nil {
			return
		}
		if a.Nonce != 0 && (replica == "" || replica == a.Leader) {
			log.Licence(history.Licence{At: log.Now(), Leader: a.Leader, Host: a.Host})
		}
		for _, one := range a.Assignments {
			name(one.Stable)
			name(one.Canary)
		}
	}
}

// serviceLabel is on each of serin's containers.
const serviceLabel = "serin.service"
