package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// observerTTL is how long the server keeps the cursor of an observer that has
// gone.
const observerTTL = 30 * time.Second

// ErrNoState means that the bus holds no state of that service.
var ErrNoState = errors.New("no state of this service")

// Filter selects events. The zero value means all that are stored.
type Filter struct {
	// Service, Rollout and Kind must match if not empty. Kind may have dots.
	Service, Rollout, Kind string
	// FromSeq is the first event wanted, by its Seq: an observer that has seen
	// N asks for N+1.
	FromSeq uint64
	// Since leaves out what was stored earlier.
	Since time.Time
	// Follow waits for further events after the stored ones.
	Follow bool
}

// Validate returns ErrToken for a part that is no subject token.
func (f Filter) Validate() error {
	parts := []string{f.Service, f.Rollout}
	if f.Kind != "" {
		parts = append(parts, strings.Split(f.Kind, ".")...)
	}
	for i, part := range parts {
		if part == "" && i < 2 {
			continue // any
		}
		if err := ValidToken(part); err != nil {
			return err
		}
	}
	return nil
}

// EventMsg is an event as observers read it.
type EventMsg struct {
	// Seq is the event's number in the order of all events (the Raft index);
	// 0 if something other than serin's outbox published it.
	Seq uint64
	// StreamSeq is the position in the stream.
	StreamSeq              uint64
	Subject                string
	Service, Rollout, Kind string
	// Data is a CloudEvent in structured JSON mode.
	Data []byte
	// At is when the stream stored it.
	At time.Time
}

// StateMsg is the last state of a service.
type StateMsg struct {
	Service string
	// Seq is the Raft index that the state is of.
	Seq  uint64
	Data []byte
	At   time.Time
}

// Events hands the selected events to f in order, without gap or duplicate,
// over reconnections too. Without Follow it returns nil after the last one
// that was stored when it began. It returns f's error if f fails, ctx's when
// it ends, ErrNoStream and ErrNoJetStream if these are missing at the start;
// later interruptions are retried.
func (c *Conn) Events(ctx context.Context, filter Filter, f func(EventMsg) error) error {
	if err := filter.Validate(); err != nil {
		return fmt.Errorf("filter events: %w", err)
	}
	r := reader{conn: c, filter: filter, deliver: f}
	err := c.keepTrying(ctx, "find first event", func(func()) (bool, error) {
		err := r.locate(ctx)
		return !passing(err), err
	})
	if err != nil {
		return fmt.Errorf("find first event: %w", typedStream(err))
	}
	if r.drained() {
		return nil
	}
	return c.keepTrying(ctx, "read events", func(progress func()) (bool, error) { return r.read(ctx, progress) })
}

// LastState returns the last published state of a service, or ErrNoState.
func (c *Conn) LastState(ctx context.Context, service string) (StateMsg, error) {
	stream, err := c.js.Stream(ctx, StateStream)
	if err != nil {
		return StateMsg{}, fmt.Errorf("read state of %s: %w", service, typedStream(err))
	}
	msg, err := stream.GetLastMsgForSubject(ctx, StateSubject(service))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return StateMsg{}, fmt.Errorf("%s: %w", service, ErrNoState)
	}
	if err != nil {
		return StateMsg{}, fmt.Errorf("read state of %s: %w", service, typedStream(err))
	}
	return StateMsg{Service: service, Seq: number(msg.Header.Get(seqHeader)), Data: msg.Data, At: msg.Time}, nil
}

// Private

// passing reports whether JetStream has lost a server and has not elected
// another yet: one that died does not answer, one that lives says so.
func passing(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && api.ErrorCode == codeNoMetaLeader
}
