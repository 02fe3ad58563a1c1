package workload

import (
	"context"
	"errors"
	"time"

	"github.com/serin-rollouts/serin/chaos/fleet"
	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/event"
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

// Weigh records the canaries' shares on a host, until ctx ends.
func Weigh(ctx context.Context, n *fleet.Node, log *history.Log) {
	last := map[string]history.Weight{}
	for ctx.Err() == nil {
		shares, err := n.Shares(ctx)
		at := log.Now()
		if err == nil { // else the host or its HAProxy is away
			for service, share := range shares {
				w := history.Weight{At: at, Host: n.Name, Service: service, Share: share}
				if before, ok := last[service]; !ok || share != 0 || before.Share != 0 {
					log.Weight(w)
				}
				last[service] = w
			}
		}
		pause(ctx, weighEvery)
	}
}

// Overhear records what a leader and the agents say to each other, as the server of
// one replica has it, until ctx ends: the licences that this replica gives, all of
// them if it has no name, and the epochs that agents work on.
func Overhear(ctx context.Context, conn *bus.Conn, replica string, log *history.Log) error {
	licence, err := conn.Subscribe(bus.AssignSubject("*"), func(m bus.Msg) {
		if a, err := wire.DecodeAssign(m.Data); err == nil && a.Nonce != 0 && (replica == "" || replica == a.Leader) {
			log.Licence(history.Licence{At: log.Now(), Leader: a.Leader, Host: a.Host})
		}
	})
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
		return errors.Join(err, licence.Close())
	}
	<-ctx.Done()
	return errors.Join(licence.Close(), health.Close())
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

// serviceLabel is on each of serin's containers.
const serviceLabel = "serin.service"
