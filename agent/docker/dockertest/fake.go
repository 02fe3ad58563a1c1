// Package dockertest holds a Docker Engine for tests: a Fake that speaks the
// Engine's HTTP protocol (API 1.41) over net.Pipe and starts no process.
//
// It works inside a testing/synctest bubble: it uses no real sockets, and after
// Close all its goroutines end. It is light: dozens of them fit in one test.
// What it answers was compared with Docker 20.10 by running one suite of tests
// against both.
package dockertest

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Config says what the Fake is. The zero value is an Engine without images.
type Config struct {
	// Subnet is that of the default bridge; 172.17.0.0/16 if not valid. Fakes
	// that share a test need different ones, to have different addresses.
	Subnet netip.Prefix

	// Registry is where images are resolved and pulled; nil: unreachable.
	Registry *Registry

	APIVersion  string // 1.41 if empty
	LiveRestore bool   // containers outlive Down and Up

	// OnStart is called when a container runs and has its address, before the
	// answer and the event. Its error makes the start fail.
	OnStart func(Container) error

	// OnStop is called when a container has stopped, before its address is
	// given to another one and before the answer and the event.
	OnStop func(Container)

	// Usage says what the program in a container uses at this moment; nil: what
	// SetUsage has set.
	Usage func(Container) Usage

	// Latency is how long the Engine works on create, start, stop, remove and
	// pull; nil: no time.
	Latency func(op string) time.Duration
}

// Fake is a Docker Engine. Its methods may be called from several goroutines,
// also from the hooks.
type Fake struct {
	cfg    Config
	server *http.Server
	closed chan struct{}
	events eventLog

	mu         sync.Mutex
	serving    bool
	down       bool
	accept     *pipeListener
	conns      map[net.Conn]struct{}
	thawed     chan struct{} // nil unless frozen; closed by Thaw
	faults     []*Fault
	requests   map[string]int // by "METHOD path"
	apiVersion string
	containers map[string]*instance // by id
	images     map[string]*stored   // by id
	networks   map[string]*addresses
	made       int // containers ever created
}

// New makes an Engine that nobody has connected to.
func New(cfg Config) *Fake {
	if !cfg.Subnet.IsValid() {
		cfg.Subnet = netip.MustParsePrefix("172.17.0.0/16")
	}
	if cfg.APIVersion == "" {
		cfg.APIVersion = "1.41"
	}
	f := &Fake{
		cfg:        cfg,
		closed:     make(chan struct{}),
		conns:      map[net.Conn]struct{}{},
		apiVersion: cfg.APIVersion,
		requests:   map[string]int{},
		containers: map[string]*instance{},
		images:     map[string]*stored{},
		networks:   map[string]*addresses{"bridge": newAddresses(cfg.Subnet)},
	}
	f.accept = &pipeListener{conns: make(chan net.Conn), closed: f.closed}
	f.server = &http.Server{
		Handler:           f.handler(),
		ReadHeaderTimeout: time.Hour, // idle connections are the client's to close
		ConnState:         f.track,
	}
	return f
}

// Dial connects to the Engine; the address does not matter.
func (f *Fake) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	f.mu.Lock()
	down := f.down
	if !down && !f.serving {
		f.serving = true
		go func() { _ = f.server.Serve(f.accept) }() // ends with Close
	}
	f.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: network, Addr: pipeAddr(addr), Err: syscall.ECONNREFUSED}
	if down {
		return nil, refused
	}
	ours, theirs := net.Pipe()
	select {
	case f.accept.conns <- theirs:
		return ours, nil
	case <-f.closed:
		return nil, refused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close cuts all connections for good. Containers keep their state.
func (f *Fake) Close() error {
	f.mu.Lock()
	select {
	case <-f.closed:
	default:
		close(f.closed)
	}
	for _, c := range f.containers {
		c.cancelRestart()
	}
	f.mu.Unlock()
	return f.server.Close()
}

// Cut breaks all connections, the streams of events too. New ones are
// accepted.
func (f *Fake) Cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		_ = c.Close()
	}
}

// Down is a crash of the daemon: connections break and new ones are refused,
// and past events are forgotten. Containers run on.
func (f *Fake) Down() {
	f.mu.Lock()
	f.down = true
	f.events.forget()
	f.mu.Unlock()
	f.Cut()
}

// Up starts the daemon again. Without LiveRestore it kills all containers, and
// starts those whose restart policy wants it.
func (f *Fake) Up() {
	f.mu.Lock()
	f.down = false
	var killed []*instance
	for _, c := range f.containers {
		if c.State == "running" && !f.cfg.LiveRestore {
			killed = append(killed, c)
		}
	}
	slices.SortFunc(killed, byName)
	f.mu.Unlock()
	for _, c := range killed {
		f.die(c, 2, false)
	}
}

// LoseEvents makes the daemon tell nobody what happens, then or later, until it
// is called with false. Streams stay open.
func (f *Fake) LoseEvents(lose bool) { f.events.lose(lose) }

// Freeze is a SIGSTOP of the daemon: connections are accepted, requests and
// events wait until Thaw.
func (f *Fake) Freeze() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.thawed == nil {
		f.thawed = make(chan struct{})
	}
}

// Thaw ends Freeze.
func (f *Fake) Thaw() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.thawed != nil {
		close(f.thawed)
		f.thawed = nil
	}
}

// Upgrade exchanges the daemon for one of another API version, which refuses
// requests of all other versions.
func (f *Fake) Upgrade(apiVersion string) {
	f.Down()
	f.mu.Lock()
	f.apiVersion = apiVersion
	f.mu.Unlock()
	f.Up()
}

// AddNetwork makes a user-defined network.
func (f *Fake) AddNetwork(name string, subnet netip.Prefix) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.networks[name] = newAddresses(subnet)
}

// Private

// awake waits while the daemon is frozen; false: it or the client went away.
func (f *Fake) awake(ctx context.Context) bool {
	for {
		f.mu.Lock()
		thawed := f.thawed
		f.mu.Unlock()
		if thawed == nil {
			return ctx.Err() == nil
		}
		select {
		case <-thawed:
		case <-ctx.Done():
			return false
		case <-f.closed:
			return false
		}
	}
}

// work lets an operation take its time.
func (f *Fake) work(op string) {
	if f.cfg.Latency != nil {
		time.Sleep(f.cfg.Latency(op))
	}
}

func (f *Fake) track(c net.Conn, state http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch state {
	case http.StateNew:
		f.conns[c] = struct{}{}
		if f.down {
			_ = c.Close()
		}
	case http.StateClosed, http.StateHijacked:
		delete(f.conns, c)
	case http.StateActive, http.StateIdle:
	}
}

// pipeListener hands the server's ends of pipes to it.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { return nil }
func (l *pipeListener) Addr() net.Addr { return pipeAddr("dockertest") }

type pipeAddr string

func (a pipeAddr) Network() string { return "pipe" }
func (a pipeAddr) String() string  { return string(a) }
