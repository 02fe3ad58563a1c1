package metrics

import (
	"context"
	"time"

	"github.com/serin-rollouts/serin/internal/bus"
)

// roundTripTimeout is how long a page waits for the bus to answer.
const roundTripTimeout = time.Second

// wire is a connection to the bus.
type wire interface {
	Stats() bus.Stats
	RoundTrip(ctx context.Context) (time.Duration, error)
}

// Bus adds the readings of a connection to the bus. conn returns nil until there
// is one.
func (s *Set) Bus(conn func() *bus.Conn) {
	s.wire(func() wire {
		if c := conn(); c != nil {
			return c
		}
		return nil
	})
}

// Private

func (s *Set) wire(conn func() wire) {
	connected := s.Reading(Gauge, "serin_nats_connected", "1 if there is a connection to NATS now.")
	reconnects := s.Reading(Counter, "serin_nats_reconnects_total", "Connections to NATS that followed a lost one.")
	messages := s.Reading(Counter, "serin_nats_messages_total", "Messages over the connection to NATS, by direction (in, out).", "direction")
	bytes := s.Reading(Counter, "serin_nats_bytes_total", "Bytes of messages over the connection to NATS, by direction (in, out).", "direction")
	trip := s.Reading(Gauge, "serin_nats_round_trip_seconds", "How long NATS took to answer a ping just now; missing if it did not within a second.")
	s.OnScrape(func(ctx context.Context, page Page) {
		c := conn()
		if c == nil {
			page.Flag(connected, false)
			return
		}
		now := c.Stats()
		page.Flag(connected, now.Connected)
		page.Put(reconnects, float64(now.Reconnects))
		page.Put(messages, float64(now.InMessages), "in")
		page.Put(messages, float64(now.OutMessages), "out")
		page.Put(bytes, float64(now.InBytes), "in")
		page.Put(bytes, float64(now.OutBytes), "out")
		ctx, stop := context.WithTimeout(ctx, roundTripTimeout)
		defer stop()
		if took, err := c.RoundTrip(ctx); err == nil {
			page.Put(trip, took.Seconds())
		}
	}, connected, reconnects, messages, bytes, trip)
}
