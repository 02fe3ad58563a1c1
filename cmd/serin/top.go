package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/cmd/serin/live"
	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/api"
)

// topping is what `serin top` was told.
type topping struct {
	app      *app
	once     bool
	interval time.Duration
}

func newTop(a *app) *cobra.Command {
	x := &topping{app: a}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch the whole fleet: traffic and errors of each version, hosts, rollouts",
		Long: "Watch the whole fleet live: requests a second, errors and latency of each service's versions, the\n" +
			"hosts, and the rollouts that run; ? tells the keys. In a pipe, with --once and with -o json it is told\n" +
			"once, after an interval in which the requests are counted. Latency is known while a rollout measures it.",
		Example: "  serin top\n  serin top --once\n  serin top -o json | jq '.tracks[] | {service, version, requests_per_second}'",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return x.run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&x.once, "once", false, "tell once, and end")
	cmd.Flags().DurationVar(&x.interval, "interval", 2*time.Second, "how often hosts and services are asked for")
	return cmd
}

// Private

func (x *topping) run(ctx context.Context) error {
	a := x.app
	if x.interval < 100*time.Millisecond {
		return usagef("--interval %s: use 100ms or more", x.interval)
	}
	return a.with(ctx, func(c *client.Client) error {
		if x.once || !a.drawable() {
			return x.tellOnce(ctx, c)
		}
		bounded, stop := a.within(ctx)
		defer stop()
		bounded, leave := context.WithCancelCause(bounded)
		defer leave(nil)
		p := a.picture(live.NewTop(a.show()), leave)
		err := x.follow(bounded, c, p)
		p.close()
		if errors.Is(err, errLeft) || errors.Is(err, errTimeLimit) {
			return nil
		}
		return err
	})
}

func (x *topping) tellOnce(ctx context.Context, c *client.Client) error {
	ticker := time.NewTicker(x.interval)
	defer ticker.Stop()
	var history live.History
	for range 2 {
		if len(history) > 0 && !tick(ctx, ticker) {
			return context.Cause(ctx)
		}
		t, err := fleetNow(ctx, c)
		if err != nil {
			return err
		}
		history = history.With(t)
	}
	f := history.Fleet()
	names := []string{}
	for _, t := range f.Tracks {
		names = append(names, t.Service+"/"+t.Track)
	}
	return x.app.print(f, func(out io.Writer, o show.Options) error {
		return line(out, "%s", live.NewTop(o).Of(history).Text())
	}, names)
}

// follow asks again and again, until ctx ends.
func (x *topping) follow(ctx context.Context, c *client.Client, p *picture) error {
	quick := c.Within(pollWait)
	ticker := time.NewTicker(x.interval)
	defer ticker.Stop()
	for {
		t, err := fleetNow(ctx, quick)
		_, silent := errors.AsType[*client.Unreachable](err)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case silent:
			p.program.Send(live.Remark{Text: "no leader answers just now", Now: time.Now()})
		case err != nil:
			return err
		default:
			p.program.Send(t)
		}
		if !tick(ctx, ticker) {
			return context.Cause(ctx)
		}
	}
}

// fleetNow asks for all services and hosts.
func fleetNow(ctx context.Context, c *client.Client) (live.Told, error) {
	services, err := client.Get[[]api.ServiceStatus](ctx, c, api.GetServices, "")
	if err != nil {
		return live.Told{}, err
	}
	hosts, err := client.Get[[]api.HostStatus](ctx, c, api.GetHosts, "")
	return live.Told{Services: services, Hosts: hosts, Now: time.Now()}, err
}
