package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/api"
)

func newHistory(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "history SERVICE",
		Short:             "List the rollouts of a service, the newest first, and how they ended",
		Example:           "  serin history checkout\n  serin history checkout -o json | jq '.rollouts[0].phase'",
		Args:              oneOf("service"),
		ValidArgsFunction: a.completeServices(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := validName(args[0]); err != nil {
				return err
			}
			ctx := cmd.Context()
			return a.with(ctx, func(c *client.Client) error {
				h, err := client.Get[api.History](ctx, c, api.GetHistory, args[0])
				if err != nil {
					return err
				}
				var ids []string
				for _, r := range h.Rollouts {
					ids = append(ids, r.ID)
				}
				return a.print(h, func(out io.Writer, o show.Options) error { return o.History(out, h) }, ids)
			})
		},
	}
}
