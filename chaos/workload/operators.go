package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/localfleet"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Service is one that operators roll out, again and again.
type Service struct {
	Name string
	File func(Choice) string  // the rollout file
	Next func() Choice        // what to roll out next
	Rest func() time.Duration // between two rollouts
}

// Choice is a version to roll out. What goes with a version is always the same.
type Choice struct {
	Version   string
	Ill       string // what is wrong with it; empty: nothing
	Harmless  bool   // it may become stable: a person may pass over the gates
	Approvals []int  // steps that wait for a person, from 1
	Wide      bool   // its first step is on all hosts
}

// callPatience bounds one call of an operator.
const callPatience = 8 * time.Second

// Operators are whoever starts, follows and disturbs the rollouts of one service.
type Operators struct {
	Service Service
	Hosts   []string // of the fleet
	Conn    *bus.Conn
	Log     *history.Log
	Chance  *rand.Rand // for Disturb
	Hand    *rand.Rand // for Steer
	Number  int        // of the first client of Clients

	resting atomic.Bool // nobody is to roll anything out

	mu       sync.Mutex
	sent     int
	last     *ticket // the last trigger that was sent
	harmless map[string]bool
}

// Clients is how many clients the operators of a service are.
const Clients = 4

// ticket is a trigger as it was sent, to be sent again.
type ticket struct {
	id, version string
	replace     bool
	data        []byte
}

// Install rolls the first version out and waits for its end.
func (o *Operators) Install(ctx context.Context, c Choice) error {
	id := o.send(ctx, o.Number, c)
	for ctx.Err() == nil {
		v, err := o.look(ctx, o.Number)
		if err == nil && v.Running == "" && v.Stable == c.Version {
			return nil
		}
		pause(ctx, 200*time.Millisecond)
	}
	return fmt.Errorf("install %s as %s (%s): %w", c.Version, o.Service.Name, id, ctx.Err())
}

// Deliver rolls out one version after another, each when the one before has
// ended, until ctx ends or count rollouts were begun; count 0 is no bound.
func (o *Operators) Deliver(ctx context.Context, count int) {
	for i := 0; (count == 0 || i < count) && ctx.Err() == nil; i++ {
		o.send(ctx, o.Number, o.Service.Next())
		o.AwaitEnd(ctx)
		o.resting.Store(true)
		pause(ctx, o.Service.Rest())
		o.resting.Store(false)
	}
}

// Disturb does what a person should not do while a rollout runs: repeats
// triggers, sends others, looks all the time, and now and then aborts.
func (o *Operators) Disturb(ctx context.Context) {
	const looks, repeats, rivals, pauses = 60, 78, 94, 99 // of 100; the rest are aborts
	const replaces, leaves = 10, 8                        // one rival in so many replaces what runs, one pause in so many is left to itself
	client := o.Number + 1
	for ctx.Err() == nil {
		pause(ctx, time.Duration(o.Chance.IntN(1500))*time.Millisecond)
		switch n := o.Chance.IntN(100); {
		case n < looks, n < rivals && o.resting.Load():
			_, _ = o.look(ctx, client) // what it saw is in the record
		case n < repeats:
			o.repeat(ctx, client)
		case n < rivals:
			o.try(ctx, client, o.ticket(o.Service.Next(), o.Chance.IntN(replaces) == 0))
		case n < pauses:
			o.disturb(ctx, client, history.Pause)
			pause(ctx, time.Duration(o.Chance.IntN(3000))*time.Millisecond)
			if o.Chance.IntN(leaves) > 0 {
				o.disturb(ctx, client, history.Resume)
			}
		default:
			o.disturb(ctx, client, history.Abort)
		}
	}
}

// Private

// chaos is who asks.
const chaos = "chaos"

// send sends a trigger until it is answered, as continuous integration does.
func (o *Operators) send(ctx context.Context, client int, c Choice) string {
	t := o.ticket(c, false)
	for ctx.Err() == nil && !o.try(ctx, client, t) {
		pause(ctx, 300*time.Millisecond)
	}
	return t.id
}

// ticket makes a trigger with an id of its own.
func (o *Operators) ticket(c Choice, replace bool) *ticket {
	o.mu.Lock()
	defer o.mu.Unlock()
	id := o.name()
	spec, err := json.Marshal(o.Service.File(c))
	if err != nil {
		panic(err) // a string always encodes
	}
	data, err := json.Marshal(api.Trigger{ID: id, Spec: spec, By: chaos, Replace: replace})
	if err != nil {
		panic(err) // it always encodes
	}
	o.Log.Plan(history.Plan{ID: id, Service: o.Service.Name, Version: c.Version, Ill: c.Ill, Approvals: c.Approvals})
	if o.harmless == nil {
		o.harmless = map[string]bool{}
	}
	o.harmless[c.Version] = c.Harmless
	o.last = &ticket{id: id, version: c.Version, replace: replace, data: data}
	return o.last
}

func (o *Operators) repeat(ctx context.Context, client int) {
	o.mu.Lock()
	t := o.last
	o.mu.Unlock()
	if t != nil {
		o.try(ctx, client, t)
	}
}

// try sends a trigger once, and tells whether that was decided.
func (o *Operators) try(ctx context.Context, client int, t *ticket) bool {
	op := history.Op{Client: client, Verb: history.Trigger, ID: t.id, Version: t.version, Replace: t.replace}
	return o.call(ctx, op, bus.TriggerSubject(o.Service.Name), t.data)
}

// disturb does something to the rollout that runs.
func (o *Operators) disturb(ctx context.Context, client int, verb history.Verb) {
	if v, err := o.look(ctx, client); err == nil && v.Running != "" {
		o.command(ctx, client, history.Op{Verb: verb, Rollout: v.Running})
	}
}

// command sends a command, once, under a name of its own.
func (o *Operators) command(ctx context.Context, client int, op history.Op) {
	o.mu.Lock()
	op.Client, op.ID = client, chaos+"-"+o.name()
	o.mu.Unlock()
	data, err := json.Marshal(api.Command{Rollout: op.Rollout, By: op.ID, Full: op.Full, Host: op.Host})
	if err != nil {
		panic(err) // it always encodes
	}
	o.call(ctx, op, bus.CommandSubject(string(op.Verb), o.Service.Name), data)
}

// name is another one for each call that is repeated or looked up in the log; it needs o.mu.
func (o *Operators) name() string {
	o.sent++
	return fmt.Sprintf("%s-%d", o.Service.Name, o.sent)
}

// call records a request and its answer.
func (o *Operators) call(ctx context.Context, op history.Op, subject string, data []byte) (decided bool) {
	op.Service, op.Called = o.Service.Name, o.Log.Now()
	// A call goes on when the run ends, so that its outcome is known.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callPatience)
	defer cancel()
	answer, err := o.Conn.Request(ctx, subject, data)
	op.Back = o.Log.Now()
	if err == nil {
		op.Reply, err = api.DecodeReply(answer.Data)
	}
	op.Unknown = err != nil || op.Reply.Code == rollout.CodeBusy
	o.Log.Op(op)
	return !op.Unknown
}

// look reads where the service stands.
func (o *Operators) look(ctx context.Context, client int) (history.View, error) {
	op := history.Op{Client: client, Verb: history.Look, Service: o.Service.Name, Called: o.Log.Now()}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callPatience)
	defer cancel()
	status, err := localfleet.Ask[api.ServiceStatus](ctx, o.Conn, api.GetService, o.Service.Name)
	if err != nil {
		return history.View{}, err // a look that shows nothing says nothing
	}
	op.Back, op.Seen = o.Log.Now(), view(status)
	o.Log.Op(op)
	return op.Seen, nil
}

func view(s api.ServiceStatus) (v history.View) {
	if s.Stable != nil {
		v.Stable = s.Stable.Version
	}
	if s.Rollout != nil {
		v.Last, v.Phase = s.Rollout.ID, s.Rollout.Phase
		v.To, v.Step, v.NeedsApproval = s.Rollout.To, s.Rollout.Step, s.Rollout.NeedsApproval
		if s.Running {
			v.Running = s.Rollout.ID
		}
	}
	for _, h := range s.Held {
		v.Held = append(v.Held, h.Host)
	}
	return v
}

// AwaitEnd waits until no rollout of the service runs.
func (o *Operators) AwaitEnd(ctx context.Context) {
	for ctx.Err() == nil {
		if v, err := o.look(ctx, o.Number); err == nil && v.Running == "" {
			return
		}
		pause(ctx, 400*time.Millisecond)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
