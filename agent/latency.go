package agent

import (
	"context"
	"sync"
	"time"

	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/internal/latency"
	"github.com/serin-rollouts/serin/internal/wire"
)

const (
	// latencyApart is the least time between two reports of a service's
	// latencies: they are large, and people read them.
	latencyApart = 2 * time.Second
	// latencyRoom bounds the latencies in one report; what does not fit comes
	// with the next one. latencyMost is more than those of a service need.
	latencyRoom = 128 << 10
	latencyMost = 8 << 10
	// followAgain and followLast are the first and the longest pause before
	// the log is tried again.
	followAgain = time.Second
	followLast  = time.Minute
)

// timing is what lines of HAProxy's log told of some requests.
type timing struct {
	lines int64           // all of them
	times *latency.Sketch // of those that a server answered; nil: none yet
}

// stopwatch gathers a service's lines by slot, until the meter counts the same
// requests. It has a lock of its own: nobody holds it for long.
type stopwatch struct {
	mu    sync.Mutex
	slots map[string]*timing
}

func newStopwatch() *stopwatch { return &stopwatch{slots: map[string]*timing{}} }

// record takes one line. A request that the canary was to answer and stable
// did was tried at both, and is no measure of either.
func (w *stopwatch) record(r haproxy.Record) {
	if r.Slot == "" {
		return // no server was tried
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	redispatched := r.Want != "" && r.Want != r.Slot
	if redispatched {
		w.slots[r.Want].line()
	}
	at := w.slots[r.Slot]
	at.line()
	if at == nil || redispatched || r.Status <= 0 || r.Micros < 0 || r.Termination != "--" {
		return
	}
	if at.times == nil {
		at.times = latency.New()
	}
	at.times.Add(r.Micros)
}

// empty moves what a slot's lines told into a timing, nil to forget it. Only
// slots that were emptied once are listened to: anybody on the host might
// write lines to a TCP port.
func (w *stopwatch) empty(slot string, into *timing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	from := w.slots[slot]
	if from == nil {
		w.slots[slot] = &timing{}
		return
	}
	if into != nil {
		into.add(from)
	}
	from.lines = 0
	if from.times != nil {
		from.times.Clear()
	}
}

// follow takes in HAProxy's log until ctx ends. Without it everything goes on,
// and nobody knows how long requests take.
func (a *agent) follow(ctx context.Context) error {
	if a.out.lines == nil {
		return nil
	}
	wait := followAgain
	for {
		err := a.out.lines(ctx, a.recorder())
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a.log.Warn().Err(err).Msg("HAProxy's log is not followed; how long requests take is not known")
		if err := pause(ctx, wait); err != nil {
			return err
		}
		wait = min(2*wait, followLast)
	}
}

// Private

// recorder returns what takes one line after the other. It looks a service up
// once: services are never forgotten.
func (a *agent) recorder() func(haproxy.Record) {
	known := map[string]*stopwatch{}
	return func(r haproxy.Record) {
		w := known[r.Service]
		if w == nil {
			s, ok := a.find(r.Service)
			if !ok {
				return
			}
			w = s.watch
			known[r.Service] = w
		}
		w.record(r)
	}
}

func (t *timing) line() {
	if t != nil {
		t.lines++
	}
}

func (t *timing) add(more *timing) {
	t.lines += more.lines
	if more.times == nil {
		return
	}
	if t.times == nil {
		t.times = latency.New()
	}
	t.times.Merge(more.times)
}

// latencies puts how long requests took into a report, now and then. The caller
// holds s.mu.
func (s *service) latencies(h *wire.ServiceHealth, now time.Time) {
	as := s.assigned
	if as.Rollout == "" || now.Sub(s.told) < latencyApart {
		return
	}
	s.told = now
	if as.Stable != nil {
		h.StableLatency = s.meter.latency(as.Stable.ID)
	}
	if as.Canary != nil {
		h.CanaryLatency = s.meter.latency(as.Canary.ID)
	}
}
