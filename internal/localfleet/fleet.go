package localfleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/identity"
)

// Config says what fleet to run.
type Config struct {
	// Name begins the run's name, which begins the hosts' names: a NATS token.
	Name string
	// Bin is the directory of serin, serin-coordinator and serin-agent.
	Bin string
	// Hosts and Replicas are how many agents and coordinator replicas.
	Hosts, Replicas int
	// Lease is how long agents keep a canary without a leader; the coordinator's
	// default if zero.
	Lease time.Duration
	// Operate lets everybody on this machine give commands in the web consoles,
	// as everybody may over NATS where there is no TLS.
	Operate bool
	// TLS gives the identity of a replica or a host by its name, and Operator's;
	// nil means plain text.
	TLS func(name string) identity.Files
	// Err takes what the sweeper complains about.
	Err io.Writer
}

// upLimit bounds the start of what has not failed: a machine may be slow.
const upLimit = 3 * time.Minute

// Operator is the name by which Config.TLS is asked for the fleet's own
// connections.
const Operator = "operator"

// Fleet is one run: a name, a directory, addresses and processes.
type Fleet struct {
	Config

	Name     string // unique on this machine
	Dir      string // holds all of its files
	Replicas []Replica
	Hosts    []*Host
	Registry string // address
	Port     string // of every host's frontend

	sweeper *Sweeper
	mu      sync.Mutex
	parts   []*part
}

// Replica is a coordinator's place: where it listens.
type Replica struct{ Name, NATS, Cluster, Raft, HTTP string }

// Host is an agent's place. Its fields may be changed before it is started.
type Host struct {
	Name    string
	Address string // on which its HAProxy takes the traffic
	HTTP    string // where the agent serves metrics
	// Labels and HAProxy are sections of the agent's file in YAML's flow style.
	Labels, HAProxy string
	// TLS overrides Config.TLS if not nil.
	TLS *identity.Files
	// Later keeps Up from starting the agent.
	Later bool
}

// New checks what a fleet needs and allots names and ports. It starts nothing.
func New(ctx context.Context, cfg Config) (*Fleet, error) {
	if err := checkMachine(ctx, cfg.Bin); err != nil {
		return nil, err
	}
	f := &Fleet{Config: cfg}
	return f, f.allot(ctx)
}

// Up starts the registry with the app's images, the replicas and the agents,
// and waits until the leader knows all hosts. End is due even if it fails.
func (f *Fleet) Up(ctx context.Context) error {
	// The sweeper is there first, so that nothing can be left behind.
	var err error
	if f.sweeper, err = StartSweeper(f.Bin, f.remains(), f.Err); err != nil {
		return err
	}
	if err := os.Mkdir(f.Dir, 0o700); err != nil {
		return fmt.Errorf("make the fleet's directory: %w", err)
	}
	if err := f.prepare(); err != nil {
		return err
	}
	if err := f.Start("registry"); err != nil {
		return err
	}
	for _, r := range f.Replicas {
		if err := f.Start(r.Name); err != nil {
			return err
		}
	}
	if err := f.pushDemo(ctx); err != nil {
		return err
	}
	// An agent that finds nobody to talk to waits for seconds.
	if err := f.awaitListener(ctx, f.Replicas[len(f.Replicas)-1].NATS); err != nil {
		return err
	}
	started := 0
	for _, h := range f.Hosts {
		if h.Later {
			continue
		}
		if err := f.Start(h.Name); err != nil {
			return err
		}
		started++
	}
	return f.AwaitHosts(ctx, started)
}

// URLs are the replicas' NATS servers.
func (f *Fleet) URLs() []string {
	var urls []string
	for _, r := range f.Replicas {
		urls = append(urls, "nats://"+r.NATS)
	}
	return urls
}

// Consoles are the URLs of the replicas' web consoles.
func (f *Fleet) Consoles() []string {
	var urls []string
	for _, r := range f.Replicas {
		urls = append(urls, "http://"+r.HTTP)
	}
	return urls
}

// Frontends are the URLs at which the hosts' HAProxies take the traffic.
func (f *Fleet) Frontends() []string {
	var urls []string
	for _, h := range f.Hosts {
		urls = append(urls, h.URL(f.Port))
	}
	return urls
}

// URL is where a host's HAProxy takes the traffic of a port.
func (h *Host) URL(port string) string { return "http://" + net.JoinHostPort(h.Address, port) + "/" }

// Connect opens a connection to the bus.
func (f *Fleet) Connect(ctx context.Context) (*bus.Conn, error) {
	return bus.Connect(ctx, bus.Config{URLs: f.URLs(), Name: f.Name, TLS: f.identity(Operator)})
}

// AwaitHosts waits until a leader knows n live hosts and the streams are there.
func (f *Fleet) AwaitHosts(ctx context.Context, n int) error {
	conn, err := f.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() //nolint:contextcheck // it bounds itself
	return f.poll(ctx, upLimit, "the fleet", func() error {
		ask, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		status, err := Ask[api.ClusterStatus](ask, conn, api.GetCluster, "")
		if err != nil {
			return err
		}
		if status.Hosts < n {
			return fmt.Errorf("%d of %d agents are here", status.Hosts, n)
		}
		// A trigger that is published and forgotten needs the streams.
		_, err = conn.LastEvent(ask)
		return err
	})
}

// Ask reads get.<what>[.<id>] from the leader.
func Ask[T any](ctx context.Context, conn *bus.Conn, what, id string) (T, error) {
	var none T
	answer, err := conn.Request(ctx, bus.GetSubject(what, id), nil)
	if err != nil {
		return none, fmt.Errorf("ask for %s: %w", what, err)
	}
	return api.DecodeAnswer[T](answer.Data)
}

// Private

func (f *Fleet) path(elements ...string) string {
	return filepath.Join(append([]string{f.Dir}, elements...)...)
}

func (f *Fleet) identity(name string) identity.Files {
	if f.TLS == nil {
		return identity.Files{}
	}
	return f.TLS(name)
}

func (f *Fleet) awaitListener(ctx context.Context, address string) error {
	return f.poll(ctx, upLimit, address, func() error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
}

// poll tries until it works. It gives up early when a part has ended by itself.
func (f *Fleet) poll(ctx context.Context, patience time.Duration, what string, try func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if gone := f.gone(); gone != nil {
			return gone
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s did not come up in %s: %w", what, patience, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// gone names the parts that have ended although nobody asked them to.
func (f *Fleet) gone() error {
	var errs []error
	for _, p := range f.allParts() {
		if err := p.failed(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
