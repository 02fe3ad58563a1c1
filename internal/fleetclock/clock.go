// Package fleetclock keeps the fleet's own time where nobody decides: on hosts,
// and on replicas that do not lead. Leaders tell it with their beats; in between
// it goes at the pace of this process's monotonic clock.
package fleetclock

import (
	"sync"
	"time"
)

// goesOn is which part of the lease the clock goes on for after a beat. Time in
// which nobody leads does not count, beyond that.
const goesOn = 3

// Clock is the fleet's time as it was told. The zero value knows no time. It is
// safe for concurrent use.
type Clock struct {
	mu    sync.Mutex
	term  uint64
	told  time.Duration // by the last beat
	at    time.Time     // when it was heard, with a monotonic reading
	lasts time.Duration // how long it goes on without another
	shown time.Duration // the latest time that was given out
}

// Hear takes in a beat: the fleet's time told when the local clock shows now, by
// the leader of a term. What a leader of an earlier term says is not heard, nor
// is a beat that tells no time.
//
// A leader takes over at the time that it was told itself, which may be a little
// behind: then the clock stands until it is reached. If it is far behind, the
// time before was another one, and what was given out is forgotten.
func (c *Clock) Hear(now time.Time, told time.Duration, lease time.Duration, term uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if term < c.term || told <= 0 {
		return
	}
	lasts := lease / goesOn
	if shown := c.timeAt(now); shown-told > lasts {
		c.shown = 0
	}
	c.term, c.told, c.at, c.lasts = term, told, now, lasts
}

// At returns the fleet's time when the local clock shows now; 0 if no beat has
// told it. It falls only where the leaders' own time has.
func (c *Clock) At(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shown = c.timeAt(now)
	return c.shown
}

// Private

func (c *Clock) timeAt(now time.Time) time.Duration {
	if c.told == 0 {
		return 0
	}
	return max(c.shown, c.told+min(max(0, now.Sub(c.at)), c.lasts))
}
