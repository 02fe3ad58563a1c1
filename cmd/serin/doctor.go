package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
	semantic "github.com/serin-rollouts/serin/internal/version"
)

const (
	// leaderless is how long replicas may take to say how they stand.
	leaderless = time.Second
	// unlinked begins the version of a program that was built without one.
	unlinked = "0.0.0-g"
)

func newDoctor(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong: bus, replicas, hosts",
		Long: "Look for what is wrong: the bus, each replica of the coordinator, the events, and of all hosts whether\n" +
			"they report, and what they report of their clocks, agents, Docker, HAProxy, disks and services. A line\n" +
			"for each, OK, WARN or FAIL, with up to ten hosts by name, and at the end what to do. Where no replica\n" +
			"leads it says how each stands. It changes nothing.\n\n" +
			"It exits with 0 if all is well, and with 1 if there is anything else than OK. What one host says of\n" +
			"itself: serin hosts HOST; what it finds without a bus: serin-agent check, on the host.",
		Example: "  serin doctor\n" +
			"  serin doctor -o json | jq '.checks[] | select(.grade != \"ok\")'",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context()) },
	}
}

// Private

func (a *app) doctor(ctx context.Context) error {
	return a.with(ctx, func(c *client.Client) error {
		up, err := examine(ctx, c)
		if err != nil {
			return err
		}
		var about []string
		for _, k := range up.Checks {
			if k.Grade != api.GradeOK {
				about = append(about, k.About)
			}
		}
		if err := a.print(up, func(out io.Writer, o show.Options) error { return o.Checkup(out, up) }, about); err != nil {
			return err
		}
		if len(about) > 0 {
			return exitf(exitUnexpected, "%d of %d checks found something: %s", len(about), len(up.Checks), strings.Join(about, ", "))
		}
		return nil
	})
}

// examine looks from the outside in: what nobody can be asked for is a finding.
func examine(ctx context.Context, c *client.Client) (api.Checkup, error) {
	server, took, err := c.Reach(ctx)
	if err != nil {
		return found(ctx, "bus", err, "start a coordinator, or name its bus with --server; nothing else can be asked for")
	}
	reached := api.Check{About: "bus", Grade: api.GradeOK, Text: fmt.Sprintf("%s answers in %s", server, took.Round(100*time.Microsecond))}
	up, err := client.Get[api.Checkup](ctx, c, api.GetCheckup, "")
	if err != nil {
		up, err = withoutLeader(ctx, c, err)
		if err != nil {
			return up, err
		}
	} else {
		up.Checks = slices.Insert(up.Checks, 0, checkSerin(up.Version))
	}
	up.Checks = slices.Insert(up.Checks, 0, reached)
	return up, nil
}

// found is a checkup that came no further.
func found(ctx context.Context, about string, err error, next string) (api.Checkup, error) {
	if ctx.Err() != nil {
		return api.Checkup{}, context.Cause(ctx)
	}
	return api.Checkup{Checks: []api.Check{{About: about, Grade: api.GradeFail, Text: err.Error(), Next: next}}}, nil
}

// withoutLeader says why the leader has not told how all is, and how the replicas
// stand by their own account.
func withoutLeader(ctx context.Context, c *client.Client, why error) (api.Checkup, error) {
	if refusal, ok := errors.AsType[*rollout.Refusal](why); ok {
		return found(ctx, "leader", refusal, "its release may be older than this program's, which `serin cluster status` tells: upgrade it")
	}
	up, err := found(ctx, "leader", why, "start the replicas that are missing: more than half of them make a leader")
	if err != nil {
		return up, err
	}
	replicas, err := c.Standings(ctx, leaderless)
	if err != nil || len(replicas) == 0 {
		return up, err
	}
	slices.SortFunc(replicas, func(x, y api.Standing) int { return strings.Compare(x.ID, y.ID) })
	for _, r := range replicas {
		up.Checks = append(up.Checks, api.Check{
			About: "replica " + r.ID, Grade: api.GradeWarn,
			Text: fmt.Sprintf("%s in term %d, %s, entry %d, heard a leader %s", r.Role, r.Term, cmp.Or(r.Version, "of no version"), r.Last, heardOf(r.Contact)),
			Next: "it answers, and waits for the others: can they reach each other at their Raft addresses (raft.listen)?",
		})
	}
	return up, nil
}

func heardOf(contactMS int64) string {
	if contactMS < 0 {
		return "never"
	}
	return show.Span(show.Milli(contactMS)) + " ago"
}

// checkSerin compares this program with the leader, if either was given a version.
func checkSerin(leaders string) api.Check {
	own := semantic.Semantic(version)
	k := api.Check{About: "serin", Grade: api.GradeOK, Text: own}
	if own != leaders && !strings.HasPrefix(own, unlinked) && leaders != "" {
		k.Grade, k.Text = api.GradeWarn, fmt.Sprintf("%s, the leader is of %s", own, leaders)
		k.Next = "upgrade the older of the two; two neighbouring releases work together"
	}
	return k
}
