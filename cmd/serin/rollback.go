package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/api"
)

// returning is what `serin rollback` was told.
type returning struct {
	app    *app
	to     string
	detach bool
}

func newRollback(a *app) *cobra.Command {
	r := &returning{app: a}
	cmd := a.changing(&cobra.Command{
		Use:   "rollback SERVICE",
		Short: "Return a service to the last good version, or to a named one",
		Long: "Return a service to the last good version, or to the one that --to names: a version, a\n" +
			"revision, or the rollout that installed it: a rollout in one step, on all hosts, that no gate\n" +
			"holds up. While a rollout runs that one is taken back instead; with --to, abort it first.",
		Example:           "  serin rollback checkout\n  serin rollback checkout --to 1.3.2 --reason 'prices are wrong'",
		Args:              oneOf("service"),
		ValidArgsFunction: a.completeServices(),
		RunE:              func(cmd *cobra.Command, args []string) error { return r.run(cmd.Context(), args[0]) },
	})
	cmd.Flags().StringVar(&r.to, "to", "", "`version`, revision or rollout to return to")
	cmd.Flags().BoolVar(&r.detach, "detach", false, "do not follow: print the rollout's id and end")
	return cmd
}

// Private

func (r *returning) run(ctx context.Context, name string) error {
	a := r.app
	if err := validName(name); err != nil {
		return err
	}
	return a.with(ctx, func(c *client.Client) error {
		s, err := client.Get[api.ServiceStatus](ctx, c, api.GetService, name)
		if err != nil {
			return err
		}
		body := api.Command{ID: newID(), By: a.by(), Reason: a.reason, To: r.to}
		if s.Running && s.Rollout != nil {
			body.Rollout = s.Rollout.ID
		}
		to := cmp.Or(r.to, "the last good version")
		if a.dryRun {
			return a.print(body, func(out io.Writer, _ show.Options) error {
				return line(out, "would return %s to %s", s.Service, to)
			}, []string{s.Service})
		}
		if err := a.confirm(fmt.Sprintf("Return %s on all hosts to %s?", s.Service, to)); err != nil {
			return err
		}
		reply, err := c.Repeatable(ctx, api.Rollback, s.Service, body)
		if err != nil {
			return err
		}
		return r.follow(ctx, c, s, reply)
	})
}

// follow waits for the end of the rollout that leads back. Where that is the
// running one, its return is what was asked for.
func (r *returning) follow(ctx context.Context, c *client.Client, s api.ServiceStatus, reply api.Reply) error {
	a := r.app
	if r.detach || reply.Rollout == "" {
		if reply.Message != "" {
			a.say("%s", reply.Message)
		}
		return a.print(reply, func(out io.Writer, _ show.Options) error { return printID(out, reply) }, names(reply.Rollout))
	}
	bounded, stop := a.within(ctx)
	defer stop()
	err := a.followToEnd(bounded, c, a.progress(), s.Service, reply.Rollout)
	if !reply.Unchanged && s.Running && s.Rollout != nil && s.Rollout.ID == reply.Rollout {
		if e, ok := errors.AsType[*exit](err); ok && (e.code == exitAborted || e.code == exitRolledBack) {
			return nil
		}
	}
	return err
}
