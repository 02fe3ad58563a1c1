package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/durable"
	"github.com/serin-rollouts/serin/internal/fleetclock"
)

// Run is the agent's life: it returns when ctx ends (with nil), or when it
// cannot start. Containers and HAProxy are left as they are.
func Run(ctx context.Context, cfg Config) error {
	err := serve(ctx, cfg)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil // it was told to end before it had started
	}
	return err
}

// Private

func serve(ctx context.Context, cfg Config) (err error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return err
	}
	release, err := durable.Lock(cfg.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	shown, err := expose(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shown.close(ctx)) }()
	cfg.HAProxy.Observe = shown.metrics.Commanded
	book, err := openLedger(cfg.DataDir, cfg.Host, cfg.Write)
	if err != nil {
		return err
	}
	engine, err := docker.Open(ctx, cfg.Docker)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	info, err := engine.Info(ctx)
	if err != nil {
		return err
	}
	balancer, err := openProxy(ctx, cfg, engine)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, balancer.Close()) }()
	conn, err := bus.Connect(ctx, cfg.Bus)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hangUp(conn)) }() //nolint:contextcheck // it says goodbye after ctx has ended
	a := newAgent(cfg, book, outside{
		engine: engine, library: engine, scales: engine, proxy: balancer, splitter: balancer, landlord: balancer, bus: conn, lines: linesOf(balancer, cfg),
		observer: shown.metrics, traces: shown.traces, dockerVersion: info.EngineVersion,
	})
	a.number = numberOf(cfg)
	shown.metrics.Watch(a.sight, conn)
	shown.agent.Store(a)
	return a.run(ctx, conn)
}

// hangUp ends the connection; a bus that has gone before us is no failure.
func hangUp(conn *bus.Conn) error {
	if err := conn.Close(); err != nil && !errors.Is(err, bus.ErrNotConnected) {
		return err
	}
	return nil
}

// balancer is either kind of HAProxy.
type balancer interface {
	proxy
	splitter
	landlord
	Close() error
}

func openProxy(ctx context.Context, cfg Config, docker engine) (balancer, error) {
	cfg.HAProxy.Residents = residents(docker, cfg.Host)
	if cfg.Mode == Existing {
		return haproxy.OpenExisting(ctx, cfg.HAProxy)
	}
	return haproxy.OpenManaged(ctx, cfg.HAProxy)
}

// linesOf returns how to follow the log of a HAProxy that writes one for us.
func linesOf(b balancer, cfg Config) func(context.Context, func(haproxy.Record)) error {
	if m, ok := b.(*haproxy.Managed); ok && cfg.HAProxy.LogAddr != "" {
		return m.Tail
	}
	return nil
}

// agent is one run of the process.
type agent struct {
	cfg     Config
	token   string // of the host in subjects
	started string // names this run
	number  uint64 // of this run; a later one has a higher
	began   time.Time
	log     zerolog.Logger
	out     outside

	leash     *leash
	fleet     fleetclock.Clock
	frontends *frontends

	accepting chan struct{} // guards ledger; holds one: who works with it
	ledger    *ledger

	group     *errgroup.Group // of run
	ctx       context.Context //nolint:containedctx // run's: services are started by messages
	kicked    chan struct{}
	noted     chan struct{} // a broadcast was heard; holds one
	rejoined  chan struct{}
	resolving chan struct{}
	asked     atomic.Int64 // interval that the leader wants, in nanoseconds
	sequence  uint64       // only report's goroutine

	checks checks

	looking sync.Mutex  // one look at HAProxy at a time
	hearing atomic.Bool // Docker's events arrive

	mu       sync.Mutex
	services map[string]*service
	version  string // of HAProxy
}

func newAgent(cfg Config, book *ledger, out outside) *agent {
	token, _ := bus.HostToken(cfg.Host) // validated
	return &agent{
		cfg: cfg, token: token, began: time.Now(), started: rand.Text()[:12],
		log: cfg.Log.With().Str("component", "agent").Str("host", cfg.Host).Logger(),
		out: out, ledger: book, checks: checks{dir: cfg.DataDir},
		leash:     newLeash(startOfTime, cfg.Lease),
		frontends: newFrontends(out.proxy, cfg.Bind),
		kicked:    make(chan struct{}, 1), noted: make(chan struct{}, 1), accepting: make(chan struct{}, 1), rejoined: make(chan struct{}, 1), resolving: make(chan struct{}, resolveAtOnce),
		services: map[string]*service{},
	}
}

// run owns all goroutines.
func (a *agent) run(ctx context.Context, conn *bus.Conn) error {
	var cancel context.CancelFunc
	ctx, cancel = context.WithCancel(ctx)
	defer cancel()
	a.group, a.ctx = errgroup.WithContext(ctx)
	if err := a.restore(); err != nil {
		cancel()
		return errors.Join(err, ended(a.group.Wait()))
	}
	unsubscribe, err := a.subscribe(conn)
	if err != nil {
		cancel()
		return errors.Join(err, unsubscribe(), ended(a.group.Wait()))
	}
	a.group.Go(func() error { return a.report(a.ctx) })
	a.group.Go(func() error { return a.note(a.ctx) })
	a.group.Go(func() error { return a.poll(a.ctx) })
	a.group.Go(func() error { return a.follow(a.ctx) })
	a.group.Go(func() error { return a.guardLease(a.ctx) })
	a.group.Go(func() error { return a.watch(a.ctx) })
	a.log.Info().Str("version", a.cfg.Version).Str("docker", a.out.dockerVersion).Msg("agent runs")
	<-a.ctx.Done()
	closing := unsubscribe() // no message starts anything any more
	err = ended(a.group.Wait())
	a.log.Info().Msg("agent ends; containers and HAProxy stay as they are")
	return errors.Join(err, closing)
}

// ended takes the end of the context for what it is: no error.
func ended(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (a *agent) subscribe(conn *bus.Conn) (closeAll func() error, err error) {
	var subs []*bus.Subscription
	closeAll = func() error {
		var errs []error
		for _, s := range subs {
			errs = append(errs, s.Close())
		}
		return errors.Join(errs...)
	}
	for subject, f := range map[string]func(bus.Msg){
		bus.AssignSubject(a.token):  a.onAssign,
		bus.AllSteps:                a.onWave,
		bus.BeatSubject:             func(m bus.Msg) { a.onBeat(m.Data) },
		bus.ResolveSubject(a.token): func(m bus.Msg) { a.onResolve(a.ctx, m) },
	} {
		s, err := conn.Subscribe(subject, f)
		if err != nil {
			return closeAll, fmt.Errorf("agent: %w", err)
		}
		subs = append(subs, s)
	}
	conn.OnReconnect(func() { kick(a.rejoined) })
	return closeAll, nil
}

// service returns the service's part of the agent, and starts it if it is new.
func (a *agent) service(name string) *service {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.services[name]
	if !ok {
		s = newService(a, name)
		a.services[name] = s
		page := a.ledger.page.Accepted[name].Assignment
		if page.Stable != nil || page.Canary != nil {
			a.frontends.want(frontendOf(page))
		}
		a.group.Go(func() error { return s.converge(a.ctx) })
		a.group.Go(func() error { return s.reflexes(a.ctx) })
		a.group.Go(func() error { return s.gather(a.ctx) })
	}
	return s
}

func (a *agent) find(name string) (*service, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.services[name]
	return s, ok
}

func (a *agent) all() []*service {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Values(a.services))
}

func (a *agent) moving() bool {
	return slices.ContainsFunc(a.all(), (*service).inFlight)
}

func (a *agent) wakeAll() {
	for _, s := range a.all() {
		kick(s.wake)
	}
}

// startOfTime is what the agent's own clock shows at first: not zero, which
// plan.Host takes for "never".
const startOfTime = time.Minute

// now is the agent's own clock, which only goes forward.
func (a *agent) now() time.Duration { return time.Since(a.began) + startOfTime }

// observeProxy looks at HAProxy, and counts what has passed since.
func (a *agent) observeProxy(ctx context.Context) (haproxy.Snapshot, error) {
	a.looking.Lock() // counters have to be read in their order
	defer a.looking.Unlock()
	snap, err := a.out.proxy.Observe(ctx)
	if err != nil {
		return snap, err
	}
	a.mu.Lock()
	a.version = snap.Version
	a.mu.Unlock()
	for _, s := range a.all() {
		if back, ok := snap.Backends[s.name]; ok {
			s.count(snap, back)
		}
	}
	return snap, nil
}

func (s *service) count(snap haproxy.Snapshot, back haproxy.Backend) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meter.begin(s.post.Assigned.Rollout, routesOf(s.post.Assigned))
	s.meter.read(snap.Pid, back, s.seen.units)
}

func (a *agent) proxyVersion() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.version
}

// watch follows Docker's events for our containers.
func (a *agent) watch(ctx context.Context) error {
	labels := map[string]string{labelHost: a.cfg.Host}
	return a.out.library.Watch(ctx, labels, time.Time{}, func(e docker.Event) {
		switch e.Action {
		case docker.ActionResync, docker.ActionLost:
			a.hearing.Store(e.Action == docker.ActionResync)
			a.wakeAll()
			if a.checks.dockerIs(e.Problem) {
				a.reportNow()
			}
			return
		}
		if s, ok := a.find(e.Labels[labelService]); ok {
			s.onEvent(e)
		}
	})
}

// guardLease lowers canaries when no leader has been heard for the lease.
func (a *agent) guardLease(ctx context.Context) error {
	lost := false
	for {
		left := a.leash.left(a.now())
		switch {
		case left <= 0 && !lost:
			a.log.Warn().Msg("no leader heard within the lease")
		case left > 0 && lost:
			a.log.Info().Msg("a leader is heard again")
		}
		if lost = left <= 0; lost {
			for _, s := range a.all() {
				s.loseControl()
			}
			left = time.Second
		}
		// A leader may shorten the lease meanwhile.
		if err := pause(ctx, min(left, time.Second)); err != nil {
			return err
		}
	}
}
