package main

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/internal/api"
)

func newAbort(a *app) *cobra.Command {
	s := &steering{
		app: a, verb: "abort", done: always("is being taken back; `serin watch` follows it"),
		ask: func(s api.RolloutStatus) string {
			return fmt.Sprintf("Abort %s (%s, step %d of %d) and return all hosts to %s?",
				s.ID, s.Phase, s.Step, s.Steps, cmp.Or(s.From, "nothing"))
		},
	}
	return s.command(&cobra.Command{
		Short: "Take a running rollout back at once",
		Long: "Take a running rollout back: every host returns to the version before, at once. Its containers\n" +
			"are still there.",
		Example: "  serin abort checkout --reason 'customers complain'\n  serin abort checkout-7 --yes",
	})
}
