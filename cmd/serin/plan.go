package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/api"
)

func newPlan(a *app) *cobra.Command {
	var byCode bool
	s := &start{app: a}
	cmd := &cobra.Command{
		Use:   "plan FILE",
		Short: "Ask what a rollout file would do, and do nothing",
		Long: "Ask the coordinator what FILE (- for standard input) would do: which hosts, in which steps,\n" +
			"what changes in what runs and in the rules of the file (values that look like secrets are not\n" +
			"shown; what an env_file holds is not known), which hosts are missing, about how many requests to the canary each step needs as\n" +
			"evidence, and at the traffic that there is how long the gates on errors and on latency take, when\n" +
			"each finds a worse version (one that fails, or takes, 2, 5 or 10 times as much), and how many\n" +
			"requests it has got by then. What is not foretold is named, with the reason. Nothing is started.",
		Example: "  serin plan rollout.yaml\n  serin plan rollout.yaml --exit-code      # 0 nothing to do, 9 changes\n" +
			"  serin plan rollout.yaml --if-revision 4f2a91c0   # 7 if another revision is stable by now",
		Args:              oneOf("FILE"),
		ValidArgsFunction: completeFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, text, err := a.readSpec(args[0], s.image)
			if err != nil {
				return err
			}
			t, err := s.trigger(text)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			return a.with(ctx, func(c *client.Client) error {
				p, err := c.Plan(ctx, spec.Service, t)
				if err != nil {
					return err
				}
				if err := a.printPlan(p); err != nil {
					return err
				}
				if byCode && !p.Unchanged {
					return exitf(exitChanges, "--exit-code: there is something to do")
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&s.image, "image", "", "plan for this `reference` instead of the file's")
	cmd.Flags().StringVar(&s.ifRevision, "if-revision", "", "refuse unless this `revision` is stable (see from.id with -o json)")
	cmd.Flags().BoolVar(&byCode, "exit-code", false, "exit with 9 if there is something to do")
	return cmd
}

// plan is what `serin start --dry-run` does.
func (a *app) plan(ctx context.Context, c *client.Client, service string, t api.Trigger) error {
	p, err := c.Plan(ctx, service, t)
	if err != nil {
		return err
	}
	return a.printPlan(p)
}

// Private

func (a *app) printPlan(p api.Plan) error {
	return a.print(p, func(out io.Writer, o show.Options) error { return o.Plan(out, p) }, []string{p.Service})
}
