package coordinator

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/serin-rollouts/serin/coordinator/control"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	streamsPause   = 10 * time.Second
	journalTimeout = 10 * time.Second // of one publish: a failover of the stream takes up to 8 s
	journalPause   = 500 * time.Millisecond
	noRollout      = "none" // in the subject of an event before there was a rollout
)

// journal publishes the outbox of the state, in order and without gaps, and
// the last state of each service. It runs beside the decisions: the stream may
// stall for seconds without anybody waiting for it but observers.
type journal struct {
	leader *leader
	last   uint64            // last event that the stream holds
	known  bool              // last has been read from the stream
	states map[string]uint64 // index of the state published, by service
}

func newJournal(l *leader) *journal { return &journal{leader: l, states: map[string]uint64{}} }

// run publishes until ctx ends. A new leader continues after what the stream
// holds.
func (j *journal) run(ctx context.Context) error {
	for ctx.Err() == nil {
		changed := j.leader.ledger.Changed()
		s := j.leader.ledger.State()
		if err := j.catchUp(ctx, s); err != nil {
			if ctx.Err() == nil && !errors.Is(err, bus.ErrChain) {
				j.leader.log.Warn().Err(err).Int("outbox", len(s.Outbox)).Msg("journal waits for the stream")
			}
			j.known = false
			pause(ctx, journalPause)
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return nil
}

// Private

func (j *journal) catchUp(ctx context.Context, s *rollout.State) error {
	if !j.known {
		if err := j.locate(ctx, s); err != nil {
			return err
		}
	}
	for _, e := range s.Outbox {
		if e.Seq <= j.last {
			continue
		}
		if err := j.publish(ctx, e); err != nil {
			return err
		}
	}
	return j.publishStates(ctx, s)
}

// locate finds where the stream ends.
func (j *journal) locate(ctx context.Context, s *rollout.State) error {
	ctx, stop := context.WithTimeout(ctx, journalTimeout)
	defer stop()
	last, err := j.leader.bus.LastEvent(ctx)
	if err != nil {
		return err
	}
	if last > s.EventSeq {
		j.leader.log.Error().Uint64("stream", last).Uint64("state", s.EventSeq).
			Msg("the event stream is ahead of the state: it belongs to another history")
	}
	if len(s.Outbox) > 0 && last+1 < s.Outbox[0].Seq {
		j.leader.log.Error().Uint64("stream", last).Uint64("outbox", s.Outbox[0].Seq).
			Msg("the event stream has lost events that it had confirmed")
	}
	j.set(last)
	j.known = true
	return nil
}

func (j *journal) publish(ctx context.Context, e rollout.Event) error {
	data, err := event.Encode(j.leader.source, e)
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, journalTimeout)
	defer stop()
	id := e.Rollout
	if id == "" {
		id = noRollout
	}
	subject := bus.EventSubject(e.Service, id, string(e.Kind))
	if err := j.leader.bus.PublishEvent(ctx, bus.Event{Seq: e.Seq, Subject: subject, Data: data}, j.last); err != nil {
		return err
	}
	j.set(e.Seq)
	return nil
}

// set remembers what the stream holds, for the stamp of the next command.
func (j *journal) set(seq uint64) {
	j.last = seq
	j.leader.confirmed.Store(seq)
}

// publishStates replaces the last state of each service that has moved.
func (j *journal) publishStates(ctx context.Context, s *rollout.State) error {
	for _, name := range s.Names() {
		svc := s.Services[name]
		if j.states[name] == svc.Epoch {
			continue
		}
		data, err := json.Marshal(control.ServiceStatus(s, name, control.View{}))
		if err != nil {
			return err
		}
		bounded, stop := context.WithTimeout(ctx, journalTimeout)
		err = j.leader.bus.PublishState(bounded, name, svc.Epoch, data)
		stop()
		if err != nil && !errors.Is(err, bus.ErrChain) {
			return err
		}
		j.states[name] = svc.Epoch
	}
	return nil
}

// streams sees to it that the streams are there. Without them rollouts run, but
// triggers have to be requests with an id, and events stay in the outbox.
func (l *leader) streams(ctx context.Context) error {
	for l.copies > 0 && ctx.Err() == nil {
		err := l.bus.EnsureStreams(ctx, l.copies)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			l.log.Error().Err(err).Msg("streams are missing")
		}
		pause(ctx, streamsPause)
	}
	return nil
}
