package agent

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/internal/latency"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
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

// timings is what lines told of an instance's requests, by route class.
type timings map[string]*timing

// stopwatch gathers a service's lines by slot, until the meter counts the same
// requests. It has a lock of its own: nobody holds it for long.
type stopwatch struct {
	mu     sync.Mutex
	routes []string // longest first
	slots  map[string]timings
}

func newStopwatch() *stopwatch { return &stopwatch{slots: map[string]timings{}} }

// classify sets which route classes are told apart. It reports whether others
// were so far: then what lines have told is forgotten.
func (w *stopwatch) classify(routes []string) bool {
	sorted := slices.SortedFunc(slices.Values(routes), func(x, y string) int {
		return cmp.Or(len(y)-len(x), strings.Compare(x, y))
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if slices.Equal(sorted, w.routes) {
		return false
	}
	w.routes = sorted
	for _, slot := range w.slots {
		clear(slot)
	}
	return true
}

// record takes one line. A request that the canary was to answer and stable
// did was tried at both, and is no measure of either.
func (w *stopwatch) record(r haproxy.Record) {
	if r.Slot == "" {
		return // no server was tried
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	route := w.class(r.Path)
	redispatched := r.Want != "" && r.Want != r.Slot
	if redispatched {
		w.slots[r.Want].line(route)
	}
	at := w.slots[r.Slot].line(route)
	if at == nil || redispatched || r.Status <= 0 || r.Micros < 0 || r.Termination != "--" {
		return
	}
	if at.times == nil {
		at.times = latency.New()
	}
	at.times.Add(r.Micros)
}

// empty moves what a slot's lines told into timings, nil to forget it, and shows
// it to whoever hears, who must not keep it; nil: nobody does. Only slots that
// were emptied once are listened to: anybody on the host might write lines to a
// TCP port.
func (w *stopwatch) empty(slot string, into *timings, hears func(timings)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	from := w.slots[slot]
	if hears != nil {
		hears(from)
	}
	if from == nil {
		w.slots[slot] = timings{}
		return
	}
	if into != nil {
		into.add(from)
	}
	for _, t := range from { // their memory is used again
		t.lines = 0
		if t.times != nil {
			t.times.Clear()
		}
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

// routesOf are the route classes that the rollout in flight tells apart.
func routesOf(a rollout.Assignment) []string {
	if a.Telemetry == nil {
		return nil
	}
	return a.Telemetry.Routes
}

// class is the longest route that the path begins with, "" if there is none.
func (w *stopwatch) class(path []byte) string {
	for _, route := range w.routes {
		if len(path) >= len(route) && string(path[:len(route)]) == route { // does not allocate
			return route
		}
	}
	return ""
}

// line counts one, and returns what holds its class; nil for a slot that is not
// listened to.
func (s timings) line(route string) *timing {
	if s == nil {
		return nil
	}
	t := s[route]
	if t == nil {
		t = &timing{}
		s[route] = t
	}
	t.lines++
	return t
}

// add takes in more lines.
func (s *timings) add(more timings) {
	if *s == nil {
		*s = timings{}
	}
	for route, t := range more {
		if t.lines == 0 {
			continue
		}
		mine := (*s)[route]
		if mine == nil {
			mine = &timing{}
			(*s)[route] = mine
		}
		mine.lines += t.lines
		if t.times == nil {
			continue
		}
		if mine.times == nil {
			mine.times = latency.New()
		}
		mine.times.Merge(t.times)
	}
}
