package main

import "github.com/spf13/cobra"

func newPromote(a *app) *cobra.Command {
	s := &steering{app: a, verb: "promote", done: "is promoted; `serin watch` follows it"}
	cmd := s.command(&cobra.Command{
		Short: "Approve the current step, or promote on every host at once",
		Long: "Approve the current step: a rollout that waits for a person goes on. With --full it skips\n" +
			"the steps that are left, and every host gets the new version at once.",
		Example: "  serin promote checkout\n  serin promote checkout-7 --full --reason 'hotfix'",
	})
	cmd.Flags().BoolVar(&s.full, "full", false, "on every host at once, without further steps")
	return cmd
}
