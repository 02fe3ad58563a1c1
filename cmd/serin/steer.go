package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// steering is a verb that moves a running rollout.
type steering struct {
	app  *app
	verb string
	full bool
	done func(api.RolloutStatus) string // what is then so, of the rollout as it was before: "goes on"
	ask  func(api.RolloutStatus) string // to be sure; nil to be sure without
}

// command fills in what all steering verbs share.
func (s *steering) command(cmd *cobra.Command) *cobra.Command {
	cmd.Use = s.verb + " ROLLOUT|SERVICE"
	cmd.Args = oneOf("rollout or service")
	cmd.ValidArgsFunction = s.app.completeRollouts()
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return s.run(cmd.Context(), args[0]) }
	return s.app.changing(cmd)
}

// Private

// run finds the rollout that is meant and moves that one and no other, even if
// another has taken its place meanwhile.
func (s *steering) run(ctx context.Context, name string) error {
	a := s.app
	return a.with(ctx, func(c *client.Client) error {
		d, err := rolloutOf(ctx, c, name)
		if err != nil {
			return err
		}
		if d.Phase.Final() {
			return &rollout.Refusal{
				Code: rollout.CodePhase, Rollout: d.ID, Message: fmt.Sprintf("cannot %s %s: it has ended (%s)", s.verb, d.ID, d.Phase),
			}
		}
		body := api.Command{Rollout: d.ID, By: a.by(), Reason: a.reason, Full: s.full}
		if a.dryRun {
			return a.print(body, would(s.verb, d.RolloutStatus), []string{d.ID})
		}
		if s.ask != nil {
			if err := a.confirm(s.ask(d.RolloutStatus)); err != nil {
				return err
			}
		}
		reply, err := c.Command(ctx, s.verb, d.Service, body)
		if err != nil {
			return err
		}
		return a.print(reply, func(out io.Writer, _ show.Options) error {
			return line(out, "%s %s", d.ID, s.done(d.RolloutStatus))
		}, []string{d.ID})
	})
}

// always is what is so wherever the rollout stood.
func always(text string) func(api.RolloutStatus) string {
	return func(api.RolloutStatus) string { return text }
}

func would(verb string, s api.RolloutStatus) func(io.Writer, show.Options) error {
	return func(out io.Writer, _ show.Options) error {
		return line(out, "would %s %s (%s, step %d of %d)", verb, s.ID, s.Phase, s.Step, s.Steps)
	}
}

func line(out io.Writer, format string, args ...any) error {
	if _, err := fmt.Fprintf(out, format+"\n", args...); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
