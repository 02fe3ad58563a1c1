package coordinator

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/trace"
)

// tracePause is before the stream is asked again for events that it has not given.
const tracePause = 2 * time.Second

// tracing makes traces of this coordinator's rollouts. One that is nil, or whose
// exporter is, makes none.
type tracing struct {
	exporter *trace.Exporter
	source   string
	done     atomic.Uint64 // last event of which this process has exported spans
}

// of returns the present place of a service's running rollout in its trace, as a
// traceparent; "" if none runs, or no traces are made.
func (t *tracing) of(svc *rollout.Service) string {
	if t == nil || !t.exporter.On() || svc.Active == nil {
		return ""
	}
	r := svc.Active
	return trace.Of(t.source, *r).At(r.Phase, r.Step+1).String()
}

// Sent returns what the state is to hold of the place where a rollout was asked
// for: nothing, if no traces are made, or an earlier release has to read it.
func (t *tracing) Sent(sent string, level int) string {
	if t == nil || !t.exporter.On() || level < rollout.LevelTrace {
		return ""
	}
	c, _ := trace.Parse(sent)
	return c.String()
}

// Commanded tells of a command, in the trace that it was sent in.
func (t *tracing) Commanded(c trace.Command) {
	if t != nil && c.Parent.Valid() {
		t.exporter.Export(c.Span())
	}
}

// header carries places: of a broadcast the one, of assignments one for each that
// a rollout is in flight of, in their order.
func (t *tracing) header(places ...string) bus.Header {
	if len(places) == 0 || places[0] == "" {
		return nil
	}
	return bus.Header{bus.TraceHeader: places}
}

// trace exports the spans of rollouts, as the stream has the events that end them:
// these are there once, in their order, whoever led. What the state does not know
// to be in the stream may have been exported by the last leader, and is again.
func (l *leader) trace(ctx context.Context) error {
	t := l.tracing
	if t == nil || !t.exporter.On() {
		return nil
	}
	s := l.ledger.State()
	next := s.EventSeq + 1
	if len(s.Outbox) > 0 {
		next = s.Outbox[0].Seq
	}
	next = max(next, t.done.Load()+1)
	known := map[string][]rollout.Event{} // by rollout
	for ctx.Err() == nil {
		err := l.bus.Events(ctx, bus.Filter{FromSeq: next, Follow: true}, func(m bus.EventMsg) error {
			err := l.traceEvent(ctx, known, m)
			if err == nil {
				next = m.Seq + 1
				t.done.Store(m.Seq)
			}
			return err
		})
		if ctx.Err() == nil {
			l.log.Debug().Err(err).Msg("traces wait for the event stream")
		}
		pause(ctx, tracePause)
	}
	return nil
}

// Private

// traceEvent exports the spans that an event ends.
func (l *leader) traceEvent(ctx context.Context, known map[string][]rollout.Event, m bus.EventMsg) error {
	e, err := event.Decode(m.Data)
	if errors.Is(err, event.ErrForeign) || err == nil && !event.Of(e, e.Rollout) {
		return nil
	}
	if err != nil {
		return err
	}
	r, ok := l.ledger.State().Find(e.Rollout)
	if !ok {
		return nil // long gone
	}
	events, ok := known[r.ID]
	if !ok {
		if events, err = l.earlier(ctx, r, e.Seq); err != nil {
			return err
		}
	}
	known[r.ID] = append(events, e)
	for _, span := range trace.Of(l.tracing.source, r).Spans(known[r.ID]) {
		if span.Seq == e.Seq {
			l.tracing.exporter.Export(span)
		}
	}
	if e.Phase.Final() {
		delete(known, r.ID)
	}
	return nil
}

// earlier reads the events of a rollout before one of them.
func (l *leader) earlier(ctx context.Context, r rollout.Rollout, before uint64) ([]rollout.Event, error) {
	var events []rollout.Event
	err := l.bus.Events(ctx, bus.Filter{Service: r.Service, Rollout: r.ID}, func(m bus.EventMsg) error {
		e, err := event.Decode(m.Data)
		if err == nil && e.Seq < before && event.Of(e, r.ID) {
			events = append(events, e)
		}
		if errors.Is(err, event.ErrForeign) {
			return nil
		}
		return err
	})
	return events, err
}
