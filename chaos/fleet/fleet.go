package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serin-rollouts/serin/chaos/cell"
	"github.com/serin-rollouts/serin/chaos/lan"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/localfleet"
)

// Config says what fleet to run.
type Config struct {
	Dir             string // of all files
	Bin             string // directory of serin, serin-coordinator and serin-agent
	Hosts, Replicas int
	OwnBus          bool          // a NATS server of the user's own, not those in the replicas
	Lease           time.Duration // of canaries without a leader
	Seed            uint64        // of what the network loses
	Versions        []localfleet.Version
}

// Fleet is what runs.
type Fleet struct {
	Config

	LAN      *lan.Switch
	Replicas []*Node // of the coordinator
	Hosts    []*Node // Docker hosts
	Store    *Node   // the registry's host
	Bus      *Node   // the NATS server's host; nil if that is in the replicas

	mu      sync.Mutex
	crashes []Crash
	over    bool
}

// Here is the port of the network at which this program is: users and operators.
const Here = "here"

// The network. It is in namespaces of its own, so it collides with nothing.
const (
	prefix       = "10.77.0."
	prefixLength = "/24"
	hereAddress  = prefix + "250"

	firstReplica = 1
	firstHost    = 11
	storeNumber  = 100
	busNumber    = 101

	natsPort, clusterPort, raftPort, registryPort = "4222", "6222", "7311", "5000"
)

// soon is how long who listens in takes at most to connect again.
const soon = 100 * time.Millisecond

// imageName is the demo app's repository in the registry.
const imageName = "serin-chaos"

// New starts a fleet and waits until its leader knows all hosts. End is due even
// if it fails.
func New(ctx context.Context, cfg Config) (*Fleet, error) {
	f := &Fleet{Config: cfg, LAN: lan.New(cfg.Seed)}
	wire, err := cell.Join(hereAddress + prefixLength)
	if err != nil {
		return f, err
	}
	f.LAN.Attach(Here, wire)
	if err := f.lay(); err != nil {
		return f, err
	}
	if err := f.Store.PowerOn(ctx); err != nil {
		return f, err
	}
	if f.Bus != nil {
		if err := f.Bus.PowerOn(ctx); err != nil {
			return f, err
		}
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return f.Push(groupCtx) })
	for _, n := range slices.Concat(f.Replicas, f.Hosts) {
		group.Go(func() error { return n.PowerOn(groupCtx) })
	}
	if err := group.Wait(); err != nil {
		return f, err
	}
	return f, f.AwaitHosts(ctx, len(f.Hosts))
}

// End ends all programs of the fleet.
func (f *Fleet) End() {
	f.mu.Lock()
	f.over = true
	f.mu.Unlock()
	for _, n := range f.Nodes() {
		n.PowerOff()
	}
}

// Nodes are all hosts, of whatever kind.
func (f *Fleet) Nodes() []*Node {
	nodes := slices.Concat(f.Replicas, f.Hosts)
	for _, n := range []*Node{f.Store, f.Bus} {
		if n != nil {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// Crashes are the ends of programs that nobody asked for.
func (f *Fleet) Crashes() []Crash {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.crashes)
}

// Image names the app's image of a version.
func (f *Fleet) Image(tag string) string {
	return f.Store.Address + ":" + registryPort + "/" + imageName + ":" + tag
}

// Connect opens a connection to the bus.
func (f *Fleet) Connect(ctx context.Context) (*bus.Conn, error) {
	return bus.Connect(ctx, bus.Config{URLs: f.urls(), Name: Here})
}

// ConnectTo opens a connection to one of Servers alone.
func (f *Fleet) ConnectTo(ctx context.Context, server *Node) (*bus.Conn, error) {
	return bus.Connect(ctx, bus.Config{URLs: []string{urlOf(server)}, Name: Here, ReconnectJitter: soon})
}

// Servers are the nodes on which a NATS server runs.
func (f *Fleet) Servers() []*Node {
	if f.Bus != nil {
		return []*Node{f.Bus}
	}
	return f.Replicas
}

// AwaitHosts waits until a leader knows n live hosts.
func (f *Fleet) AwaitHosts(ctx context.Context, n int) error {
	const patience = 3 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	last := errors.New("nobody was asked")
	for ctx.Err() == nil {
		if last = f.askHosts(ctx, n); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	return fmt.Errorf("wait for the fleet: %w: %w", ctx.Err(), last)
}

// Private

func (f *Fleet) askHosts(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := f.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() //nolint:contextcheck // it bounds itself
	status, err := localfleet.Ask[api.ClusterStatus](ctx, conn, api.GetCluster, "")
	if err == nil && status.Hosts < n {
		err = fmt.Errorf("%d of %d agents are here", status.Hosts, n)
	}
	if err == nil {
		_, err = conn.LastEvent(ctx) // the streams are there
	}
	return err
}

func (f *Fleet) ending() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.over
}

func (f *Fleet) crashed(c Crash) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crashes = append(f.crashes, c)
}

// node names a host and makes its directory.
func (f *Fleet) node(name string, number int) (*Node, error) {
	n := &Node{Name: name, Address: fmt.Sprintf("%s%d", prefix, number), Dir: filepath.Join(f.Dir, name), fleet: f}
	if err := os.MkdirAll(n.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of %s: %w", name, err)
	}
	return n, nil
}

// lay names all hosts and writes what their programs are configured by.
func (f *Fleet) lay() error {
	var err error
	if f.Store, err = f.node("store", storeNumber); err != nil {
		return err
	}
	f.Store.add(Registry, f.program("serin"), "demo", "registry", "--listen", ":"+registryPort, "--dir", filepath.Join(f.Store.Dir, "layers"))
	if err := f.layBus(); err != nil {
		return err
	}
	for i := range f.Config.Replicas {
		n, err := f.node(fmt.Sprintf("c%d", i+1), firstReplica+i)
		if err != nil {
			return err
		}
		f.Replicas = append(f.Replicas, n)
	}
	for i, n := range f.Replicas {
		if err := f.layReplica(i, n); err != nil {
			return err
		}
	}
	for i := range f.Config.Hosts {
		n, err := f.node(fmt.Sprintf("h%d", i+1), firstHost+i)
		if err == nil {
			err = f.layHost(n)
		}
		if err != nil {
			return err
		}
		f.Hosts = append(f.Hosts, n)
	}
	return nil
}

func (f *Fleet) program(name string) string { return filepath.Join(f.Bin, name) }

// layBus configures the NATS server of the user's own, if there is to be one.
func (f *Fleet) layBus() error {
	if !f.OwnBus {
		return nil
	}
	n, err := f.node("bus", busNumber)
	if err != nil {
		return err
	}
	f.Bus = n
	n.add(NATS, f.program(NATS), "-js", "-sd", n.State(), "-a", n.Address, "-p", natsPort)
	return n.addDisk(busMegabytes)
}

// busMegabytes is room for the streams, which reserve 640 MiB.
const busMegabytes = 1024

func (f *Fleet) urls() []string {
	var urls []string
	for _, n := range f.Servers() {
		urls = append(urls, urlOf(n))
	}
	return urls
}

func urlOf(server *Node) string { return "nats://" + server.Address + ":" + natsPort }

func (f *Fleet) layReplica(i int, n *Node) error {
	var peers, routes []string
	for k, other := range f.Replicas {
		peers = append(peers, other.Name+"="+other.Address+":"+raftPort)
		if k != i {
			routes = append(routes, other.Address+":"+clusterPort)
		}
	}
	nats := fmt.Sprintf("{listen: %q, cluster: %q, routes: [%s]}", n.Address+":"+natsPort, n.Address+":"+clusterPort, quoted(routes))
	if f.Bus != nil {
		nats = fmt.Sprintf("{urls: [%s]}", quoted(f.urls()))
	}
	file, err := n.write("coordinator.yaml", fmt.Sprintf(`id: %s
data: %s
lease: %s
nats: %s
raft: {listen: %q, peers: [%s]}
`, n.Name, n.State(), f.Lease, nats, n.Address+":"+raftPort, quoted(peers)))
	if err != nil {
		return err
	}
	n.add(Coordinator, f.program(Coordinator), "--config", file)
	n.programs[len(n.programs)-1].watched = true
	return n.addDisk(busMegabytes)
}

func quoted(items []string) string {
	all := make([]string, len(items))
	for i, item := range items {
		all[i] = fmt.Sprintf("%q", item)
	}
	return strings.Join(all, ", ")
}
