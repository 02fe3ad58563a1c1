package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/httpd"
	"github.com/serin-rollouts/serin/internal/trace"
)

// Mode says whose HAProxy takes the traffic.
type Mode string

// Managed is a HAProxy that the agent runs; Existing is the user's own.
const (
	Managed  Mode = "managed"
	Existing Mode = "existing"
)

// Defaults of what Config leaves zero.
const (
	DefaultInterval     = time.Second      // between reports while something moves
	DefaultIdleInterval = 5 * time.Second  // between reports while nothing does
	DefaultLease        = 30 * time.Second // how long a canary lives without a leader
)

// Config is all that an agent needs.
type Config struct {
	// Host names this host in subjects, labels and reports. It must be unique
	// in the fleet and stay the same: the state directory is bound to it.
	Host   string
	Labels map[string]string
	// Version of the agent, for display.
	Version string
	// DataDir holds the accepted assignments.
	DataDir string

	// HTTP is the address for /metrics, /healthz and /readyz; empty: none.
	HTTP string

	Bus    bus.Config
	Docker docker.Config

	Mode Mode // Managed if empty
	// HAProxy with a LogAddr tells how long requests take.
	HAProxy haproxy.Config
	// Bind is the address on which a managed HAProxy takes the traffic of
	// services that name only a port; empty means all addresses.
	Bind string

	// Trace says where traces go; Program, Instance, Host, Version and Log in it are
	// filled in by Run.
	Trace trace.Config

	// Interval and IdleInterval are used until a leader asks for another;
	// Lease until a leader tells its own.
	Interval, IdleInterval, Lease time.Duration

	// Dial opens the connections by which readiness is proved; nil means the
	// real network.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Listen opens the listener at HTTP; nil means the real network.
	Listen func(ctx context.Context, network, addr string) (net.Listener, error)

	// Write replaces a file so that it is on the disk when it returns; nil means
	// the real disk.
	Write func(path string, data []byte) error

	Log zerolog.Logger
}

// Validate names what is missing or wrong by its key in the configuration file.
func (c Config) Validate() error {
	c = c.withDefaults()
	if _, err := bus.HostToken(c.Host); err != nil {
		return fmt.Errorf("host: %w", err)
	}
	switch {
	case c.DataDir == "":
		return errors.New("data: is empty; name a directory for the accepted assignments")
	case c.Mode != Managed && c.Mode != Existing:
		return fmt.Errorf("haproxy.mode: %q is neither %q nor %q", c.Mode, Managed, Existing)
	case c.Bind != "" && net.ParseIP(c.Bind) == nil:
		return fmt.Errorf("haproxy.bind: %q is no IP address", c.Bind)
	case c.Interval <= 0 || c.IdleInterval <= 0:
		return errors.New("intervals: must be longer than 0")
	case c.Lease < time.Second:
		return fmt.Errorf("lease: %s is too short, a leader is heard about once a second", c.Lease)
	}
	if err := httpd.Validate(c.HTTP); err != nil {
		return err
	}
	if err := c.Bus.Validate(); err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	return nil
}

// Private

func (c Config) withDefaults() Config {
	if c.Mode == "" {
		c.Mode = Managed
	}
	if c.Interval == 0 {
		c.Interval = DefaultInterval
	}
	if c.IdleInterval == 0 {
		c.IdleInterval = DefaultIdleInterval
	}
	if c.Lease == 0 {
		c.Lease = DefaultLease
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if c.Bus.Name == "" {
		c.Bus.Name = "serin-agent " + c.Host
	}
	c.Labels = maps.Clone(c.Labels)
	return c
}
