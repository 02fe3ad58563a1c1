package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/internal/api"
)

func newPromote(a *app) *cobra.Command {
	s := &steering{app: a, verb: "promote"}
	s.done = func(r api.RolloutStatus) string {
		switch {
		case !s.full && r.NeedsApproval:
			return fmt.Sprintf("has the approval of step %d; `serin watch` follows it", r.Step)
		case !s.full && r.Step < r.Steps:
			return fmt.Sprintf("takes step %d; `serin watch` follows it", r.Step+1)
		}
		return "is promoted; `serin watch` follows it"
	}
	cmd := s.command(&cobra.Command{
		Short: "Approve the current step, or take the next one at once",
		Long: "Let a rollout go on. What that means depends on its step:\n\n" +
			"  It wants an approval (approve: true) that it has not got yet: this gives it, and skips nothing.\n" +
			"  If hold and gates are not through with the step they still have their say.\n\n" +
			"  Else: it takes the next step now, and skips what is left of the hold and the evidence that the\n" +
			"  gates want to see before they let it pass; after the last step the new version is promoted.\n" +
			"  All hosts have to have taken the current step. Gates, hold and approval of the next step count,\n" +
			"  and a canary that turns bad is taken back as ever.\n\n" +
			"With --full every host gets the new version now. That skips the steps that are left with their\n" +
			"holds, gates and approvals, waits for no host, and is the end of the rollout: the old containers\n" +
			"are removed, and nothing goes back by itself any more.",
		Example: "  serin promote checkout\n  serin promote checkout-7 --full --reason 'hotfix'",
	})
	cmd.Flags().BoolVar(&s.full, "full", false, "on every host at once, without further steps, holds, gates and approvals")
	return cmd
}
