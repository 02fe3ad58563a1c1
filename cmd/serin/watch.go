package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/cmd/serin/show"
)

func newWatch(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "watch ROLLOUT|SERVICE",
		Short: "Follow a rollout live, and exit with its verdict",
		Long: "Follow a rollout live, from its first event on, and exit with its verdict: 0 promoted,\n" +
			"3 rolled back, 4 aborted. On a terminal it is drawn; in a pipe it is one line an event,\n" +
			"and with -o json one CloudEvent a line. Ctrl-C leaves the rollout running.",
		Example:           "  serin watch checkout\n  serin watch checkout-7 -o json | jq .data.text",
		Args:              oneOf("rollout or service"),
		ValidArgsFunction: a.completeRollouts(),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.watch(cmd.Context(), args[0]) },
	}
}

// Private

func (a *app) watch(ctx context.Context, name string) error {
	return a.with(ctx, func(c *client.Client) error {
		d, err := rolloutOf(ctx, c, name)
		if err != nil {
			return err
		}
		bounded, stop := a.within(ctx)
		defer stop()
		if d.Phase.Final() {
			replay(bounded, c, a.watcher(false), d.RolloutStatus)
			return verdict(d.RolloutStatus)
		}
		f := &following{client: c, view: a.watcher(true), id: d.ID, service: d.Service, hint: a.hint}
		if _, drawn := f.view.(*show.Screen); drawn {
			f.hint = nil // the picture says it
		}
		if err := f.run(bounded); err != nil {
			return stillRuns(f.status, d.ID, err)
		}
		return verdict(f.status)
	})
}

func (a *app) watcher(live bool) view {
	switch {
	case a.structured():
		return cloudEvents{a}
	case live && a.terminal(a.out) && !a.quiet && a.output != "name":
		return show.NewScreen(a.out, a.show())
	}
	return a.progress()
}
