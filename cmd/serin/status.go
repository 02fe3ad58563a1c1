package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/api"
)

func newStatus(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status [SERVICE]",
		Short: "Show each service: what is stable, what is rolling out, what it waits for",
		Long: "Show each service: what is stable, what is rolling out, what it waits for; and the hosts that are\n" +
			"held back since a rollout went on without them. With a SERVICE also what each gate says: whether it\n" +
			"passes, waits or fails (or is only observed), the canary beside the stable version, how much worse\n" +
			"it may be, and what is still needed.",
		Example:           "  serin status\n  serin status checkout -o wide\n  serin status -o json | jq '.[] | select(.running)'",
		Args:              atMostOne("service"),
		ValidArgsFunction: a.completeServices(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.statusOf(cmd.Context(), args[0])
			}
			return a.status(cmd.Context())
		},
	}
}

// Private

func (a *app) status(ctx context.Context) error {
	return a.with(ctx, func(c *client.Client) error {
		services, err := client.Get[[]api.ServiceStatus](ctx, c, api.GetServices, "")
		if err != nil {
			return err
		}
		if len(services) == 0 {
			a.say("no service yet: `serin init` writes a rollout file, `serin start rollout.yaml` installs it")
		}
		ids := make([]string, 0, len(services))
		for _, s := range services {
			ids = append(ids, s.Service)
		}
		return a.print(services, func(out io.Writer, o show.Options) error { return o.Services(out, services) }, ids)
	})
}

func (a *app) statusOf(ctx context.Context, name string) error {
	if err := validName(name); err != nil {
		return err
	}
	return a.with(ctx, func(c *client.Client) error {
		s, err := client.Get[api.ServiceStatus](ctx, c, api.GetService, name)
		if err != nil {
			return err
		}
		return a.print(s, func(out io.Writer, o show.Options) error { return o.Service(out, s) }, []string{s.Service})
	})
}
