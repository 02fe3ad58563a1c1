package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
)

func newHosts(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "hosts [HOST]",
		Short: "List the hosts, or show what one host says of itself",
		Long: "List the hosts, or show what one host says of itself. Behind a service stands + for a canary,\n" +
			"~ for work under way, ! for a problem, = for a host that is held back at an older version.",
		Example:           "  serin hosts -o wide\n  serin hosts web-01",
		Args:              atMostOne("host"),
		ValidArgsFunction: a.completeHosts(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.host(cmd.Context(), args[0])
			}
			return a.hosts(cmd.Context())
		},
	}
}

// Private

func (a *app) hosts(ctx context.Context) error {
	return a.with(ctx, func(c *client.Client) error {
		hosts, err := client.Get[[]api.HostStatus](ctx, c, api.GetHosts, "")
		if err != nil {
			return err
		}
		if len(hosts) == 0 {
			a.say("no host yet: start an agent on one; `serin init --cluster` writes its configuration")
		}
		var names []string
		for _, h := range hosts {
			names = append(names, h.Host)
		}
		return a.print(hosts, func(out io.Writer, o show.Options) error { return o.Hosts(out, hosts) }, names)
	})
}

func (a *app) host(ctx context.Context, name string) error {
	token, err := bus.HostToken(name)
	if err != nil {
		return usagef("%v", err)
	}
	return a.with(ctx, func(c *client.Client) error {
		h, err := client.Get[api.HostStatus](ctx, c, api.GetHost, token)
		if err != nil {
			return err
		}
		return a.print(h, func(out io.Writer, o show.Options) error { return o.Host(out, h) }, []string{h.Host})
	})
}
