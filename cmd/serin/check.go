package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/show"
)

func newCheck(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE...",
		Short: "Check rollout files, without a coordinator",
		Long: "Check rollout files (- for standard input), without a coordinator. A mistake is shown with its\n" +
			"line; -o json prints what the file means with every default filled in.",
		Example: "  serin check rollout.yaml\n  serin check services/*.yaml",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("%s takes at least one FILE", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: completeFile,
		RunE: func(_ *cobra.Command, args []string) error {
			bad := 0
			for _, file := range args {
				if err := a.check(file); err != nil {
					bad++
					a.complain("%v", err)
				}
			}
			if bad > 0 {
				return &exit{code: exitUsage}
			}
			return nil
		},
	}
}

// Private

func (a *app) check(file string) error {
	spec, _, err := a.readSpec(file, "")
	if err != nil {
		return err
	}
	return a.print(spec, func(out io.Writer, _ show.Options) error {
		return line(out, "%s: %s in %d steps, %s", file, spec.Image, len(spec.Steps), spec.Strategy)
	}, []string{spec.Service})
}
