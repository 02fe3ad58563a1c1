package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/cmd/serin/live"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// errLeft ends what a person has left by a key.
var errLeft = fmt.Errorf("left: %w", context.Canceled)

// picture is a program that draws on the terminal until it is told that all is
// over, or a person leaves it.
type picture struct {
	program *tea.Program
	ended   chan struct{}
	last    tea.Model
	err     error
}

// picture starts to draw. left is called when the program has ended, with why.
func (a *app) picture(model tea.Model, left context.CancelCauseFunc) *picture {
	options := []tea.ProgramOption{tea.WithOutput(a.out), tea.WithoutSignalHandler(), tea.WithInput(nil)}
	if a.terminal(a.in) {
		options[len(options)-1] = tea.WithInput(a.in)
	}
	p := &picture{program: tea.NewProgram(model, options...), ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.last, p.err = p.program.Run()
		if p.err != nil {
			left(fmt.Errorf("draw: %w", p.err))
			return
		}
		left(errLeft)
	}()
	return p
}

// close ends the drawing, and returns the model as it is at last.
func (p *picture) close() tea.Model {
	p.program.Send(live.Over{})
	<-p.ended
	return p.last
}

// drawn is the view of a rollout as a picture.
type drawn struct{ *picture }

// Event implements view; raw is not looked at.
func (d drawn) Event(e rollout.Event, _ []byte) { d.program.Send(live.Happened{Event: e}) }

// Status implements view.
func (d drawn) Status(x api.RolloutDetail, now time.Time) {
	d.program.Send(live.Stands{Detail: x, Now: now})
}

// Note implements view.
func (d drawn) Note(text string, now time.Time) {
	d.program.Send(live.Remark{Text: text, Now: now})
}

// Final implements view.
func (d drawn) Final(s api.RolloutStatus) { d.program.Send(live.Ended{Status: s}) }

// Close does nothing: the picture stands until it is closed by who has drawn it.
func (drawn) Close() {}

// watchDrawn follows a rollout on a terminal, and leaves the last picture there.
func (a *app) watchDrawn(ctx context.Context, c *client.Client, r api.RolloutStatus, operate bool) (api.RolloutStatus, error) {
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	var act func(live.Action) live.Done
	if operate {
		act = a.act(ctx, c)
	}
	p := a.picture(live.NewWatch(a.show(), act), leave)
	f := &following{client: c, view: drawn{p}, id: r.ID, service: r.Service}
	err := f.run(ctx)
	if err == nil { // the answer tells more than the event did
		if d, err := client.Get[api.RolloutDetail](ctx, c.Within(pollWait), api.GetRollout, r.ID); err == nil {
			drawn{p}.Status(d, time.Now())
		}
	}
	if w, ok := p.close().(live.Watch); ok {
		_, _ = fmt.Fprintln(a.out, w.Last())
	}
	return f.status, err
}

// act carries out what a person asks for, and says what came of it.
func (a *app) act(ctx context.Context, c *client.Client) func(live.Action) live.Done {
	return func(do live.Action) live.Done {
		body := api.Command{Rollout: do.Rollout, By: a.by(), Reason: do.Reason, Full: do.Full}
		var err error
		if do.Verb == api.Rollback {
			body.ID = newID()
			_, err = c.Repeatable(ctx, do.Verb, do.Service, body)
		} else {
			_, err = c.Command(ctx, do.Verb, do.Service, body)
		}
		switch {
		case errors.Is(err, context.Canceled):
			return live.Done{Text: do.Verb + ": left before an answer came", Failed: true}
		case err != nil:
			return live.Done{Text: do.Verb + ": " + err.Error(), Failed: true}
		}
		return live.Done{Text: do.Verb + ": done"}
	}
}
