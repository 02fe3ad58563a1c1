package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	pollEvery   = 500 * time.Millisecond
	pollWait    = 2 * time.Second // then a remark says that nobody leads
	silentPolls = 6               // after which an end that no event told of is believed
)

// errTimeLimit is why a context ends when --timeout is over.
var errTimeLimit = errors.New("--timeout reached")

// view shows a rollout while it is followed.
type view interface {
	// Event shows an event; raw is the CloudEvent that it came in.
	Event(e rollout.Event, raw []byte)
	// Status shows where the rollout stands.
	Status(d api.RolloutDetail, now time.Time)
	// Note shows a remark in the place of the status.
	Note(text string, now time.Time)
	// Final shows the end of a rollout that no event told of.
	Final(s api.RolloutStatus)
	// Close leaves the terminal in order. The view may be used again.
	Close()
}

// following is one rollout that is followed until it has ended, or until met
// says so.
type following struct {
	client *client.Client
	view   view
	id     string
	// service is where the events are; empty to follow by asking alone.
	service string
	// met is asked about every answer; nil for the end only. Its error is the
	// command's.
	met func(api.RolloutStatus) (bool, error)
	// hint is told, once for each step and cause, that the rollout waits for a
	// person; may be nil.
	hint func(api.RolloutStatus)

	status   api.RolloutStatus // as last heard
	hinted   string            // the last step and cause that hint was told of
	endPolls int               // answers in a row that said that it has ended
}

// heard is one piece of news: an event, an answer, or a remark.
type heard struct {
	event  *rollout.Event
	raw    []byte
	detail *api.RolloutDetail
	note   string
}

// run follows until the end, and returns ctx's cause if that comes first.
func (f *following) run(ctx context.Context) error {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	news := make(chan heard)
	group, inner := errgroup.WithContext(inner)
	if f.service != "" {
		group.Go(func() error { return f.read(inner, news) })
	}
	group.Go(func() error { return f.poll(inner, news) })
	group.Go(func() error {
		defer stop()
		return f.listen(ctx, news)
	})
	defer f.view.Close()
	return group.Wait()
}

// Private

func (f *following) listen(ctx context.Context, news <-chan heard) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case n := <-news:
			if done, err := f.take(n); done || err != nil {
				return err
			}
		}
	}
}

// take shows a piece of news and reports whether it is the last.
func (f *following) take(n heard) (done bool, err error) {
	switch {
	case n.event != nil:
		f.view.Event(*n.event, n.raw)
		f.status = f.statusAfter(*n.event)
		f.remind()
		return n.event.Phase.Final(), nil
	case n.detail != nil:
		return f.answered(*n.detail)
	default:
		f.view.Note(n.note, time.Now())
		return false, nil
	}
}

// answered takes what the coordinator said. The end is left to the event that
// tells it, for some time.
func (f *following) answered(d api.RolloutDetail) (done bool, err error) {
	f.status = d.RolloutStatus
	if !d.Phase.Final() {
		f.endPolls = 0
		f.view.Status(d, time.Now())
		f.remind()
		if f.met != nil {
			return f.met(d.RolloutStatus)
		}
		return false, nil
	}
	f.endPolls++
	if f.service != "" && f.endPolls < silentPolls {
		return false, nil
	}
	f.view.Final(d.RolloutStatus)
	return true, nil
}

// remind says what to do where nothing but a person is waited for.
func (f *following) remind() {
	s := f.status
	now := fmt.Sprint(s.Step, s.Cause)
	if f.hint == nil || s.Phase != rollout.Paused || now == f.hinted {
		return
	}
	f.hinted = now
	f.view.Close() // it begins anew with what comes next
	f.hint(s)
}

// statusAfter is what an event tells of where the rollout stands.
func (f *following) statusAfter(e rollout.Event) api.RolloutStatus {
	s := f.status
	s.ID, s.Service, s.Phase, s.From, s.To, s.Image = e.Rollout, e.Service, e.Phase, e.From, e.To, e.Image
	s.Step, s.Steps, s.Weight, s.Reached, s.Fleet, s.Cause = e.Step, e.Steps, e.Weight, e.Hosts, e.Fleet, e.Cause
	if s.Phase.Final() {
		s.Ended, s.Waiting, s.NeedsApproval = e.Wall, "", false
	}
	return s
}

// read passes on the events of the rollout. Where there are none to be had,
// asking has to do.
func (f *following) read(ctx context.Context, news chan<- heard) error {
	filter := bus.Filter{Service: f.service, Rollout: f.id, Follow: true}
	err := f.client.Events(ctx, filter, func(e rollout.Event, raw []byte) error {
		if !event.Of(e, f.id) {
			return nil
		}
		return send(ctx, news, heard{event: &e, raw: raw})
	})
	if err != nil && ctx.Err() == nil {
		return send(ctx, news, heard{note: "no events to be had: " + err.Error()})
	}
	return nil
}

// poll asks again and again where the rollout stands. The events that are
// stored already go first: they are what came before.
func (f *following) poll(ctx context.Context, news chan<- heard) error {
	quick := f.client.Within(pollWait)
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	if f.service != "" && !tick(ctx, ticker) {
		return nil
	}
	for {
		n, err := f.ask(ctx, quick)
		if ctx.Err() != nil {
			return nil // the end
		}
		if err != nil {
			return err
		}
		if send(ctx, news, n) != nil {
			return nil // the end
		}
		if !tick(ctx, ticker) {
			return nil
		}
	}
}

// tick returns false if ctx ends before the next tick.
func tick(ctx context.Context, ticker *time.Ticker) bool {
	select {
	case <-ticker.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (f *following) ask(ctx context.Context, quick *client.Client) (heard, error) {
	d, err := client.Get[api.RolloutDetail](ctx, quick, api.GetRollout, f.id)
	if err == nil {
		return heard{detail: &d}, nil
	}
	if _, ok := errors.AsType[*client.Unreachable](err); ok {
		return heard{note: f.id + " no leader answers just now; hosts go on as they were told"}, nil
	}
	refusal, ok := errors.AsType[*rollout.Refusal](err)
	switch {
	case ok && refusal.Code == rollout.CodeUnknown:
		return heard{note: f.id + " waits for the rollout before it to end"}, nil
	case ok && refusal.Code == rollout.CodeBusy:
		return heard{note: f.id + " " + refusal.Message}, nil
	}
	return heard{}, err
}

func send(ctx context.Context, news chan<- heard, n heard) error {
	select {
	case news <- n:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
