package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	contentType = "application/cloudevents+json"

	// seqHeader carries the Raft index of a state. A state has no message
	// id: the same index may be published again after a failover.
	seqHeader = "Serin-Seq"

	// maxForeign is how many messages that no outbox wrote may follow the last
	// event before LastEvent gives up.
	maxForeign = 1000
)

// ErrChain means that the stream's last message is not the one that this
// publisher continues: somebody else has published, who leads now or is
// ahead. Read LastEvent and go on after it, if still leading.
var ErrChain = errors.New("the stream has moved on")

// Event is one entry of the outbox.
type Event struct {
	// Seq is the event's place in the order of all events, rising, never 0:
	// the Raft index.
	Seq     uint64
	Subject string
	// Data is a CloudEvent in structured JSON mode.
	Data []byte
}

// link is the end of a chain as far as this publisher knows it.
type link struct {
	known  bool
	seq    uint64 // of the last message that an outbox wrote; 0: none
	stream uint64 // stream sequence of the last message of all
}

// LastEvent returns the Seq of the last event that the stream has confirmed;
// 0 if it holds none. Errors: ErrNoJetStream, ErrNoStream, ErrNotConnected,
// ctx's.
func (c *Conn) LastEvent(ctx context.Context) (uint64, error) {
	c.outbox.Lock()
	defer c.outbox.Unlock()
	last, err := c.readEnd(ctx)
	if err != nil {
		return 0, fmt.Errorf("read last event: %w", typedStream(err))
	}
	c.events = last
	return last.seq, nil
}

// PublishEvent appends an event behind the one of prevSeq (0: the stream holds
// none) and returns once the stream has confirmed it. It is idempotent: after
// an error whose outcome is unknown (a timeout), publish the same event again.
// It returns ErrChain if the stream ends in neither prevSeq nor the event
// itself; the stream checks that, so a deposed leader cannot append.
func (c *Conn) PublishEvent(ctx context.Context, ev Event, prevSeq uint64) error {
	if ev.Seq <= prevSeq {
		return fmt.Errorf("publish event %d behind %d: sequence must rise", ev.Seq, prevSeq)
	}
	if err := concrete(ev.Subject); err != nil {
		return err
	}
	c.outbox.Lock()
	defer c.outbox.Unlock()
	if !c.events.known || c.events.seq != prevSeq {
		last, err := c.readEnd(ctx)
		if err != nil {
			return fmt.Errorf("read last event: %w", typedStream(err))
		}
		if last.seq != prevSeq {
			return fmt.Errorf("publish event %d behind %d, but %d is last: %w", ev.Seq, prevSeq, last.seq, ErrChain)
		}
		c.events = last
	}
	ack, err := c.js.PublishMsg(ctx, eventMsg(ev),
		jetstream.WithExpectStream(EventsStream),
		jetstream.WithMsgID(strconv.FormatUint(ev.Seq, 10)),
		jetstream.WithExpectLastSequence(c.events.stream))
	if err == nil {
		c.events = link{known: true, seq: ev.Seq, stream: ack.Sequence}
		return nil
	}
	if err = typedChain(err); errors.Is(err, ErrChain) && c.isLast(ctx, ev.Seq) {
		return nil // stored by an earlier try
	}
	return fmt.Errorf("publish event %d: %w", ev.Seq, err)
}

// PublishState replaces the last state of a service. seq is the Raft index
// that the state is of; ErrChain if the stream holds a later one, so that a
// deposed leader cannot turn observers back. The same seq may be published
// again.
func (c *Conn) PublishState(ctx context.Context, service string, seq uint64, data []byte) error {
	subject := StateSubject(service)
	if err := concrete(subject); err != nil {
		return err
	}
	c.outbox.Lock()
	defer c.outbox.Unlock()
	last := c.states[service]
	if !last.known {
		var err error
		if last, err = c.readState(ctx, subject); err != nil {
			return fmt.Errorf("read last state of %s: %w", service, typedStream(err))
		}
	}
	if last.seq > seq {
		return fmt.Errorf("publish state %d of %s, but %d is last: %w", seq, service, last.seq, ErrChain)
	}
	msg := &nats.Msg{Subject: subject, Data: data, Header: Header{
		seqHeader:      {strconv.FormatUint(seq, 10)},
		"Content-Type": {"application/json"},
	}}
	ack, err := c.js.PublishMsg(ctx, msg,
		jetstream.WithExpectStream(StateStream), jetstream.WithExpectLastSequencePerSubject(last.stream))
	if err != nil {
		delete(c.states, service) // also after a timeout: it may have been stored
		return fmt.Errorf("publish state %d of %s: %w", seq, service, typedChain(err))
	}
	c.states[service] = link{known: true, seq: seq, stream: ack.Sequence}
	return nil
}

// Private

func eventMsg(ev Event) *nats.Msg {
	return &nats.Msg{Subject: ev.Subject, Data: ev.Data, Header: Header{"Content-Type": {contentType}}}
}

// isLast reads the end of the chain anew and reports whether it is seq.
func (c *Conn) isLast(ctx context.Context, seq uint64) bool {
	c.events = link{}
	last, err := c.readEnd(ctx)
	if err != nil {
		return false
	}
	c.events = last
	return last.seq == seq
}

// readEnd finds the last event. Messages without a number, which no outbox
// wrote, are passed over, but the chain continues behind them.
func (c *Conn) readEnd(ctx context.Context) (link, error) {
	stream, err := c.js.Stream(ctx, EventsStream)
	if err != nil {
		return link{}, err
	}
	// The handle comes with the state as of just now. What is appended after
	// that is no harm: the publish is then refused.
	state := stream.CachedInfo().State
	end := link{known: true, stream: state.LastSeq}
	foreign := 0
	for at := state.LastSeq; state.Msgs > 0 && at >= state.FirstSeq; at-- {
		msg, err := stream.GetMsg(ctx, at)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return link{}, err
		}
		if seq := eventSeq(msg.Header); seq > 0 {
			end.seq = seq
			return end, nil
		}
		if foreign++; foreign > maxForeign {
			return link{}, fmt.Errorf("the last %d messages of %s are no events of serin", maxForeign, EventsStream)
		}
	}
	return end, nil
}

func (c *Conn) readState(ctx context.Context, subject string) (link, error) {
	stream, err := c.js.Stream(ctx, StateStream)
	if err != nil {
		return link{}, err
	}
	msg, err := stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return link{known: true}, nil
	}
	if err != nil {
		return link{}, err
	}
	return link{known: true, seq: number(msg.Header.Get(seqHeader)), stream: msg.Sequence}, nil
}

// eventSeq returns 0 for a message that no outbox wrote.
func eventSeq(h Header) uint64 { return number(h.Get(jetstream.MsgIDHeader)) }

func number(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// typedChain is typedStream that knows the stream's refusals of a sequence.
func typedChain(err error) error {
	api, ok := errors.AsType[*jetstream.APIError](err)
	if ok && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		return fmt.Errorf("%w (%w)", ErrChain, err)
	}
	return typedStream(err)
}
