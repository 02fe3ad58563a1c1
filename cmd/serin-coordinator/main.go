// Serin-coordinator is one replica of the coordinator: it decides on rollouts
// together with the other replicas, and carries the bus unless told to use
// another.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/coordinator"
	"github.com/serin-rollouts/serin/internal/daemon"
)

const usage = `Usage: serin-coordinator [run|check|salvage|restore] [flags]

  run      be one replica of the coordinator (the default)
  check    look at the configuration, then end
  salvage  write a backup of what this replica's directory holds to standard output, while
           it does not run: for a group that has lost its majority for good
  restore  read a backup (serin cluster snapshot, or salvage) from standard input into the
           empty directory of this replica, as a member of a new group of raft.peers

Flags:
`

// version is set by the linker.
var version = "devel"

func main() { daemon.Main(run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s := defaults()
	var cfg coordinator.Config
	return daemon.Program{
		Name: "serin-coordinator", Usage: usage, Version: version, Settings: &s, Log: &s.Log,
		Validate: func(log zerolog.Logger) error {
			cfg = s.config(log)
			return cfg.Validate()
		},
		Verbs: map[string]func(context.Context, io.Writer) error{
			"run": func(ctx context.Context, _ io.Writer) error { return coordinator.Run(ctx, cfg) },
			"check": func(_ context.Context, stdout io.Writer) error {
				_, err := fmt.Fprintf(stdout, "replica %s: the configuration is good\n", cfg.ID)
				return err
			},
			"salvage": func(_ context.Context, stdout io.Writer) error { return coordinator.Salvage(cfg, stdout) },
			"restore": func(context.Context, io.Writer) error { return coordinator.Restore(cfg, os.Stdin) },
		},
	}.Run(ctx, args, stdout, stderr)
}
