// Serin-agent runs on each Docker host: it keeps the host's containers and its
// HAProxy as the coordinator says.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/rs/zerolog"
	"github.com/spf13/pflag"

	"github.com/serin-rollouts/serin/agent"
	"github.com/serin-rollouts/serin/internal/config"
	build "github.com/serin-rollouts/serin/internal/version"
)

const (
	exitFailed = 1
	exitUsage  = 2
)

const usage = `Usage: serin-agent [run|check] [flags]

  run    keep this host as the coordinator says (the default)
  check  try the configuration against this host's Docker and HAProxy, then end

Flags:
`

// version is set by the linker.
var version = "devel"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s := defaults()
	flags := pflag.NewFlagSet("serin-agent", pflag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { _, _ = fmt.Fprint(stderr, usage+flags.FlagUsages()) }
	show := flags.Bool("version", false, "print the version, then end")
	loaded, err := config.Load(flags, args, os.Environ(), &s)
	verb := "run"
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return 0
	case err != nil:
		return complain(stderr, exitUsage, err)
	case *show:
		_, err = fmt.Fprintln(stdout, build.Semantic(version))
		return complain(stderr, exitFailed, err)
	case loaded.PrintConfig:
		return complain(stderr, exitFailed, loaded.Print(stdout))
	case flags.NArg() > 1:
		return complain(stderr, exitUsage, fmt.Errorf("one verb is enough, got %q", flags.Args()))
	case flags.NArg() == 1:
		verb = flags.Arg(0)
	}
	level, err := zerolog.ParseLevel(s.Log.Level)
	if err != nil {
		return complain(stderr, exitUsage, loaded.At("log.level", err))
	}
	cfg := s.config(zerolog.New(stderr).Level(level).With().Timestamp().Logger())
	if err := cfg.Validate(); err != nil {
		return complain(stderr, exitUsage, loaded.Point(err))
	}
	switch verb {
	case "run":
		return complain(stderr, exitFailed, agent.Run(ctx, cfg))
	case "check":
		return check(ctx, cfg, stdout, stderr)
	default:
		return complain(stderr, exitUsage, fmt.Errorf("unknown verb %q, known are run and check", verb))
	}
}

func check(ctx context.Context, cfg agent.Config, stdout, stderr io.Writer) int {
	found, err := agent.Check(ctx, cfg)
	if err == nil {
		_, err = fmt.Fprintln(stdout, found)
	}
	return complain(stderr, exitFailed, err)
}

// complain prints an error and returns the exit code for it; 0 for none.
func complain(stderr io.Writer, code int, err error) int {
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(stderr, "serin-agent:", err) // nowhere else to say it
	return code
}
