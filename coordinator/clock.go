package coordinator

import "time"

// clock is the fleet's own time while one leader leads: it goes on from where
// the replicated state left it, at the pace of this process's monotonic clock.
// Wall clocks decide nothing.
type clock struct {
	base  time.Duration // the state's clock at takeover
	start time.Time     // carries a monotonic reading
}

func newClock(base time.Duration) clock { return clock{base: base, start: time.Now()} }

func (c clock) now() time.Duration { return c.base + time.Since(c.start) }
