package docker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/rs/zerolog"
)

const (
	// ActionResync is the Action of the event that says that events may have
	// been lost: list the containers again.
	ActionResync = "resync"

	// ActionLost is the Action of the event that says that the stream broke:
	// nothing is told until the next ActionResync.
	ActionLost = "lost"
)

const (
	// overlap is how far back the first stream reaches if no start is given.
	// The daemon answers a moment before it has subscribed us.
	overlap = time.Second

	firstWait   = 100 * time.Millisecond
	longestWait = 5 * time.Second

	// remembered is how many events are known again. The daemon keeps the
	// last 256 to replay.
	remembered = 512
)

// Event is something that happened to one of our containers.
type Event struct {
	// Action is ActionResync, ActionLost or Docker's word: create, start, restart, oom,
	// die, kill, stop, pause, unpause, destroy, "health_status: healthy",
	// "health_status: unhealthy". An OOM kill is oom, then die.
	Action string

	ID, Name string
	Labels   map[string]string
	At       time.Time // by the daemon's wall clock, to the nanosecond
	ExitCode int       // of die
	Problem  string    // of ActionLost: why
}

// Watch calls f, one event after the other, for what happens to the containers
// that have all these labels, until ctx ends; it returns ctx's error. It
// outlives a daemon that goes away: f gets ActionLost once, it reconnects with
// growing pauses, and resumes behind the last event.
//
// After each (re)connect, and before any event of that stream, f gets
// ActionResync: the daemon keeps no more than 256 events, and none over its own
// restart. What happens after a resync arrives as an event. An event arrives
// once in the life of a Watch; if since lies in the past, those that the daemon
// still has since then arrive, too. A zero since means now, less a second.
//
// f must be quick: the daemon drops events for readers that lag far behind.
func (e *Engine) Watch(ctx context.Context, labels map[string]string, since time.Time, f func(Event)) error {
	args, err := byLabels(labels)
	if err != nil {
		return fmt.Errorf("watch containers: %w", err)
	}
	args.Add("type", string(events.ContainerEventType))
	for _, action := range watched() {
		args.Add("event", string(action))
	}
	if since.IsZero() {
		since = time.Now().Add(-overlap)
	}
	w := &watch{engine: e, filters: args, since: since, deliver: f, seen: map[eventKey]bool{}}
	return w.run(ctx)
}

// Private

// watched leaves out the three events that each run of a HEALTHCHECK makes.
func watched() []events.Action {
	return []events.Action{
		events.ActionCreate, events.ActionStart, events.ActionRestart, events.ActionOOM, events.ActionDie,
		events.ActionKill, events.ActionStop, events.ActionPause, events.ActionUnPause, events.ActionDestroy,
		events.ActionHealthStatus,
	}
}

// watch is one Watch; only its goroutine uses it.
type watch struct {
	engine  *Engine
	filters filters.Args
	deliver func(Event)

	// since is the time of the last event that came. It is not the latest
	// time: where a wall clock was set back, that would skip what followed.
	since time.Time

	// seen and order are the same events: as a set, and oldest first. Times
	// alone would not do: many events can bear one time, and after a clock was
	// set back, new ones bear old times.
	seen  map[eventKey]bool
	order []eventKey

	broken bool // the last stream ended, and was reported
}

type eventKey struct {
	nano       int64
	id, action string
}

func (w *watch) run(ctx context.Context) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = firstWait, longestWait
	for {
		began := time.Now()
		err := w.stream(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(began) > longestWait {
			pause.Reset()
		}
		wait := pause.NextBackOff()
		w.report(err, wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// report logs and delivers the first of a row of failures.
func (w *watch) report(err error, wait time.Duration) {
	level := zerolog.DebugLevel
	if !w.broken {
		level = zerolog.WarnLevel
	}
	w.engine.cfg.Log.WithLevel(level).Err(err).Dur("retry_in", wait).Msg("the stream of Docker's events broke; reconnecting")
	if !w.broken {
		w.broken = true
		w.deliver(Event{Action: ActionLost, At: time.Now(), Problem: err.Error()})
	}
}

// stream reads one stream until it breaks.
func (w *watch) stream(ctx context.Context) error {
	if err := w.engine.reconnect(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	late := time.AfterFunc(w.engine.cfg.CallTimeout, cancel)
	messages, errs := w.engine.current.Load().Events(ctx, events.ListOptions{
		Since:   strconv.FormatInt(w.since.Unix(), 10) + fmt.Sprintf(".%09d", w.since.Nanosecond()),
		Filters: w.filters,
	})
	defer func() {
		cancel()
		for range errs { // until the reader's goroutine has ended
		}
	}()
	if !late.Stop() {
		return fmt.Errorf("subscribe to events: %w: no answer within %s", ErrUnavailable, w.engine.cfg.CallTimeout)
	}
	select {
	// Before anything was read: not connected. The error of a refused subscription
	// may come a moment later, which costs a resync too many.
	case err := <-errs:
		return fmt.Errorf("subscribe to events: %w", sorted(orEnded(err)))
	default:
	}
	if w.broken {
		w.engine.cfg.Log.Info().Msg("the stream of Docker's events is back")
		w.broken = false
	}
	w.deliver(Event{Action: ActionResync, At: time.Now()})
	for {
		select {
		case m := <-messages:
			w.take(m)
		case err := <-errs:
			return fmt.Errorf("read events: %w", sorted(orEnded(err)))
		}
	}
}

func orEnded(err error) error {
	if err == nil {
		return errors.New("the stream ended")
	}
	return err
}

// take delivers an event that was not delivered before.
func (w *watch) take(m events.Message) {
	at := time.Unix(0, m.TimeNano)
	key := eventKey{nano: m.TimeNano, id: m.Actor.ID, action: string(m.Action)}
	w.since = at
	if w.seen[key] {
		return
	}
	if len(w.order) == remembered {
		delete(w.seen, w.order[0])
		w.order = append(w.order[:0], w.order[1:]...)
	}
	w.seen[key] = true
	w.order = append(w.order, key)
	w.deliver(eventOf(m, at))
}

// eventOf takes apart what Docker throws together: an event's attributes are
// the container's labels and facts about the event.
func eventOf(m events.Message, at time.Time) Event {
	ev := Event{Action: string(m.Action), ID: m.Actor.ID, At: at, Labels: map[string]string{}}
	for k, v := range m.Actor.Attributes {
		switch k {
		case "name":
			ev.Name = v
		case "exitCode":
			ev.ExitCode, _ = strconv.Atoi(v)
		case "image", "signal", "execDuration":
		default:
			ev.Labels[k] = v
		}
	}
	return ev
}
