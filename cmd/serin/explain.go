package main

import (
	"context"
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
				d, err := a.explanation(ctx, c, args[0])
				if err != nil {
					return err
				}
				return a.print(d, func(out io.Writer, o show.Options) error { return o.Explain(out, d) }, []string{d.ID})
			})
		},
	}
}

// Private

// explainTries is how often an explanation is asked for that lacks events: after
// a change of leader their stream needs some seconds.
const explainTries = 3

func (a *app) explanation(ctx context.Context, c *client.Client, name string) (api.RolloutDetail, error) {
	for try := 1; ; try++ {
		d, err := client.Explain(ctx, c, name)
		if err != nil || d.Incomplete == "" {
			return d, err
		}
		if try == explainTries {
			a.complain("events may be missing: %s", d.Incomplete)
			return d, nil
		}
	}
}
