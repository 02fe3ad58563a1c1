package localfleet

import (
	"context"
	"os"
	"sync/atomic"
	"time"
)

// Manners are what may be wrong with the way in which a version serves and ends.
// It is ready all the same.
type Manners struct {
	DiesAt int           // the request at which it exits; 0: never
	Hangs  bool          // it answers no request
	Late   time.Duration // by which all answers are
	Abrupt bool          // it exits at SIGTERM, with requests in flight
	Deaf   bool          // it does not hear SIGTERM
}

// Private

// exitDied is the code of a version that dies at a request.
const exitDied = 3

// conduct is how one process of a version keeps its manners.
type conduct struct {
	Manners

	requests atomic.Int64
}

// begin is called with each request; it says how much longer the answer takes,
// and whether there will be one.
func (c *conduct) begin() (late time.Duration, answered bool) {
	if c.requests.Add(1) == int64(c.DiesAt) {
		os.Exit(exitDied)
	}
	return c.Late, !c.Hangs
}

// told returns when the program is to end, as far as it hears that at all.
func (c *conduct) told(ctx context.Context) <-chan struct{} {
	if c.Deaf {
		return nil
	}
	if c.Abrupt {
		context.AfterFunc(ctx, func() { os.Exit(0) })
	}
	return ctx.Done()
}
