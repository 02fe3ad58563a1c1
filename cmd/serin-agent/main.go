// Serin-agent runs on each Docker host: it keeps the host's containers and its
// HAProxy as the coordinator says.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/agent"
	"github.com/serin-rollouts/serin/internal/daemon"
)

const usage = `Usage: serin-agent [run|check|doctor] [flags]

  run    keep this host as the coordinator says (the default)
  check  try the configuration against this host's Docker and HAProxy, then end
  doctor the same, and whether the bus answers and the disk has room; serin doctor looks at
         all hosts

Flags:
`

// version is set by the linker.
var version = "devel"

func main() { daemon.Main(run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s := defaults()
	var cfg agent.Config
	return daemon.Program{
		Name: "serin-agent", Usage: usage, Version: version, Settings: &s, Log: &s.Log,
		Validate: func(log zerolog.Logger) error {
			cfg = s.config(log)
			return cfg.Validate()
		},
		Verbs: map[string]func(context.Context, io.Writer) error{
			"run": func(ctx context.Context, _ io.Writer) error { return agent.Run(ctx, cfg) },
			"check": func(ctx context.Context, stdout io.Writer) error {
				found, err := agent.Check(ctx, cfg)
				if err == nil {
					_, err = fmt.Fprintln(stdout, found)
				}
				return err
			},
			"doctor": func(ctx context.Context, stdout io.Writer) error {
				found, err := agent.Doctor(ctx, cfg)
				for _, line := range found {
					_, wrong := fmt.Fprintln(stdout, line)
					err = errors.Join(err, wrong)
				}
				return err
			},
		},
	}.Run(ctx, args, stdout, stderr)
}
