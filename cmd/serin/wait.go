package main

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

func newWait(a *app) *cobra.Command {
	var condition string
	cmd := &cobra.Command{
		Use:   "wait ROLLOUT|SERVICE",
		Short: "Wait until a rollout has ended, is paused, or has come to a step",
		Long: "Wait until a rollout has ended (done), is paused, or has come to a step (step=3).\n" +
			"It exits with 0 when that is so, or when the rollout was promoted first; with 3 or 4 when\n" +
			"it went back first; with 5 when --timeout is over; and, with --for done, with 6 as soon as\n" +
			"the rollout waits for a person.",
		Example: "  serin wait checkout --for done --timeout 30m\n" +
			"  serin wait checkout-7 --for paused && ./smoke-test && serin promote checkout-7\n" +
			"  serin wait checkout-7 --for step=3",
		Args:              oneOf("rollout or service"),
		ValidArgsFunction: a.completeRollouts(),
		RunE: func(cmd *cobra.Command, args []string) error {
			met, err := conditionOf(condition)
			if err != nil {
				return err
			}
			return a.wait(cmd.Context(), args[0], met)
		},
	}
	cmd.Flags().StringVar(&condition, "for", "done", "`condition`: done, paused, or step=N")
	conditions := []string{"done", "paused", "step="}
	_ = cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions(conditions, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	return cmd
}

// Private

// conditionOf reads --for. What it returns is asked while the rollout runs.
func conditionOf(text string) (func(api.RolloutStatus) (bool, error), error) {
	switch text {
	case "done":
		return func(s api.RolloutStatus) (bool, error) {
			if s.Phase != rollout.Paused {
				return false, nil
			}
			return true, exitf(exitPaused, "%s is paused and waits for a person: `serin promote %s`, `serin resume %s` or `serin abort %s`", s.ID, s.ID, s.ID, s.ID)
		}, nil
	case "paused":
		return func(s api.RolloutStatus) (bool, error) { return s.Phase == rollout.Paused, nil }, nil
	}
	number, isStep := strings.CutPrefix(text, "step=")
	n, err := strconv.Atoi(number)
	if !isStep || err != nil || n < 1 {
		return nil, usagef("--for %s: use done, paused or step=N, with N from 1", text)
	}
	return func(s api.RolloutStatus) (bool, error) {
		switch s.Phase {
		case rollout.Progressing, rollout.Paused:
			return s.Step >= n, nil
		case rollout.Promoting:
			return true, nil
		case rollout.Preparing, rollout.RollingBack, rollout.Succeeded, rollout.RolledBack, rollout.Aborted:
		}
		return false, nil
	}, nil
}

func (a *app) wait(ctx context.Context, name string, met func(api.RolloutStatus) (bool, error)) error {
	return a.with(ctx, func(c *client.Client) error {
		d, err := rolloutOf(ctx, c, name)
		if err != nil {
			return err
		}
		bounded, stop := a.within(ctx)
		defer stop()
		f := &following{client: c, view: a.progress(), id: d.ID, met: met}
		err = f.run(bounded)
		if _, own := errors.AsType[*exit](err); err != nil && !own {
			return stillRuns(f.status, d.ID, err)
		}
		if printed := a.printEnd(ctx, c, f.status); printed != nil {
			return printed
		}
		if err != nil {
			return err
		}
		return verdict(f.status)
	})
}
