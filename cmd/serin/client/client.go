// Package client asks the coordinator on behalf of a person: it finds the
// leader, waits out a failover, and says plainly why nobody answers.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	pause  = 100 * time.Millisecond // between two tries
	jitter = 50 * time.Millisecond  // a person waits, and there is no herd of them

	// attempt is how long one question may stay unanswered before it is asked
	// again, if asking twice does no harm.
	attempt = 2 * time.Second
	// triggerAttempt is longer: a trigger is answered only after the image has
	// been looked up on hosts. A repetition joins the first.
	triggerAttempt = 10 * time.Second
	// explainAttempt is longer than a coordinator waits for the stream of events.
	explainAttempt = 4 * time.Second
)

// Config says whom to ask, and how patiently.
type Config struct {
	// Bus says how to connect; its Log and ReconnectJitter are filled in.
	Bus bus.Config
	// Wait bounds the search for a coordinator that answers.
	Wait time.Duration
	// Trace is where in a trace (W3C's traceparent) commands are sent; may be empty.
	Trace string
	// Verbose receives the connection's story; nil for none.
	Verbose io.Writer
}

// Client asks over one connection. It is safe for concurrent use.
type Client struct {
	conn    *bus.Conn
	wait    time.Duration
	trace   string
	trouble *trouble
	servers []string
}

// Dial connects. Where no server is reachable that shows at the first
// question; an error here is a wrong Config.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	c := &Client{wait: cfg.Wait, trace: cfg.Trace, trouble: &trouble{next: cfg.Verbose}, servers: cfg.Bus.URLs}
	cfg.Bus.Log = zerolog.New(c.trouble)
	cfg.Bus.ReconnectJitter = jitter
	conn, err := bus.Connect(ctx, cfg.Bus)
	if err != nil {
		return nil, err
	}
	c.conn = conn
	return c, nil
}

// Close disconnects; what was published is sent before.
func (c *Client) Close() error { return c.conn.Close() }

// Within returns the same client with another patience.
func (c *Client) Within(wait time.Duration) *Client {
	other := *c
	other.wait = wait
	return &other
}

// Get reads what get.<what>[.<id>] has; its error is a *rollout.Refusal if the
// coordinator refused, and *Unreachable if none answered.
func Get[T any](ctx context.Context, c *Client, what, id string) (T, error) {
	var zero T
	m, err := c.ask(ctx, question{subject: bus.GetSubject(what, id), attempt: attempt, wait: c.wait, again: true})
	if err != nil {
		return zero, err
	}
	return api.DecodeAnswer[T](m.Data)
}

// Diff reads how a rollout differs from another of its service; errors as Get's.
func (c *Client) Diff(ctx context.Context, from, to string) (api.Diff, error) {
	data, err := json.Marshal(api.DiffWith{From: from})
	if err != nil {
		return api.Diff{}, fmt.Errorf("encode diff: %w", err)
	}
	m, err := c.ask(ctx, question{subject: bus.GetSubject(api.GetDiff, to), data: data, attempt: attempt, wait: c.wait, again: true})
	if err != nil {
		return api.Diff{}, err
	}
	return api.DecodeAnswer[api.Diff](m.Data)
}

// Explain reads get.explain.<id>, patiently; errors as Get's.
func Explain(ctx context.Context, c *Client, id string) (api.RolloutDetail, error) {
	m, err := c.ask(ctx, question{
		subject: bus.GetSubject(api.GetExplain, id), attempt: explainAttempt, wait: max(c.wait, explainAttempt), again: true,
	})
	if err != nil {
		return api.RolloutDetail{}, err
	}
	return api.DecodeAnswer[api.RolloutDetail](m.Data)
}

// Command carries out a verb on a service; errors as Get's. It is not repeated
// after it has been sent: twice may mean two steps.
func (c *Client) Command(ctx context.Context, verb, service string, body any) (api.Reply, error) {
	return c.command(ctx, verb, service, body, question{attempt: c.wait})
}

// Repeatable is Command for a body with an id: it may be asked again.
func (c *Client) Repeatable(ctx context.Context, verb, service string, body api.Command) (api.Reply, error) {
	return c.command(ctx, verb, service, body, question{attempt: attempt, again: body.ID != ""})
}

// Plan asks what a trigger would do; errors as Get's.
func (c *Client) Plan(ctx context.Context, service string, t api.Trigger) (api.Plan, error) {
	data, err := json.Marshal(t)
	if err != nil {
		return api.Plan{}, fmt.Errorf("encode trigger: %w", err)
	}
	wait := max(c.wait, triggerAttempt)
	m, err := c.ask(ctx, question{
		subject: bus.CommandSubject(api.PlanVerb, service), data: data, attempt: triggerAttempt, wait: wait, again: true,
	})
	if err != nil {
		return api.Plan{}, err
	}
	return api.DecodeAnswer[api.Plan](m.Data)
}

// Trigger asks for a rollout, patiently: for wait in all. t needs an ID, which
// makes a repetition harmless. Errors as Get's.
func (c *Client) Trigger(ctx context.Context, service string, t api.Trigger, wait time.Duration) (api.Reply, error) {
	data, err := json.Marshal(t)
	if err != nil {
		return api.Reply{}, fmt.Errorf("encode trigger: %w", err)
	}
	return c.reply(c.ask(ctx, question{
		subject: bus.TriggerSubject(service), header: traced(t.Trace), data: data,
		attempt: triggerAttempt, wait: wait, again: true, stored: true,
	}))
}

// Fire publishes a trigger and waits for nobody: the stream keeps it until a
// leader takes it. An error means that it was not sent.
func (c *Client) Fire(ctx context.Context, service string, t api.Trigger) error {
	data, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("encode trigger: %w", err)
	}
	ctx, stop := context.WithTimeout(ctx, c.wait)
	defer stop()
	for {
		err := c.conn.PublishHeader(bus.TriggerSubject(service), traced(t.Trace), data)
		if !errors.Is(err, bus.ErrNotConnected) {
			return err
		}
		if !rest(ctx) {
			return c.unreachable(question{subject: bus.TriggerSubject(service), wait: c.wait}, err)
		}
	}
}

// Events hands the selected events to f, each with the CloudEvent that it came
// in; what is not serin's is passed over. See bus.Conn.Events.
func (c *Client) Events(ctx context.Context, filter bus.Filter, f func(rollout.Event, []byte) error) error {
	ctx, release := c.permitted(ctx)
	defer release()
	for {
		err := c.conn.Events(ctx, filter, func(m bus.EventMsg) error {
			e, err := event.Decode(m.Data)
			if errors.Is(err, event.ErrForeign) {
				return nil
			}
			if err != nil {
				return err
			}
			return f(e, m.Data)
		})
		if forbidden, ok := errors.AsType[*Unreachable](context.Cause(ctx)); ok {
			return forbidden
		}
		if !errors.Is(err, bus.ErrNotConnected) || c.conn.Connected() {
			return err
		}
		if !rest(ctx) {
			return c.unreachable(question{subject: bus.AllEvents}, err)
		}
	}
}

// Reach waits until there is a connection, and returns which server it is with and
// how long that takes to answer; its error is *Unreachable.
func (c *Client) Reach(ctx context.Context) (server string, took time.Duration, err error) {
	ctx, stop := context.WithTimeout(ctx, c.wait)
	defer stop()
	for {
		if took, err = c.conn.RoundTrip(ctx); err == nil && c.conn.Connected() {
			return c.conn.ConnectedURL(), took, nil
		}
		if !rest(ctx) {
			return "", 0, c.unreachable(question{wait: c.wait}, bus.ErrNotConnected)
		}
	}
}

// Standings asks every replica how it stands, also where none leads: all that
// answer within some time, each once, in no order.
func (c *Client) Standings(ctx context.Context, wait time.Duration) ([]api.Standing, error) {
	ctx, stop := context.WithTimeout(ctx, wait)
	defer stop()
	all := map[string]api.Standing{}
	err := c.conn.Gather(ctx, bus.GetSubject(api.GetStanding, ""), nil, func(m bus.Msg) bool {
		if s, err := api.DecodeAnswer[api.Standing](m.Data); err == nil {
			all[s.ID] = s
		}
		return true
	})
	if errors.Is(err, bus.ErrNoResponders) {
		err = nil
	}
	return slices.Collect(maps.Values(all)), err
}

// LastEvent returns the number of the last event that is stored; 0 if there is
// none.
func (c *Client) LastEvent(ctx context.Context) (uint64, error) {
	for {
		last, err := c.conn.LastEvent(ctx)
		if !errors.Is(err, bus.ErrNotConnected) || c.conn.Connected() {
			return last, err
		}
		if !rest(ctx) {
			return 0, c.unreachable(question{subject: bus.AllEvents}, err)
		}
	}
}

// Private

// traced is the header that says where in a trace something is sent, if it is.
func traced(place string) bus.Header {
	if place == "" {
		return nil
	}
	return bus.Header{bus.TraceHeader: {place}}
}

// permitted ends a context when the server says that the stream of events may not
// be read: JetStream stays silent then, as if it were away. The cause is an
// *Unreachable.
func (c *Client) permitted(ctx context.Context) (_ context.Context, release func()) {
	ctx, end := context.WithCancelCause(ctx)
	forget := c.trouble.watch(func() {
		if c.trouble.forbidsReading() {
			end(&Unreachable{Servers: strings.Join(c.servers, ","), Trouble: c.trouble.said()})
		}
	})
	return ctx, func() {
		forget()
		end(nil)
	}
}

// question is one request and how to put it.
type question struct {
	subject string
	header  bus.Header
	data    []byte
	attempt time.Duration // one try
	wait    time.Duration // all of them
	again   bool          // asking twice does no harm
	stored  bool          // the stream keeps it, answered or not
}

// ask puts the question until somebody answers it.
func (c *Client) ask(ctx context.Context, q question) (bus.Msg, error) {
	all, stop := context.WithTimeout(ctx, q.wait)
	defer stop()
	for {
		m, err := c.try(all, q)
		switch {
		case err == nil:
			return m, nil
		case ctx.Err() != nil:
			return m, context.Cause(ctx)
		case !temporary(err, q.again):
			return m, err
		case c.trouble.forbids(q.subject):
			return m, c.unreachable(q, err)
		case !rest(all):
			if ctx.Err() != nil {
				return m, context.Cause(ctx)
			}
			return m, c.unreachable(q, err)
		}
	}
}

func (c *Client) try(ctx context.Context, q question) (bus.Msg, error) {
	ctx, stop := context.WithTimeout(ctx, q.attempt)
	defer stop()
	m, err := c.conn.RequestHeader(ctx, q.subject, q.header, q.data)
	if _, ok := errors.AsType[*bus.ServiceError](err); ok && json.Valid(m.Data) && len(m.Data) > 0 {
		return m, nil // the refusal stands in the body
	}
	return m, err
}

// temporary reports whether to ask again. What was sent and not answered may
// have been carried out.
func temporary(err error, again bool) bool {
	if refused, ok := errors.AsType[*bus.ServiceError](err); ok {
		return refused.Code == bus.CodeStopping
	}
	if errors.Is(err, bus.ErrNoResponders) || errors.Is(err, bus.ErrNotConnected) {
		return true
	}
	return again && errors.Is(err, context.DeadlineExceeded)
}

func (c *Client) command(ctx context.Context, verb, service string, body any, q question) (api.Reply, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return api.Reply{}, fmt.Errorf("encode %s: %w", verb, err)
	}
	q.subject, q.data, q.wait = bus.CommandSubject(verb, service), data, c.wait
	q.header = traced(c.trace)
	return c.reply(c.ask(ctx, q))
}

func (c *Client) reply(m bus.Msg, err error) (api.Reply, error) {
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = c.unreachable(question{subject: m.Subject, wait: c.wait}, err)
		}
		return api.Reply{}, err
	}
	r, err := api.DecodeReply(m.Data)
	if err != nil {
		return r, err
	}
	if refusal := r.Refusal(); refusal != nil {
		return r, refusal
	}
	return r, nil
}

// rest returns false if ctx ends before the pause between two tries.
func rest(ctx context.Context) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
