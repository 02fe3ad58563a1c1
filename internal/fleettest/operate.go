package fleettest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	requestTimeout = 45 * time.Second
	askAgain       = 500 * time.Millisecond
)

// errUndecided is an answer after which one with an id is sent again.
var errUndecided = errors.New("nothing is decided yet")

// Trigger asks for a rollout of Service and returns the answer. It asks again
// while nobody answers, or nothing is decided, which a trigger without an id
// bears only where none was delivered.
// Its Trace goes into the header.
func (f *Fleet) Trigger(t api.Trigger) api.Reply {
	f.t.Helper()
	data, err := json.Marshal(t)
	if err != nil {
		f.t.Fatal(err)
	}
	var reply api.Reply
	f.askWith(bus.Header{bus.TraceHeader: {t.Trace}}, bus.TriggerSubject(Service), data, t.ID != "", func(answer []byte) error {
		reply, err = api.DecodeReply(answer)
		if err == nil && reply.Code == rollout.CodeBusy && t.ID != "" {
			return fmt.Errorf("%w: %s", errUndecided, reply.Message)
		}
		return err
	})
	return reply
}

// Start is Trigger for one that has to be accepted; it returns the rollout's id.
func (f *Fleet) Start(t api.Trigger) string {
	f.t.Helper()
	r := f.Trigger(t)
	if !r.OK {
		f.t.Fatalf("trigger refused: %+v", r)
	}
	return r.Rollout
}

// Publish publishes a trigger plainly.
func (f *Fleet) Publish(t api.Trigger) {
	f.t.Helper()
	data, err := json.Marshal(t)
	if err == nil {
		err = f.conn.Publish(bus.TriggerSubject(Service), data)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// Command sends an operator's verb for Service.
func (f *Fleet) Command(verb string, c api.Command) api.Reply {
	f.t.Helper()
	data, err := json.Marshal(c)
	if err != nil {
		f.t.Fatal(err)
	}
	var reply api.Reply
	f.askWith(traced(c.Trace), bus.CommandSubject(verb, Service), data, true, func(answer []byte) error {
		reply, err = api.DecodeReply(answer)
		return err
	})
	return reply
}

// Hosts returns the hosts as the leader sees them.
func (f *Fleet) Hosts() []api.HostStatus {
	f.t.Helper()
	var hosts []api.HostStatus
	f.ask(bus.GetSubject(api.GetHosts, ""), nil, true, func(answer []byte) (err error) {
		hosts, err = api.DecodeAnswer[[]api.HostStatus](answer)
		return err
	})
	return hosts
}

// Status returns how the service is, as the leader sees it.
func (f *Fleet) Status() api.ServiceStatus {
	f.t.Helper()
	var status api.ServiceStatus
	f.ask(bus.GetSubject(api.GetService, Service), nil, true, func(answer []byte) (err error) {
		status, err = api.DecodeAnswer[api.ServiceStatus](answer)
		return err
	})
	return status
}

// Install brings a version of the service on all hosts; more is put into its
// rollout file, like `,"replicas":2`.
func (f *Fleet) Install(version, more string) string {
	f.t.Helper()
	f.Push(version, App{})
	id := f.Start(api.Trigger{ID: "install-" + version, Spec: Spec(version, more)})
	f.Until(id, rollout.Succeeded)
	return id
}

// Spec is a rollout file of Service.
func Spec(version, more string) json.RawMessage {
	return json.RawMessage(`{"service":"` + Service + `","image":"` + Image(version) + `","container":{"port":8080},"listen":":8443"` + more + `}`)
}

// Until waits, at most a day of virtual time, until a rollout is in one of the
// phases. It fails the test if it ends in another.
func (f *Fleet) Until(id string, phases ...rollout.Phase) rollout.Rollout {
	f.t.Helper()
	var r rollout.Rollout
	f.eventually(id, 24*time.Hour, func() bool {
		var found bool
		r, found = f.State().Find(id)
		return found && (slices.Contains(phases, r.Phase) || r.Phase.Final())
	})
	if !slices.Contains(phases, r.Phase) {
		f.t.Fatalf("%s has ended %s, not %v (%s: %s)", id, r.Phase, phases, r.Cause, r.Text)
	}
	return r
}

// UntilStep waits until a rollout has come to a step, from 1, and stands there.
func (f *Fleet) UntilStep(id string, step int) {
	f.t.Helper()
	f.eventually(id+" at a step", 24*time.Hour, func() bool {
		r, _ := f.State().Find(id)
		if r.Phase.Final() {
			f.t.Fatalf("%s has ended %s before step %d (%s: %s)", id, r.Phase, step, r.Cause, r.Text)
		}
		return (r.Phase == rollout.Progressing || r.Phase == rollout.Paused) && r.Step+1 >= step && f.settled()
	})
}

// UntilTold waits until an observer has heard of such an event of a rollout.
func (f *Fleet) UntilTold(id string, kind rollout.Kind) {
	f.t.Helper()
	f.eventually(id+" "+string(kind), time.Hour, func() bool {
		return slices.ContainsFunc(f.Follow(id), func(e rollout.Event) bool { return e.Kind == kind })
	})
}

// UntilHeard waits until an observer has heard of an event of that number.
func (f *Fleet) UntilHeard(seq uint64) {
	f.t.Helper()
	f.eventually(fmt.Sprintf("event %d", seq), time.Hour, func() bool { return f.observer.next() > seq })
}

// Follow returns what an observer who has been there from the beginning has
// heard of a rollout by now; of everything, if id is empty.
func (f *Fleet) Follow(id string) []rollout.Event {
	all := f.observer.all()
	if id == "" {
		return all
	}
	return slices.DeleteFunc(all, func(e rollout.Event) bool { return e.Rollout != id })
}

// Private

// settled reports whether every host says that it is as it should be.
func (f *Fleet) settled() bool {
	hosts := f.Hosts()
	for _, h := range hosts {
		for _, s := range h.Services {
			if s.Behind || !s.Settled {
				return false
			}
		}
	}
	return len(hosts) > 0
}

// ask requests until somebody answers.
func (f *Fleet) ask(subject string, data []byte, repeat bool, take func([]byte) error) {
	f.t.Helper()
	f.askWith(nil, subject, data, repeat, take)
}

func (f *Fleet) askWith(header bus.Header, subject string, data []byte, repeat bool, take func([]byte) error) {
	f.t.Helper()
	var last error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(askAgain) {
		ctx, stop := context.WithTimeout(f.ctx, requestTimeout)
		m, err := f.conn.RequestHeader(ctx, subject, header, data)
		stop()
		away := errors.Is(err, bus.ErrNoResponders) || errors.Is(err, bus.ErrNotConnected)
		if last = err; err != nil {
			if away || repeat {
				continue
			}
			f.t.Fatalf("request %s: %v", subject, err)
		}
		if last = take(m.Data); errors.Is(last, errUndecided) {
			continue
		}
		if last != nil {
			f.t.Fatalf("request %s: %v", subject, last)
		}
		return
	}
	f.t.Fatalf("request %s: nobody has answered within %s: %v", subject, patience, last)
}

// eventually waits for what has to come.
func (f *Fleet) eventually(what string, limit time.Duration, ok func() bool) {
	f.t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(250 * time.Millisecond) {
		if ok() {
			return
		}
	}
	f.t.Fatalf("%s: not within %s", what, limit)
}

// revision returns the id of the revision of a version.
func (f *Fleet) revision(version string) string {
	f.t.Helper()
	svc := f.State().Services[Service]
	if svc == nil {
		f.t.Fatalf("%s is not installed", Service)
	}
	if svc.Active != nil && svc.Active.To.Version() == version {
		return svc.Active.To.ID
	}
	if svc.Stable != nil && svc.Stable.Version() == version {
		return svc.Stable.ID
	}
	f.t.Fatalf("%s is neither stable nor on its way", version)
	return ""
}

// observer follows all events from the beginning, over everything that happens.
type observer struct {
	mu     sync.Mutex
	events []rollout.Event
}

func newObserver() *observer { return &observer{} }

func (o *observer) run(ctx context.Context, conn *bus.Conn) {
	for ctx.Err() == nil {
		_ = conn.Events(ctx, bus.Filter{FromSeq: o.next(), Follow: true}, o.hear) // it ends while there is no stream
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (o *observer) next() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.events) == 0 {
		return 1
	}
	return o.events[len(o.events)-1].Seq + 1
}

func (o *observer) hear(m bus.EventMsg) error {
	e, err := event.Decode(m.Data)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, e)
	return nil
}

func (o *observer) all() []rollout.Event {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.events)
}

// traced is the header of what is sent within a trace.
func traced(place string) bus.Header {
	if place == "" {
		return nil
	}
	return bus.Header{bus.TraceHeader: {place}}
}
