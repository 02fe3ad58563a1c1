// Serin-coordinator is one replica of the coordinator: it decides on rollouts
// together with the other replicas, and carries the bus unless told to use
// another.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/pflag"

	"github.com/serin-rollouts/serin/coordinator"
	"github.com/serin-rollouts/serin/internal/config"
	"github.com/serin-rollouts/serin/internal/identity"
	build "github.com/serin-rollouts/serin/internal/version"
)

const (
	exitFailed = 1
	exitUsage  = 2
)

const usage = `Usage: serin-coordinator [run|check] [flags]

  run    be one replica of the coordinator (the default)
  check  look at the configuration, then end

Flags:
`

// settings is the configuration file.
type settings struct {
	ID      string        `yaml:"id" doc:"name of this replica; it never changes"`
	Data    string        `yaml:"data" doc:"directory for the replicated state and the embedded NATS server"`
	Cluster string        `yaml:"cluster" doc:"name of the group in the source of its events"`
	NATS    natsSettings  `yaml:"nats"`
	Raft    raftSettings  `yaml:"raft"`
	TLS     tlsSettings   `yaml:"tls"`
	Lease   time.Duration `yaml:"lease" doc:"how long an agent keeps a canary serving without hearing a leader"`
	Log     logSettings   `yaml:"log"`
}

type natsSettings struct {
	Embed    bool     `yaml:"embed" doc:"run a NATS server in this process; without urls it runs in any case"`
	Listen   string   `yaml:"listen" doc:"embedded server: address for agents and operators"`
	Cluster  string   `yaml:"cluster" doc:"embedded server: address for the other replicas' servers"`
	Routes   []string `yaml:"routes" doc:"embedded server: the other replicas' cluster addresses"`
	URLs     []string `yaml:"urls" doc:"NATS servers of your own; then embed is false"`
	Creds    string   `yaml:"creds" doc:"credentials file for servers of your own"`
	Replicas int      `yaml:"replicas" doc:"copies of each stream; 0: 3 with routes, else 1"`
}

type raftSettings struct {
	Listen    string        `yaml:"listen" doc:"address for the other replicas"`
	Advertise string        `yaml:"advertise" doc:"address that the other replicas dial, if not listen"`
	Peers     []string      `yaml:"peers" doc:"all first members as id=host:port, this one too"`
	Join      bool          `yaml:"join" doc:"begin empty and wait to be added by serin cluster add"`
	Heartbeat time.Duration `yaml:"heartbeat" doc:"how long a follower waits for its leader; 0: the default"`
	Election  time.Duration `yaml:"election" doc:"how long a candidate waits for votes; 0: the default"`
	Lease     time.Duration `yaml:"lease" doc:"how long a leader leads without hearing a majority; 0: the default"`
}

type tlsSettings struct {
	CA   string `yaml:"ca" doc:"PEM file of the authority that every peer's certificate comes from"`
	Cert string `yaml:"cert" doc:"PEM file of this process's certificate"`
	Key  string `yaml:"key" doc:"PEM file of its key"`
}

type logSettings struct {
	Level string `yaml:"level" doc:"debug, info, warn or error"`
}

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
	flags := pflag.NewFlagSet("serin-coordinator", pflag.ContinueOnError)
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
		return complain(stderr, exitFailed, coordinator.Run(ctx, cfg))
	case "check":
		_, err := fmt.Fprintf(stdout, "replica %s: the configuration is good\n", cfg.ID)
		return complain(stderr, exitFailed, err)
	default:
		return complain(stderr, exitUsage, fmt.Errorf("unknown verb %q, known are run and check", verb))
	}
}

// complain prints an error and returns the exit code for it; 0 for none.
func complain(stderr io.Writer, code int, err error) int {
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(stderr, "serin-coordinator:", err) // nowhere else to say it
	return code
}

func defaults() settings {
	host, err := os.Hostname()
	if err != nil {
		host = "" // it has to be named then
	}
	return settings{
		ID:    host,
		Data:  "/var/lib/serin-coordinator",
		NATS:  natsSettings{Listen: "0.0.0.0:4222"},
		Raft:  raftSettings{Listen: "127.0.0.1:7311"},
		Lease: coordinator.DefaultLease,
		Log:   logSettings{Level: "info"},
	}
}

func (s settings) config(log zerolog.Logger) coordinator.Config {
	cfg := coordinator.Config{
		ID: s.ID, Data: s.Data, Cluster: s.Cluster, Lease: s.Lease, Version: build.Semantic(version), Log: log,
		TLS: identity.Files{CA: s.TLS.CA, Cert: s.TLS.Cert, Key: s.TLS.Key},
		NATS: coordinator.NATS{
			Embed: s.NATS.Embed || len(s.NATS.URLs) == 0, Listen: s.NATS.Listen, Cluster: s.NATS.Cluster,
			Routes: s.NATS.Routes, URLs: s.NATS.URLs, Creds: s.NATS.Creds, Replicas: s.NATS.Replicas,
		},
		Raft: coordinator.Raft{
			Listen: s.Raft.Listen, Advertise: s.Raft.Advertise, Peers: s.Raft.Peers, Join: s.Raft.Join,
			Heartbeat: s.Raft.Heartbeat, Election: s.Raft.Election, Lease: s.Raft.Lease,
		},
	}
	if !cfg.NATS.Embed {
		cfg.NATS.Listen = "" // the default is for an embedded server
	}
	if len(cfg.Raft.Peers) == 0 && !cfg.Raft.Join {
		cfg.Raft.Peers = []string{s.ID + "=" + advertised(s.Raft)} // a group of one
	}
	return cfg
}

func advertised(r raftSettings) string {
	if r.Advertise != "" {
		return r.Advertise
	}
	return r.Listen
}
