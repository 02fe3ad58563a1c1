// Package daemon is what serin's daemons have in common on the command line:
// flags, the configuration from wherever it comes, verbs, and exit codes.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/rs/zerolog"
	"github.com/spf13/pflag"

	"github.com/serin-rollouts/serin/internal/config"
	"github.com/serin-rollouts/serin/internal/identity"
	"github.com/serin-rollouts/serin/internal/version"
)

// Exit codes; 0 is success.
const (
	ExitFailed = 1 // it ran, and failed
	ExitUsage  = 2 // wrong words or settings: nothing was run
)

// defaultVerb is carried out where none is named.
const defaultVerb = "run"

// TLS is the section of the configuration that names a process's certificate.
type TLS struct {
	CA   string `yaml:"ca" doc:"PEM file of the authority that every peer's certificate comes from"`
	Cert string `yaml:"cert" doc:"PEM file of this process's certificate"`
	Key  string `yaml:"key" doc:"PEM file of its key"`
}

// Files returns it as the parts of the daemon take it.
func (t TLS) Files() identity.Files { return identity.Files{CA: t.CA, Cert: t.Cert, Key: t.Key} }

// HTTP is the section of the configuration for what is served over HTTP.
type HTTP struct {
	Listen string `yaml:"listen" doc:"address for /metrics, /healthz and /readyz, at a coordinator for console and hooks too; or off"`
}

// Address is where to listen, empty for nowhere.
func (h HTTP) Address() string {
	if h.Listen == "off" {
		return ""
	}
	return h.Listen
}

// Log is the section of the configuration for the log.
type Log struct {
	Level string `yaml:"level" doc:"debug, info, warn or error"`
}

// Program is one daemon.
type Program struct {
	Name string
	// Usage stands before the list of flags.
	Usage   string
	Version string // as the linker set it
	// Settings points to the configuration struct with its defaults, Log to the
	// section within it.
	Settings any
	Log      *Log
	// Validate takes the settings, once they are filled in, and the log. Its
	// error names a key, whose place is then shown.
	Validate func(log zerolog.Logger) error
	// Verbs by name; run is the one where none is named. A verb may write to
	// stdout; it runs until ctx ends.
	Verbs map[string]func(ctx context.Context, stdout io.Writer) error
}

// Main is a process from start to end: SIGINT and SIGTERM end run's ctx, and its
// result is the exit code.
func Main(run func(ctx context.Context, args []string, stdout, stderr io.Writer) int) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Run carries out a command line, without the program's name, and returns the
// exit code. What is wrong is said on stderr, where the log goes too.
func (p Program) Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	code, err := p.run(ctx, args, stdout, stderr)
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(stderr, p.Name+":", err) // nowhere else to say it
	return code
}

// Private

// run returns the exit code of its error.
func (p Program) run(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error) {
	flags := pflag.NewFlagSet(p.Name, pflag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { _, _ = fmt.Fprint(stderr, p.Usage+flags.FlagUsages()) }
	show := flags.Bool("version", false, "print the version, then end")
	loaded, err := config.Load(flags, args, os.Environ(), p.Settings)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return 0, nil
	case err != nil:
		return ExitUsage, err
	case *show:
		_, err = fmt.Fprintln(stdout, version.Semantic(p.Version))
		return ExitFailed, err
	case loaded.PrintConfig:
		return ExitFailed, loaded.Print(stdout)
	}
	verb, err := p.verb(flags.Args())
	if err != nil {
		return ExitUsage, err
	}
	level, err := zerolog.ParseLevel(p.Log.Level)
	if err != nil {
		return ExitUsage, loaded.At("log.level", fmt.Errorf("%q is no level: use debug, info, warn or error", p.Log.Level))
	}
	if err := p.Validate(zerolog.New(stderr).Level(level).With().Timestamp().Logger()); err != nil {
		return ExitUsage, loaded.Point(err)
	}
	return ExitFailed, verb(ctx, stdout)
}

func (p Program) verb(args []string) (func(context.Context, io.Writer) error, error) {
	if len(args) > 1 {
		return nil, fmt.Errorf("one verb is enough, got %q", args)
	}
	name := defaultVerb
	if len(args) == 1 {
		name = args[0]
	}
	if verb := p.Verbs[name]; verb != nil {
		return verb, nil
	}
	known := strings.Join(slices.Sorted(maps.Keys(p.Verbs)), " and ")
	return nil, fmt.Errorf("unknown verb %q, known are %s", name, known)
}
