package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/internal/api"
)

// watching is what `serin watch` was told.
type watching struct {
	app     *app
	operate bool
}

func newWatch(a *app) *cobra.Command {
	w := &watching{app: a}
	cmd := &cobra.Command{
		Use:   "watch [ROLLOUT|SERVICE]",
		Short: "Follow a rollout live, and exit with its verdict",
		Long: "Follow a rollout live, from its first event on, and exit with its verdict: 0 promoted,\n" +
			"3 rolled back, 4 aborted. Without a name it is the one that runs.\n\n" +
			"On a terminal it is drawn: the steps, the traffic, canary against stable with the bounds of each\n" +
			"gate, the hosts and the events; ? tells the keys, q and Ctrl-C leave the rollout running. With\n" +
			"--operate there are keys that steer it, each of which asks first. When the rollout has ended the\n" +
			"last picture stays. In a pipe, and with TERM=dumb, it is one line an event; with -o json one\n" +
			"CloudEvent a line.",
		Example:           "  serin watch checkout\n  serin watch checkout --operate\n  serin watch checkout-7 -o json | jq .data.text",
		Args:              atMostOne("rollout or service"),
		ValidArgsFunction: a.completeRollouts(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return w.run(cmd.Context(), strings.Join(args, ""))
		},
	}
	cmd.Flags().BoolVar(&w.operate, "operate", false, "keys that steer the rollout; on a terminal only")
	cmd.Flags().StringVar(&a.person, "by", "", "who steers, for the record (env SERIN_BY; else the user's name)")
	return cmd
}

// Private

func (w *watching) run(ctx context.Context, name string) error {
	a := w.app
	if w.operate && (!a.drawable() || !a.terminal(a.in)) {
		return usagef("--operate: there are keys on a terminal only; `serin promote`, `pause`, `resume` and `abort` steer from elsewhere")
	}
	return a.with(ctx, func(c *client.Client) error {
		name, err := a.theOne(ctx, c, name)
		if err != nil {
			return err
		}
		d, err := rolloutOf(ctx, c, name)
		if err != nil {
			return err
		}
		bounded, stop := a.within(ctx)
		defer stop()
		switch {
		case d.Phase.Final():
			replay(bounded, c, a.watcher(), d.RolloutStatus)
			return verdict(d.RolloutStatus)
		case a.drawable():
			s, err := a.watchDrawn(bounded, c, d.RolloutStatus, w.operate)
			if err != nil {
				return stillRuns(s, d.ID, err)
			}
			return verdict(s)
		}
		f := &following{client: c, view: a.watcher(), id: d.ID, service: d.Service, hint: a.hint}
		if err := f.run(bounded); err != nil {
			return stillRuns(f.status, d.ID, err)
		}
		return verdict(f.status)
	})
}

// theOne is the name that was given, or else the only rollout that runs.
func (a *app) theOne(ctx context.Context, c *client.Client, name string) (string, error) {
	if name != "" {
		return name, nil
	}
	services, err := client.Get[[]api.ServiceStatus](ctx, c, api.GetServices, "")
	if err != nil {
		return "", err
	}
	var running []string
	for _, s := range services {
		if s.Running && s.Rollout != nil {
			running = append(running, s.Rollout.ID)
		}
	}
	switch len(running) {
	case 0:
		return "", usagef("no rollout runs; name one that has ended, or see `serin status`")
	case 1:
		return running[0], nil
	}
	return "", usagef("%d rollouts run; name one: %s", len(running), strings.Join(running, ", "))
}

// drawable reports whether pictures can be drawn, and are wanted.
func (a *app) drawable() bool {
	return a.terminal(a.out) && !a.structured() && !a.quiet && a.output != "name"
}

func (a *app) watcher() view {
	if a.structured() {
		return cloudEvents{a}
	}
	return a.progress()
}
