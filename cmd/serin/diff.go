package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

func newDiff(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "diff A B",
		Short: "Show how two rollouts of a service differ: image, configuration, rules",
		Long: "Show how B differs from A, two rollouts of one service or the ids of two revisions: in the image, the\n" +
			"configuration of the containers, and the rules that it was rolled out by. What looks like a secret is\n" +
			"not shown, only that it changes. `serin history SERVICE` lists the rollouts, and `serin plan FILE`\n" +
			"compares a file with what is stable.",
		Example: "  serin diff checkout-5 checkout-7\n  serin diff checkout-5 checkout-7 -o json | jq -r '.changes[]'",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("%s takes two rollouts, not %d arguments", cmd.CommandPath(), len(args))
			}
			return nil
		},
		ValidArgsFunction: a.completeRollouts(),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.diff(cmd.Context(), args[0], args[1]) },
	}
}

// Private

func (a *app) diff(ctx context.Context, from, to string) error {
	for _, name := range []string{from, to} {
		if err := validName(name); err != nil {
			return err
		}
	}
	return a.with(ctx, func(c *client.Client) error {
		d, err := c.Diff(ctx, from, to)
		if err != nil {
			return err
		}
		if d.Against == "" || d.From == nil {
			return &rollout.Refusal{Code: rollout.CodeInvalid, Message: "the coordinator is of an earlier release, which compares only with what is stable: upgrade it"}
		}
		return a.print(d, func(out io.Writer, _ show.Options) error { return printDiff(out, d) }, []string{d.Against, d.Rollout})
	})
}

func printDiff(out io.Writer, d api.Diff) error {
	if err := line(out, "%s (%s) -> %s (%s)", d.Against, d.From.Version, d.Rollout, d.To.Version); err != nil {
		return err
	}
	for _, change := range d.Changes {
		if err := line(out, "  %s", change); err != nil {
			return err
		}
	}
	if len(d.Changes) == 0 {
		return line(out, "  no difference")
	}
	return nil
}
