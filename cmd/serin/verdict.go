package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// verdict turns the end of a rollout into the command's.
func verdict(s api.RolloutStatus) error {
	switch s.Phase {
	case rollout.RolledBack:
		return exitf(exitRolledBack, "%s was rolled back; `serin explain %s` says why, with numbers", s.ID, s.ID)
	case rollout.Aborted:
		return exitf(exitAborted, "%s was aborted; `serin history %s` shows what ran before", s.ID, s.Service)
	case rollout.Succeeded, rollout.Preparing, rollout.Progressing, rollout.Paused, rollout.Promoting, rollout.RollingBack:
	}
	return nil
}

// followToEnd follows a rollout until it has ended, prints how, and returns
// the verdict.
func (a *app) followToEnd(ctx context.Context, c *client.Client, v view, service, id string) error {
	f := &following{client: c, view: v, id: id, service: service, hint: a.hint}
	err := f.run(ctx)
	if err == nil {
		err = verdict(f.status)
		if printed := a.printEnd(ctx, c, f.status); printed != nil {
			return printed
		}
		return err
	}
	return stillRuns(f.status, id, err)
}

// hint says what a person can do for a rollout that waits for one.
func (a *app) hint(s api.RolloutStatus) {
	if s.Cause == rollout.CauseApproval {
		a.say("waits for approval: serin promote %s, or serin abort %s", s.ID, s.ID)
		return
	}
	a.say("is paused: serin resume %s, or serin abort %s", s.ID, s.ID)
}

// within bounds following by --timeout.
func (a *app) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if a.timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, a.timeout, errTimeLimit)
}

// stillRuns explains an end of following that is not the rollout's.
func stillRuns(s api.RolloutStatus, id string, err error) error {
	at := ""
	if s.Phase != "" {
		at = fmt.Sprintf(" (%s, step %d of %d)", s.Phase, s.Step, s.Steps)
	}
	switch {
	case errors.Is(err, errTimeLimit):
		return exitf(exitTimeout, "--timeout reached; %s goes on%s: `serin watch %s` follows it, `serin abort %s` takes it back", id, at, id, id)
	case errors.Is(err, errLeft):
		return exitf(exitInterrupted, "%s goes on%s: `serin watch %s` follows it, `serin abort %s` takes it back", id, at, id, id)
	case errors.Is(err, context.Canceled):
		return exitf(exitInterrupted, "interrupted; %s goes on%s: `serin watch %s` follows it, `serin abort %s` takes it back", id, at, id, id)
	}
	return err
}

// printEnd writes the one document of a command that has followed a rollout.
// For people the view has said all.
func (a *app) printEnd(ctx context.Context, c *client.Client, s api.RolloutStatus) error {
	if !a.structured() {
		return a.print(nil, nil, []string{s.ID})
	}
	d, err := client.Get[api.RolloutDetail](ctx, c.Within(pollWait), api.GetRollout, s.ID)
	if err != nil {
		d = api.RolloutDetail{RolloutStatus: s} // the rollout has ended, whoever leads
	}
	return a.print(d, nil, nil)
}

// progress is the view of commands whose result is one document: lines of
// progress are data for people, and talk beside a document.
func (a *app) progress() view {
	out, o := a.out, a.show()
	switch {
	case a.structured() || a.output == "name":
		out, o.Palette.On = a.err, a.colour(a.err)
	case a.terminal(a.out) && !a.quiet:
		return show.NewLive(out, o)
	}
	if a.quiet {
		if out == a.err {
			out = io.Discard
		}
		return quietly{show.NewLines(out, o)}
	}
	return show.NewLines(out, o)
}

// quietly shows the end only.
type quietly struct{ *show.Lines }

// Event shows the last event.
func (q quietly) Event(e rollout.Event, raw []byte) {
	if e.Phase.Final() {
		q.Lines.Event(e, raw)
	}
}

// Status shows nothing.
func (quietly) Status(api.RolloutDetail, time.Time) {}

// Note shows nothing.
func (quietly) Note(string, time.Time) {}

// cloudEvents shows events as they came, one a line, for programs.
type cloudEvents struct{ app *app }

// Event writes the CloudEvent.
func (v cloudEvents) Event(_ rollout.Event, raw []byte) {
	v.app.wrote = true
	_, _ = fmt.Fprintln(v.app.out, strings.TrimSpace(string(raw)))
}

// Status shows nothing.
func (cloudEvents) Status(api.RolloutDetail, time.Time) {}

// Note talks.
func (v cloudEvents) Note(text string, _ time.Time) { v.app.say("%s", text) }

// Final talks: there is no event to write.
func (v cloudEvents) Final(s api.RolloutStatus) { v.app.say("%s has ended: %s", s.ID, s.Phase) }

// Close does nothing.
func (cloudEvents) Close() {}

// replay shows the stored events of a rollout that has ended, or how it ended
// if none tells of that.
func replay(ctx context.Context, c *client.Client, v view, s api.RolloutStatus) {
	told := false
	err := c.Events(ctx, bus.Filter{Service: s.Service, Rollout: s.ID}, func(e rollout.Event, raw []byte) error {
		if event.Of(e, s.ID) {
			v.Event(e, raw)
			told = told || e.Phase.Final()
		}
		return nil
	})
	if err != nil || !told {
		v.Final(s)
	}
}
