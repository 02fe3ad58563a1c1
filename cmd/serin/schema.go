package main

import (
	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/internal/specfile"
)

func newSchema(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the rollout file, for editors",
		Long: "Print the JSON Schema of the rollout file, by which editors complete it and mark mistakes. It knows\n" +
			"the form of a file; `serin check` knows also what it means.",
		Example: "  serin schema > rollout.schema.json\n" +
			"  # and as the first line of the rollout file:\n" +
			"  # yaml-language-server: $schema=rollout.schema.json",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := specfile.Schema()
			if err == nil {
				_, err = a.out.Write(text)
			}
			return err
		},
	}
}
