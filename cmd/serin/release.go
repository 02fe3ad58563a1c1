package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
)

func newRelease(a *app) *cobra.Command {
	return a.changing(&cobra.Command{
		Use:   "release SERVICE HOST",
		Short: "Let a host that was excluded from a rollout follow the stable version again",
		Long: "Let a host that was excluded from a rollout follow the stable version again. A rollout goes on\n" +
			"without a host whose canary alone is bad; when it is promoted, that host is held back at what it\n" +
			"had. This gives it the stable version now, without steps and gates. Without it, the next rollout\n" +
			"of the service reaches the host as any other. `serin status` lists the hosts that are held back.",
		Example: "  serin release checkout web-02 --reason 'disk replaced'",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("%s takes a service and a host", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: a.completeHeld(),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.release(cmd.Context(), args[0], args[1]) },
	})
}

// Private

func (a *app) release(ctx context.Context, service, host string) error {
	if err := validName(service); err != nil {
		return err
	}
	if _, err := bus.HostToken(host); err != nil {
		return usagef("%v", err)
	}
	return a.with(ctx, func(c *client.Client) error {
		s, err := client.Get[api.ServiceStatus](ctx, c, api.GetService, service)
		if err != nil {
			return err
		}
		k := slices.IndexFunc(s.Held, func(h api.HeldHost) bool { return strings.EqualFold(h.Host, host) })
		if k < 0 {
			return &rollout.Refusal{Code: rollout.CodePhase, Message: fmt.Sprintf("%s is not held back from %s%s", host, service, others(s.Held))}
		}
		host, to := s.Held[k].Host, "the stable version"
		if s.Stable != nil {
			to = s.Stable.Version
		}
		body := api.Command{Host: host, By: a.by(), Reason: a.reason}
		if a.dryRun {
			return a.print(body, func(out io.Writer, _ show.Options) error {
				return line(out, "would let %s follow %s to %s (it has %s)", host, service, to, s.Held[k].Version)
			}, []string{host})
		}
		if err := a.confirm(fmt.Sprintf("Give %s on %s %s now, without steps and gates? It has %s.", service, host, to, s.Held[k].Version)); err != nil {
			return err
		}
		reply, err := c.Command(ctx, api.Release, service, body)
		if err != nil {
			return err
		}
		return a.print(reply, func(out io.Writer, _ show.Options) error {
			return line(out, "%s follows %s to %s; `serin hosts %s` shows how far it is", host, service, to, host)
		}, []string{host})
	})
}

// others names the hosts that could have been meant.
func others(held []api.HeldHost) string {
	if len(held) == 0 {
		return "; no host is"
	}
	names := make([]string, 0, len(held))
	for _, h := range held {
		names = append(names, h.Host)
	}
	return "; held back: " + strings.Join(names, ", ")
}

// completeHeld proposes services with hosts that are held back, then those hosts.
func (a *app) completeHeld() completion {
	return complete(a, api.GetServices, 2, func(s api.ServiceStatus, args []string) []cobra.Completion {
		if len(s.Held) == 0 {
			return nil
		}
		if len(args) == 0 {
			return []cobra.Completion{s.Service}
		}
		if s.Service != args[0] {
			return nil
		}
		var hosts []cobra.Completion
		for _, h := range s.Held {
			hosts = append(hosts, cobra.CompletionWithDesc(h.Host, "has "+h.Version))
		}
		return hosts
	})
}
