package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/api"
)

// changeWait is longer than other answers take: a new replica catches up
// first, and what a removed one kept moves to the others.
const changeWait = 35 * time.Second

func newCluster(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Show and change the coordinator's replicas",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newClusterStatus(a), newClusterAdd(a), newClusterRemove(a), newClusterTransfer(a), newClusterSnapshot(a), newClusterRestore(a))
	return cmd
}

// Private

func newClusterStatus(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Show the replicas, who leads, and how far they are",
		Example: "  serin cluster status\n  serin cluster status -o json | jq -r .leader",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			return a.with(ctx, func(c *client.Client) error {
				s, err := client.Get[api.ClusterStatus](ctx, c, api.GetCluster, "")
				if err != nil {
					return err
				}
				var ids []string
				for _, m := range s.Members {
					ids = append(ids, m.ID)
				}
				return a.print(s, func(out io.Writer, o show.Options) error { return o.Cluster(out, s) }, ids)
			})
		},
	}
}

func newClusterAdd(a *app) *cobra.Command {
	return a.changingCluster(&cobra.Command{
		Use:     "add ID HOST:PORT",
		Short:   "Let a replica take part; it runs already, with raft.join set",
		Example: "  serin cluster add c3 10.0.0.3:7311",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("%s takes an id and the address of its Raft listener", cmd.CommandPath())
			}
			if _, _, err := net.SplitHostPort(args[1]); err != nil {
				return usagef("%s: is no address, write host:port", args[1])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeCluster(cmd.Context(), api.Add, api.Member{ID: args[0], Addr: args[1]}, "takes part now")
		},
	})
}

func newClusterRemove(a *app) *cobra.Command {
	return a.changingCluster(&cobra.Command{
		Use:     "remove ID",
		Short:   "Take a replica out, for good",
		Long:    "Take a replica out, for good. Then stop it and delete its data.",
		Example: "  serin cluster remove c3",
		Args:    oneOf("replica"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.confirm(fmt.Sprintf("Take replica %s out of the cluster?", args[0])); err != nil {
				return err
			}
			return a.changeCluster(cmd.Context(), api.Remove, api.Member{ID: args[0]}, "is out: stop it, and delete its data")
		},
	})
}

func newClusterTransfer(a *app) *cobra.Command {
	return a.changingCluster(&cobra.Command{
		Use:   "transfer [ID]",
		Short: "Hand the leadership over, to one replica or to whoever is best",
		Long: "Hand the leadership over, to the replica of that ID or to the one that is furthest.\n" +
			"Rollouts go on under the next leader.",
		Example: "  serin cluster transfer        # before the leader's machine restarts",
		Args:    atMostOne("replica"),
		RunE: func(cmd *cobra.Command, args []string) error {
			m := api.Member{}
			if len(args) == 1 {
				m.ID = args[0]
			}
			return a.changeCluster(cmd.Context(), api.Transfer, m, "leads from now on")
		},
	})
}

// changingCluster adds the flags of the commands that change the cluster.
func (a *app) changingCluster(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&a.dryRun, "dry-run", false, "say what would be done, and do nothing")
	cmd.Flags().StringVar(&a.person, "by", "", "who asks, for the record (env SERIN_BY; else the user's name)")
	return cmd
}

func (a *app) changeCluster(ctx context.Context, action string, m api.Member, done string) error {
	m.By = a.by()
	a.timeout = cmp.Or(a.timeout, changeWait)
	who := cmp.Or(m.ID, "another replica")
	if a.dryRun {
		return a.print(m, func(out io.Writer, _ show.Options) error { return line(out, "would %s %s", action, who) }, names(m.ID))
	}
	return a.with(ctx, func(c *client.Client) error {
		reply, err := c.Command(ctx, api.Cluster, action, m)
		if err != nil {
			return err
		}
		return a.print(reply, func(out io.Writer, _ show.Options) error { return line(out, "%s %s", who, done) }, names(m.ID))
	})
}
