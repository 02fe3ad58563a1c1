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
		Use:               "status [SERVICE]",
		Short:             "Show each service: what is stable, what is rolling out, what it waits for",
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
		return a.printServices(services, services)
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
		return a.printServices(s, []api.ServiceStatus{s})
	})
}

// printServices writes rows; v is what programs get.
func (a *app) printServices(v any, rows []api.ServiceStatus) error {
	ids := make([]string, 0, len(rows))
	for _, s := range rows {
		ids = append(ids, s.Service)
	}
	return a.print(v, func(out io.Writer, o show.Options) error { return o.Services(out, rows) }, ids)
}
