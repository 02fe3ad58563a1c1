package main

import (
	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/specfile"
)

// The things that have a schema.
const (
	schemaRollout = "rollout"
	schemaEvent   = "event"
)

func newSchema(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema [rollout|event]",
		Short: "Print the JSON Schema of the rollout file, or of the events",
		Long: "Print the JSON Schema of the rollout file, by which editors complete it and mark mistakes. It knows\n" +
			"the form of a file; `serin check` knows also what it means. Or print that of the events, for\n" +
			"programs that read serin.v1.event.> or serin events -o json: CloudEvents, with what docs/nats.md\n" +
			"tells of in data.",
		Example: "  serin schema > rollout.schema.json\n" +
			"  # and as the first line of the rollout file:\n" +
			"  # yaml-language-server: $schema=rollout.schema.json\n" +
			"  serin schema event > event.schema.json",
		Args:      atMostOne("of rollout and event"),
		ValidArgs: []cobra.Completion{schemaRollout, schemaEvent},
		RunE: func(_ *cobra.Command, args []string) error {
			source := specfile.Schema
			switch {
			case len(args) == 0, args[0] == schemaRollout:
			case args[0] == schemaEvent:
				source = event.Schema
			default:
				return usagef("schema %q: is none; use rollout or event", args[0])
			}
			text, err := source()
			if err == nil {
				_, err = a.out.Write(text)
			}
			return err
		},
	}
}
