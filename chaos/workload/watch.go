package workload

import (
	"context"
	"time"

	"github.com/serin-rollouts/serin/chaos/fleet"
	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/event"
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
