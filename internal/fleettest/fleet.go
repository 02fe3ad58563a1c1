package fleettest

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/agent/docker/dockertest"
	"github.com/serin-rollouts/serin/coordinator/console"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/bus/bustest"
	"github.com/serin-rollouts/serin/internal/trace"
)

// garbage is how large the heap may grow over what lives, in percent. A fleet
// has thousands of goroutines, whose stacks make each collection dear.
const garbage = 800

// Options say how large a fleet is. The zero value is a small one.
type Options struct {
	Hosts    int           // 3 if 0
	Replicas int           // coordinators; 3 if 0
	Rate     int           // requests per second to each host, on average; 40 if 0
	Lease    time.Duration // of canaries; the coordinator's default if 0
	Logs     bool          // HAProxy tells how long requests take
	Level    int           // of the log, that all replicas understand at first; all of it if 0
	// Collector takes the traces of coordinators and agents; nil: they make none.
	Collector http.RoundTripper
	// HTTP has the addresses of the replicas' HTTP servers, in their order, and
	// Console says what is served there; for RunLive alone.
	HTTP    []string
	Console console.Config
}

// Fleet is what Run starts. Its methods fail the test themselves. They are for
// the goroutine of the test, except where they say otherwise.
type Fleet struct {
	t       *testing.T
	opts    Options
	dir     string
	seed    uint64
	chances atomic.Uint64 // sources of random numbers beside rand
	rand    *rand.Rand
	log     zerolog.Logger
	ctx     context.Context //nolint:containedctx // the fleet's own: it ends everything
	stop    context.CancelFunc
	running sync.WaitGroup

	server   *server
	conn     *bus.Conn // the operator's
	registry *dockertest.Registry
	apps     *apps
	replicas []*replicaSlot
	hosts    []*Host
	observer *observer
	bench    *sync.Mutex // guards hosts while the users send requests
}

// Run runs f on a fleet in a bubble of virtual time, checks the fleet, and ends
// it. The bubble's tests and subtests are f's: it cannot use t.Run.
func Run(t *testing.T, o Options, f func(*Fleet)) {
	t.Helper()
	bustest.Hold(t)
	dir, seed := t.TempDir(), seed(t)
	defer debug.SetGCPercent(debug.SetGCPercent(garbage))
	began, virtual := time.Now(), time.Duration(0)
	synctest.Test(t, func(t *testing.T) {
		born := time.Now()
		fleet := newFleet(t, o, dir, seed)
		defer time.Sleep(time.Minute) // calls between replicas that nobody waits for run into their timeouts
		defer fleet.end()
		fleet.begin()
		f(fleet)
		fleet.Check()
		virtual = time.Since(born)
	})
	t.Logf("seed %d: %s of virtual time in %s", seed, virtual.Round(time.Second), time.Since(began).Round(10*time.Millisecond))
}

// RunLive runs f on a fleet in real time, which can be reached from outside: at
// Options.HTTP. It does not check the fleet.
func RunLive(t *testing.T, o Options, f func(*Fleet)) {
	t.Helper()
	fleet := newFleet(t, o, t.TempDir(), seed(t))
	defer fleet.end()
	fleet.begin()
	f(fleet)
}

// Rand is the fleet's source of choices; SERIN_FLEET_SEED repeats a run's.
func (f *Fleet) Rand() *rand.Rand { return f.rand }

// Sleep lets virtual time pass.
func (f *Fleet) Sleep(d time.Duration) { time.Sleep(d) }

// Private

// chance returns a source of random numbers that nobody else uses.
func (f *Fleet) chance() *rand.Rand {
	return rand.New(rand.NewPCG(f.seed, f.chances.Add(1))) //nolint:gosec // choices of tests.
}

func seed(t *testing.T) uint64 {
	t.Helper()
	if n, err := strconv.ParseUint(os.Getenv("SERIN_FLEET_SEED"), 10, 64); err == nil {
		return n
	}
	return rand.Uint64N(1e9)
}

func newFleet(t *testing.T, o Options, dir string, seed uint64) *Fleet {
	t.Helper()
	o.Hosts, o.Replicas, o.Rate = cmp.Or(o.Hosts, 3), cmp.Or(o.Replicas, 3), cmp.Or(o.Rate, 40)
	log := zerolog.Nop()
	if os.Getenv("SERIN_TEST_LOG") != "" {
		log = zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: time.TimeOnly}).With().Timestamp().Logger().Level(zerolog.InfoLevel)
	}
	ctx, stop := context.WithCancel(t.Context())
	return &Fleet{
		t: t, opts: o, dir: dir, ctx: ctx, stop: stop, log: log, seed: seed,
		rand:     rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // choices of tests.
		server:   &server{dir: filepath.Join(dir, "nats"), conns: map[*linkConn]struct{}{}},
		registry: dockertest.NewRegistry(), apps: newApps(), bench: &sync.Mutex{},
	}
}

// begin starts all parts. Coordinators and agents come up in any order.
func (f *Fleet) begin() {
	f.t.Helper()
	f.StartBus()
	f.conn = f.dial()
	f.newReplicas()
	for i := range f.replicas {
		f.StartReplica(i)
	}
	for range f.opts.Hosts {
		f.AddHost()
	}
	f.observer = newObserver()
	f.running.Go(func() { f.observer.run(f.ctx, f.conn) })
	f.running.Go(f.users)
}

// end stops everything, the bus last.
func (f *Fleet) end() {
	if f.t.Failed() {
		f.tell()
	}
	f.stop()
	for _, h := range f.hosts {
		h.end()
	}
	for i := range f.replicas {
		f.endReplica(i)
	}
	f.running.Wait()
	if f.conn != nil {
		_ = f.conn.Close() // the bus may be down already
	}
	f.StopBus()
	for _, h := range f.hosts {
		_ = h.docker.Close()
	}
}

// dial makes a connection of an operator's.
func (f *Fleet) dial() *bus.Conn {
	f.t.Helper()
	c, err := bus.Connect(f.ctx, bus.Config{Name: "operator", InProcess: newLink(f.server), Log: zerolog.Nop()})
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// tell logs what somebody wants to know who finds a test failed.
func (f *Fleet) tell() {
	for _, e := range f.observer.all() {
		f.t.Logf("event %d (entry %d) %s %s: %s", e.Seq, e.Index, e.Rollout, e.Kind, e.Text)
	}
	for _, h := range f.hosts {
		for _, c := range h.docker.Containers() {
			f.t.Logf("%s has %s, %s", h.name, c.Name, c.State)
		}
	}
}

// traces says where traces go.
func (f *Fleet) traces() trace.Config {
	if f.opts.Collector == nil {
		return trace.Config{}
	}
	return trace.Config{Transport: f.opts.Collector, Env: func(name string) string {
		return map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}[name]
	}}
}

func name(i int) string { return fmt.Sprintf("web-%02d", i+1) }
