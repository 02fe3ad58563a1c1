package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
)

// completionWait bounds how long a press of the tab key may take.
const completionWait = 1500 * time.Millisecond

// completion proposes names for a command's arguments.
type completion = func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective)

// rolloutOf finds the rollout that an argument means: itself, or a service's
// running or last one.
func rolloutOf(ctx context.Context, c *client.Client, name string) (api.RolloutDetail, error) {
	if err := validName(name); err != nil {
		return api.RolloutDetail{}, err
	}
	return client.Get[api.RolloutDetail](ctx, c, api.GetRollout, name)
}

// completeRollouts proposes services and their rollouts.
func (a *app) completeRollouts() completion {
	return complete(a, api.GetServices, 1, func(s api.ServiceStatus, _ []string) []cobra.Completion {
		names := []cobra.Completion{s.Service}
		if r := s.Rollout; r != nil {
			names = append(names, cobra.CompletionWithDesc(r.ID, string(r.Phase)+", to "+r.To))
		}
		return names
	})
}

// completeServices proposes services.
func (a *app) completeServices() completion {
	return complete(a, api.GetServices, 1, func(s api.ServiceStatus, _ []string) []cobra.Completion {
		return []cobra.Completion{s.Service}
	})
}

// completeHosts proposes hosts.
func (a *app) completeHosts() completion {
	return complete(a, api.GetHosts, 1, func(h api.HostStatus, _ []string) []cobra.Completion {
		return []cobra.Completion{h.Host}
	})
}

// completeFile proposes files of the file system.
func completeFile(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{"yaml", "yml", "json"}, cobra.ShellCompDirectiveFilterFileExt
}

// Private

// complete proposes names out of a list that the leader has, for each of so many
// arguments; names knows those before.
func complete[T any](a *app, what string, most int, names func(one T, args []string) []cobra.Completion) completion {
	return func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		all, err := ask[[]T](cmd.Context(), a, what)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var found []cobra.Completion
		for _, one := range all {
			for _, name := range names(one, args) {
				if strings.HasPrefix(name, prefix) {
					found = append(found, name)
				}
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// ask reads something while a person waits at the prompt.
func ask[T any](ctx context.Context, a *app, what string) (T, error) {
	var got T
	a.timeout = completionWait
	err := a.with(ctx, func(c *client.Client) error {
		var err error
		got, err = client.Get[T](ctx, c, what, "")
		return err
	})
	return got, err
}

// validName refuses what can be no service and no rollout before it becomes a
// part of a subject.
func validName(name string) error {
	if err := bus.ValidToken(name); err != nil {
		return usagef("%q is no name of a service or a rollout: these consist of a-z, 0-9, - and _", name)
	}
	return nil
}
