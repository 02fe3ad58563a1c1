package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
)

// A subscription that does not keep up drops what exceeds these.
const (
	pendingMessages = 65_536   // six seconds of reports of 10,000 hosts
	pendingBytes    = 32 << 20 // the same at 500 B each
)

// TraceHeader is the header that names the sender's place in a trace (W3C).
const TraceHeader = "traceparent"

// Header holds a message's headers; its keys keep their case.
type Header = nats.Header

// TraceOf returns the sender's place in a trace; empty if it names none. Libraries
// that take NATS's headers for those of HTTP write the name with a capital.
func TraceOf(h Header) string {
	if place := h.Get(TraceHeader); place != "" {
		return place
	}
	for name, values := range h {
		if strings.EqualFold(name, TraceHeader) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// Msg is a received message. Data belongs to the receiver.
type Msg struct {
	Subject string
	// Reply is where the sender waits for an answer; empty if it does not.
	Reply  string
	Header Header
	Data   []byte

	conn *Conn
}

// Respond answers the message; ErrNoReply if no answer is expected.
func (m Msg) Respond(data []byte) error {
	if m.Reply == "" || m.conn == nil {
		return ErrNoReply
	}
	return m.conn.Publish(m.Reply, data)
}

// ServiceError is a refusal by the responder of a Request.
type ServiceError struct {
	Code        string
	Description string
}

// Error implements error.
func (e *ServiceError) Error() string { return e.Description }

// Subscription is a running subscription.
type Subscription struct {
	conn   *Conn
	sub    *nats.Subscription
	closed chan struct{}
}

// Dropped returns how many messages have been dropped because the receiver
// was too slow.
func (s *Subscription) Dropped() int {
	n, err := s.sub.Dropped()
	if err != nil {
		return 0 // closed
	}
	return n
}

// Close ends the subscription; messages that wait are not delivered any more.
// The receiver may still be busy with one.
func (s *Subscription) Close() error {
	s.conn.forget(s)
	if err := s.sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) && !errors.Is(err, nats.ErrBadSubscription) {
		return fmt.Errorf("unsubscribe from %s: %w", s.sub.Subject, err)
	}
	return nil
}

// Publish sends data to whoever listens now. It returns ErrNotConnected
// rather than keep the message for later, and ErrSubject for a pattern.
func (c *Conn) Publish(subject string, data []byte) error {
	return c.PublishHeader(subject, nil, data)
}

// PublishHeader is Publish with headers.
func (c *Conn) PublishHeader(subject string, header Header, data []byte) error {
	if err := concrete(subject); err != nil {
		return err
	}
	if err := c.nc.PublishMsg(&nats.Msg{Subject: subject, Header: header, Data: data}); err != nil {
		return fmt.Errorf("publish on %s: %w", subject, c.typed(err))
	}
	return nil
}

// Subscribe calls f for each message on subject (or matching the pattern),
// one at a time, from a goroutine of the subscription. f must keep up: up to
// 65,536 messages or 32 MiB wait, the rest is dropped, counted and logged.
func (c *Conn) Subscribe(subject string, f func(Msg)) (*Subscription, error) {
	s := &Subscription{conn: c, closed: make(chan struct{})}
	sub, err := c.nc.Subscribe(subject, func(m *nats.Msg) { f(c.received(m)) })
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subject, c.typed(err))
	}
	s.sub = sub
	sub.SetClosedHandler(func(string) { close(s.closed) })
	if err := sub.SetPendingLimits(pendingMessages, pendingBytes); err != nil {
		return nil, fmt.Errorf("limit subscription to %s: %w", subject, err)
	}
	c.remember(s)
	return s, nil
}

// SubscribeTriggers calls f for each trigger at the moment that it is sent, so
// that a leader need not wait for the stream: for a request, which has a reply
// subject, and for one that is published and forgotten. The same trigger also
// arrives through ConsumeTriggers. Every replica that subscribes hears every
// trigger; one that does not lead stays silent.
func (c *Conn) SubscribeTriggers(f func(Msg)) (*Subscription, error) {
	return c.Subscribe(AllTriggers, f)
}

// Request sends data and waits for the first answer, until ctx ends. What a
// stream says of a trigger is no answer to it. Errors: ErrNoResponders,
// ErrNotConnected, ctx's, and *ServiceError (together with the message) if the
// responder refused.
func (c *Conn) Request(ctx context.Context, subject string, data []byte) (Msg, error) {
	return c.RequestHeader(ctx, subject, nil, data)
}

// RequestHeader is Request with headers.
func (c *Conn) RequestHeader(ctx context.Context, subject string, header Header, data []byte) (Msg, error) {
	if err := concrete(subject); err != nil {
		return Msg{}, err
	}
	ask := c.nc.RequestMsgWithContext
	if strings.HasPrefix(subject, strings.TrimSuffix(AllTriggers, ">")) {
		ask = c.requestStored
	}
	reply, err := ask(ctx, &nats.Msg{Subject: subject, Header: header, Data: data})
	if err != nil {
		return Msg{}, fmt.Errorf("request %s: %w", subject, c.typed(err))
	}
	m := c.received(reply)
	if description := reply.Header.Get(micro.ErrorHeader); description != "" {
		return m, &ServiceError{Code: reply.Header.Get(micro.ErrorCodeHeader), Description: description}
	}
	return m, nil
}

// Gather sends data and hands f every answer until f returns false or ctx ends,
// which is no error. Errors: ErrNoResponders, if nobody listens at all, and
// ErrNotConnected.
func (c *Conn) Gather(ctx context.Context, subject string, data []byte, f func(Msg) bool) error {
	if err := concrete(subject); err != nil {
		return err
	}
	m := &nats.Msg{Subject: subject, Reply: c.nc.NewInbox(), Data: data}
	inbox, err := c.nc.SubscribeSync(m.Reply)
	if err != nil {
		return fmt.Errorf("ask all on %s: %w", subject, c.typed(err))
	}
	defer func() { _ = inbox.Unsubscribe() }() // it fails where the connection is closed
	if err := c.nc.PublishMsg(m); err != nil {
		return fmt.Errorf("ask all on %s: %w", subject, c.typed(err))
	}
	for {
		reply, err := inbox.NextMsgWithContext(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("ask all on %s: %w", subject, c.typed(err))
		case len(reply.Data) == 0 && reply.Header.Get("Status") == "503":
			return fmt.Errorf("ask all on %s: %w", subject, ErrNoResponders)
		case !f(c.received(reply)):
			return nil
		}
	}
}

// Private

// requestStored requests on a subject that a stream takes, too, and passes over
// what that says: see triggersWindow.
func (c *Conn) requestStored(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	m.Reply = c.nc.NewInbox() // the client's own requests take one answer
	inbox, err := c.nc.SubscribeSync(m.Reply)
	if err != nil {
		return nil, err
	}
	defer func() { _ = inbox.Unsubscribe() }() // it fails where the connection is closed
	if err := c.nc.PublishMsg(m); err != nil {
		return nil, err
	}
	for {
		reply, err := inbox.NextMsgWithContext(ctx)
		if err != nil || !ofStream(reply.Data) {
			return reply, err
		}
	}
}

// ofStream reports whether JetStream has answered: {"stream":"SERIN_TRIGGERS",
// "seq":8,"duplicate":true}, or with an error.
func ofStream(data []byte) bool {
	var ack jetstream.PubAck
	return json.Unmarshal(data, &ack) == nil && ack.Stream != ""
}

func (c *Conn) received(m *nats.Msg) Msg {
	return Msg{Subject: m.Subject, Reply: m.Reply, Header: m.Header, Data: m.Data, conn: c}
}

func (c *Conn) remember(s *Subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subs[s] = struct{}{}
}

func (c *Conn) forget(s *Subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.subs, s)
}

// settle waits until what the subscriptions have received is handled. It does
// without the client's own drain, whose timers break the bubbles of
// testing/synctest.
func (c *Conn) settle(ctx context.Context) error {
	settled := make(chan struct{})
	if err := c.nc.Barrier(func() { close(settled) }); err != nil {
		return fmt.Errorf("settle subscriptions: %w", err)
	}
	select {
	case <-settled:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("settle subscriptions: %w", ctx.Err())
	}
}

// ended waits until no receiver runs any more. The connection is closed.
func (c *Conn) ended(ctx context.Context) error {
	c.mu.Lock()
	subs := c.subs
	c.subs = map[*Subscription]struct{}{}
	c.mu.Unlock()
	for s := range subs {
		select {
		case <-s.closed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the receiver of %s: %w", s.sub.Subject, ctx.Err())
		}
	}
	return nil
}
