package agent

import (
	"context"
	"errors"
	"time"

	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/trace"
)

// places are the places in traces that the work of the last two epochs belongs to:
// that which a broadcast has told of, and that which is still worked on.
type places [2]placed

type placed struct {
	epoch uint64
	place trace.Context
}

// learn remembers an epoch's place.
func (p *places) learn(epoch uint64, place trace.Context) {
	older := 0
	for i, x := range p {
		if x.epoch == epoch {
			p[i].place = place
			return
		}
		if x.epoch < p[older].epoch {
			older = i
		}
	}
	if epoch > p[older].epoch {
		p[older] = placed{epoch, place}
	}
}

// of returns an epoch's place; no place if it is not known.
func (p *places) of(epoch uint64) trace.Context {
	for _, x := range p {
		if x.epoch == epoch {
			return x.place
		}
	}
	return trace.Context{}
}

// placesIn reads where in traces what is assigned belongs, by service: the header
// has a place for each assignment that a rollout is in flight of, in their order.
func placesIn(header bus.Header, all []rollout.Assignment) map[string]trace.Context {
	told := header[bus.TraceHeader]
	found := make(map[string]trace.Context, len(told))
	for _, as := range all {
		if as.Rollout == "" {
			continue
		}
		if len(told) == 0 {
			return nil // an earlier release, or one that means something else
		}
		if place, ok := trace.Parse(told[0]); ok {
			found[as.Service] = place
		}
		told = told[1:]
	}
	return found
}

func (s *service) learn(epoch uint64, place trace.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.places.learn(epoch, place)
}

// begin starts the account of an operation that is done for an assignment.
func (s *service) begin(a rollout.Assignment, op plan.Op) trace.Op {
	s.mu.Lock()
	defer s.mu.Unlock()
	return trace.Op{
		Name: kindOf(op), Text: op.String(), Host: s.agent.cfg.Host, Service: s.name, Rollout: a.Rollout, Epoch: a.Epoch,
		Parent: s.places.of(a.Epoch), Start: time.Now(), Tries: 1,
	}
}

// did ends it. What is tried again, or goes on, is one span, which is told when
// something else is done, or nothing is left to do. It is converge's.
func (s *service) did(op trace.Op, err error, leftOff bool) {
	if !op.Parent.Valid() {
		return
	}
	op.End = time.Now()
	if op.Err = err; leftOff || errors.Is(err, errTurned) || errors.Is(err, errNotReady) {
		op.Err = nil
	}
	if was := s.memory.op; was.Parent == op.Parent && was.Text == op.Text {
		op.Start, op.Tries = was.Start, was.Tries+1
	} else {
		s.tellOp()
	}
	s.memory.op = op
}

// tellOp exports the span of the last operation.
func (s *service) tellOp() {
	if s.memory.op.Parent.Valid() {
		s.agent.out.traces.Export(s.memory.op.Span())
	}
	s.memory.op = trace.Op{}
}

// lowered exports the span of a reflex.
func (s *service) lowered(began time.Time, limit int) {
	s.mu.Lock()
	epoch, id := s.post.Fence, s.post.Assigned.Rollout
	op := trace.Op{
		Name: "lower", Text: "lower the canary to " + rollout.Percent(limit), Host: s.agent.cfg.Host, Service: s.name, Rollout: id, Epoch: epoch,
		Parent: s.places.of(epoch), Start: began, End: time.Now(), Tries: 1,
	}
	s.mu.Unlock()
	if op.Parent.Valid() {
		s.agent.out.traces.Export(op.Span())
	}
}

// traces starts to export traces, if they are wanted.
func (c Config) traces(ctx context.Context) *trace.Exporter {
	all := c.Trace
	all.Program, all.Host, all.Instance, all.Version = "serin-agent", c.Host, c.Host, c.Version
	all.Log = c.Log.With().Str("component", "traces").Logger()
	return trace.Open(ctx, all)
}
