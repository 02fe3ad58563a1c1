package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/api"
)

func newExplain(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "explain ROLLOUT|SERVICE",
		Short:             "Say why a rollout waits, went on or went back, with the numbers",
		Example:           "  serin explain checkout\n  serin explain checkout-7 -o json | jq .decisions",
		Args:              oneOf("rollout or service"),
		ValidArgsFunction: a.completeRollouts(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := validName(args[0]); err != nil {
				return err
			}
			ctx := cmd.Context()
			return a.with(ctx, func(c *client.Client) error {
				d, err := client.Get[api.RolloutDetail](ctx, c, api.GetExplain, args[0])
				if err != nil {
					return err
				}
				return a.print(d, func(out io.Writer, o show.Options) error { return o.Explain(out, d) }, []string{d.ID})
			})
		},
	}
}
