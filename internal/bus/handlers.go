package bus

import (
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

// The client calls these one at a time and in order, from a goroutine of its
// own; see Conn for what that guards.

func (c *Conn) onConnected(nc *nats.Conn) {
	server := nc.ConnectedUrlRedacted()
	if c.cfg.InProcess != nil {
		server = "in this process" // the client would name its default address
	}
	c.log.Info().Str("server", server).Msg("connected to bus")
	if !c.lost {
		return // the first try
	}
	c.lost = false
	c.mu.Lock()
	calls := c.onReconnect
	c.mu.Unlock()
	for _, f := range calls {
		f()
	}
}

func (c *Conn) onDisconnected(_ *nats.Conn, err error) {
	c.lost = true
	if err != nil { // nil: closed by us
		c.log.Warn().Err(err).Msg("connection to bus lost")
	}
}

func (c *Conn) onConnectError(_ *nats.Conn, err error) {
	c.lost = true
	if skipped, ok := c.complaints.allow(); ok {
		c.log.Warn().Err(err).Int("unlogged", skipped).Msg("bus not reachable, trying on")
	}
}

// onError hears of slow subscriptions and of refusals (permissions).
func (c *Conn) onError(_ *nats.Conn, sub *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrSlowConsumer) && sub != nil {
		c.onSlow(sub)
		return
	}
	event := c.log.Error().Err(err)
	if sub != nil {
		event = event.Str("subject", sub.Subject)
	}
	event.Msg("bus refused an operation")
}

func (c *Conn) onSlow(sub *nats.Subscription) {
	dropped, err := sub.Dropped()
	if err != nil {
		return // closed meanwhile
	}
	skipped, ok := c.complaints.allow()
	if ok {
		c.log.Warn().Str("subject", sub.Subject).Int("dropped", dropped).Int("unlogged", skipped).
			Msg("subscription too slow, messages dropped")
	}
}

// rarely lets one complaint through per complainEvery and counts the others.
// It is not safe for concurrent use.
type rarely struct {
	last    time.Time
	skipped int
}

// allow reports whether to complain now and, if so, how many complaints have
// been swallowed since the last.
func (r *rarely) allow() (skipped int, ok bool) {
	now := time.Now()
	if !r.last.IsZero() && now.Sub(r.last) < complainEvery {
		r.skipped++
		return 0, false
	}
	skipped = r.skipped
	r.last, r.skipped = now, 0
	return skipped, true
}
