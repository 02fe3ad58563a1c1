package console

import (
	"cmp"
	"net/http"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/trace"
)

// errand is a command on its way to the leader: a span of its own, below that of the
// request if it was sent within a trace, else the first of a new one. The leader's is
// below it, and so is a rollout that comes of it. Where no traces are made it hands on
// the place that the request named.
type errand struct {
	traces *trace.Exporter
	told   trace.Command
	place  trace.Context
}

// Private

func (c *Console) begin(r *http.Request, told trace.Command) errand {
	told.Parent, _ = trace.Parse(r.Header.Get(bus.TraceHeader))
	told.Start = time.Now()
	e := errand{traces: c.cfg.Traces, told: told, place: told.Parent}
	if e.traces.On() {
		e.place = trace.Begin(told.Parent)
	}
	return e
}

func (e errand) header() bus.Header {
	if !e.place.Valid() {
		return nil
	}
	return bus.Header{bus.TraceHeader: {e.place.String()}}
}

// end tells what the command came to.
func (e errand) end(answer []byte, err error) {
	said, wrong := api.DecodeReply(answer)
	switch {
	case err != nil:
		e.told.Refused = unanswered(err)
	case wrong != nil:
		e.told.Refused = wrong.Error()
	case !said.OK:
		e.told.Refused = cmp.Or(said.Message, string(said.Code))
	default:
		e.told.Rollout = cmp.Or(said.Rollout, e.told.Rollout)
	}
	e.told.End = time.Now()
	span := e.told.Span()
	span.Name, span.At = "console "+e.told.Verb, e.place
	e.traces.Export(span)
}
