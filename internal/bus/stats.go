package bus

import (
	"context"
	"time"
)

// Stats is what went over a connection since it was made.
type Stats struct {
	Connected               bool
	Reconnects              uint64
	InMessages, OutMessages uint64
	InBytes, OutBytes       uint64
}

// Stats tells what the connection has carried so far.
func (c *Conn) Stats() Stats {
	s := c.nc.Stats()
	return Stats{
		Connected: c.nc.IsConnected(), Reconnects: s.Reconnects,
		InMessages: s.InMsgs, OutMessages: s.OutMsgs, InBytes: s.InBytes, OutBytes: s.OutBytes,
	}
}

// RoundTrip asks the server for a sign of life and tells how long it took.
func (c *Conn) RoundTrip(ctx context.Context) (time.Duration, error) {
	if !c.nc.IsConnected() {
		return 0, ErrNotConnected
	}
	began := time.Now()
	if err := c.flush(ctx); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}
