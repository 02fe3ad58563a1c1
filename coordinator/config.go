package coordinator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/coordinator/console"
	"github.com/serin-rollouts/serin/coordinator/hooks"
	"github.com/serin-rollouts/serin/coordinator/replica"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/httpd"
	"github.com/serin-rollouts/serin/internal/identity"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/trace"
)

// DefaultLease is how long an agent keeps a canary without hearing a leader.
const DefaultLease = 30 * time.Second

const (
	leastLease = time.Second
	mostLease  = time.Hour
)

// Config is one coordinator. Paths and addresses have no defaults here.
type Config struct {
	// ID names this replica; it never changes. [a-z0-9_-], 1 to 63 of them.
	ID string
	// Data is the directory of Raft and of the embedded NATS server.
	Data string
	// Cluster names the group in the source of its events; may be empty, and
	// has to be the same on all replicas.
	Cluster string
	NATS    NATS
	Raft    Raft
	TLS     identity.Files
	// HTTP is the address for the console, /metrics, /healthz and /readyz; empty:
	// none.
	HTTP string
	// Console is served there, too. Replica, Version and Listen in it are filled in
	// by Run.
	Console console.Config
	// Hooks is a file with the rules by which pushes to registries, told over HTTP,
	// become triggers, see package hooks; empty: they do not.
	Hooks string
	// Lease is how long an agent keeps a canary serving without a sign of life
	// from a leader; DefaultLease if zero.
	Lease time.Duration
	// Record is a directory that everything is written to that rollouts are
	// judged by, for serin analyze; nothing is if it is empty.
	Record string
	// Trace says where traces go; Program, Instance, Version and Log in it are filled
	// in by Run.
	Trace trace.Config
	// Version of this program, semantic, for listings; may be empty.
	Version string
	Log     zerolog.Logger
	// Seams replace what tests cannot have; zero in production.
	Seams Seams
}

// NATS says which bus to use: an embedded server, or the user's own.
type NATS struct {
	Embed   bool
	Listen  string   // embedded: the clients' address
	Cluster string   // embedded: the address for the other replicas' servers
	Routes  []string // embedded: the other replicas' Cluster addresses
	URLs    []string // the user's own servers
	Creds   string   // credentials file for these
	// Replicas is how many copies the streams have; if zero, 1 for a lone
	// server and 3 with Routes; the user's own servers get 1.
	Replicas int
}

// Raft is this replica's part of the group.
type Raft struct {
	Listen    string
	Advertise string   // what the others dial; Listen if empty
	Peers     []string // "id=host:port" of each first member, this one among them
	Join      bool     // begin empty and wait to be added
	Heartbeat time.Duration
	Election  time.Duration
	Lease     time.Duration // how long a leader leads without hearing a majority
}

// Seams are where tests put something else.
type Seams struct {
	// NoPorts keeps the embedded server within the process.
	NoPorts bool
	// InProcess is a server within this process that stands for NATS.
	InProcess interface{ InProcessConn() (net.Conn, error) }
	// OpenReplica stands for replica.Open: a group in memory.
	OpenReplica func(context.Context, replica.Config) (*replica.Replica, error)
	// Level makes the replica understand no more of the log, as an earlier
	// release does; 0: what this release understands.
	Level int
}

// Validate names the field that is missing or wrong.
func (c Config) Validate() error {
	if err := bus.ValidToken(c.ID); err != nil {
		return fmt.Errorf("id: %w", err)
	}
	switch {
	case c.Data == "":
		return errors.New("data: is needed; name a directory of its own")
	case c.Lease != 0 && (c.Lease < leastLease || c.Lease > mostLease):
		return fmt.Errorf("lease: is %s; use %s to %s", c.Lease, leastLease, mostLease)
	}
	if err := c.TLS.Validate(); err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	if err := httpd.Validate(c.HTTP); err != nil {
		return err
	}
	if err := c.console().Validate(); err != nil {
		return err
	}
	if err := c.validateHooks(); err != nil {
		return err
	}
	if _, err := c.Raft.peers(); err != nil {
		return err
	}
	if c.Raft.Listen == "" {
		return errors.New("raft.listen: is needed, for example 10.0.0.1:7311")
	}
	if err := addresses(map[string]string{
		"raft.listen": c.Raft.Listen, "raft.advertise": c.Raft.Advertise, "nats.listen": c.NATS.Listen, "nats.cluster": c.NATS.Cluster,
	}); err != nil {
		return err
	}
	if c.Seams.InProcess != nil {
		return nil
	}
	return c.NATS.validate(c.Seams.NoPorts)
}

// Private

// console is Console with what the rest of the configuration says.
func (c Config) console() console.Config {
	all := c.Console
	all.Replica, all.Version, all.Listen = c.ID, c.Version, c.HTTP
	return all
}

// exporter starts to export traces, if they are wanted.
func (c Config) exporter(ctx context.Context) *trace.Exporter {
	all := c.Trace
	all.Program, all.Instance, all.Version = "serin-coordinator", c.ID, c.Version
	all.Log = c.Log.With().Str("component", "traces").Logger()
	return trace.Open(ctx, all)
}

func (c Config) validateHooks() error {
	if c.Hooks == "" {
		return nil
	}
	if c.HTTP == "" {
		return errors.New("hooks: come over HTTP; name an address in http.listen")
	}
	_, err := hooks.Load(c.Hooks)
	return err
}

// level is what this replica understands of the log.
func (c Config) level() int {
	if c.Seams.Level > 0 {
		return c.Seams.Level
	}
	return rollout.LevelNewest
}

// addresses checks those that are given.
func addresses(named map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(named)) {
		if named[key] == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(named[key]); err != nil {
			return fmt.Errorf("%s: %q is no host:port: %w", key, named[key], err)
		}
	}
	return nil
}

func (n NATS) validate(noPorts bool) error {
	switch {
	case n.Embed && len(n.URLs) > 0:
		return errors.New("nats.urls: stands beside nats.embed; use one of them")
	case n.Embed && n.Creds != "":
		return errors.New("nats.creds: is for servers of your own, named in nats.urls")
	case !n.Embed && len(n.URLs) == 0:
		return errors.New("nats.urls: is needed without nats.embed")
	case !n.Embed && (n.Listen != "" || n.Cluster != "" || len(n.Routes) > 0):
		return errors.New("nats.listen, nats.cluster and nats.routes: are for nats.embed")
	case n.Embed && n.Listen == "" && !noPorts:
		return errors.New("nats.listen: is needed with nats.embed, for example 0.0.0.0:4222")
	case n.Replicas < 0 || n.Replicas > 5:
		return fmt.Errorf("nats.replicas: is %d; use 1, 3 or 5", n.Replicas)
	}
	return nil
}

// replicas returns how many copies the streams get.
func (n NATS) replicas() int {
	switch {
	case n.Replicas > 0:
		return n.Replicas
	case n.Embed && len(n.Routes) > 0:
		return 3
	}
	return 1
}
