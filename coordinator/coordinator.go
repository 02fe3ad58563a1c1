// Package coordinator decides: it wires the replicated state to the bus, and,
// while its replica leads, runs the loop that turns the agents' reports into
// decisions and decisions into assignments. DESIGN.md beside this file says
// why it is built as it is, and what recovers from which failure.
package coordinator

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/coordinator/console"
	"github.com/serin-rollouts/serin/coordinator/control"
	"github.com/serin-rollouts/serin/coordinator/metrics"
	"github.com/serin-rollouts/serin/coordinator/replica"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/bus/embed"
	"github.com/serin-rollouts/serin/internal/durable"
	"github.com/serin-rollouts/serin/internal/event"
)

// closeTimeout bounds the end of each part.
const closeTimeout = 10 * time.Second

// Run is a coordinator from start to end: it returns nil when ctx has ended and
// everything is closed, or the error that keeps it from going on. A leader
// hands its leadership over before it closes anything.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("coordinator configuration: %w", err)
	}
	if cfg.Lease == 0 {
		cfg.Lease = DefaultLease
	}
	p := parts{cfg: cfg, heard: &atomic.Pointer[bus.Conn]{}, metrics: metrics.New(cfg.Version), log: cfg.Log.With().Str("component", "coordinator").Str("replica", cfg.ID).Logger()}
	var open teardown
	err := p.run(ctx, &open)
	return errors.Join(err, open.close(ctx, p.log))
}

// Private

// parts is what a leader works with.
type parts struct {
	cfg      Config
	log      zerolog.Logger
	ledger   ledger
	metrics  *metrics.Metrics // nil: nobody watches
	bus      *bus.Conn
	cluster  control.Cluster
	copies   int // of each stream; 0: somebody else makes the streams
	listener *listener
	heard    *atomic.Pointer[bus.Conn] // over which pushes to registries are triggered, once it is there
	console  *console.Console
	tracing  *tracing
}

func (p parts) run(ctx context.Context, open *teardown) error {
	dir := raftDir(p.cfg)
	if p.cfg.Seams.OpenReplica == nil {
		// Before the embedded server touches what lies beside it: two of them on the
		// same streams would damage them.
		release, err := durable.Lock(p.cfg.Data)
		if err != nil {
			return err
		}
		open.push("data directory", unbounded(release))
		if err := replica.Claim(dir, p.cfg.ID); err != nil {
			return err
		}
	}
	exporter := p.cfg.exporter(ctx)
	open.push("traces", exporter.Close)
	p.tracing = &tracing{exporter: exporter, source: p.source()}
	var ready readiness
	if err := p.expose(ctx, &ready, open); err != nil {
		return err
	}
	conn, server, err := p.connect(ctx, open)
	if err != nil {
		return err
	}
	peers, err := p.cfg.Raft.peers()
	if err != nil {
		return err
	}
	openReplica := replica.Open
	if p.cfg.Seams.OpenReplica != nil {
		openReplica = p.cfg.Seams.OpenReplica
	}
	r, err := openReplica(ctx, replica.Config{
		ID: p.cfg.ID, Dir: dir,
		Listen: p.cfg.Raft.Listen, Advertise: p.cfg.Raft.Advertise, Peers: peers, Join: p.cfg.Raft.Join,
		Heartbeat: p.cfg.Raft.Heartbeat, Election: p.cfg.Raft.Election, Lease: p.cfg.Raft.Lease,
		TLS: p.cfg.TLS, Log: p.cfg.Log, Level: p.cfg.level(),
	})
	if err != nil {
		return err
	}
	p.ledger, p.bus, p.copies = watched{r, p.metrics}, conn, p.cfg.NATS.replicas()
	p.metrics.Watch(metrics.Sources{State: r.State, Cluster: r.Cluster, Bus: conn, Traces: exporter})
	ready.open(r, conn)
	if server != nil && server.Alone() && len(p.cfg.NATS.Routes) > 0 {
		p.copies = 1 // what is left of a cluster
	}
	if err := errors.Join(p.answerLevel(open), p.answerStanding(r, server, open)); err != nil {
		return err
	}
	p.cluster = members{Replica: r, server: server, bus: conn, copies: p.copies, log: p.log}
	if err := p.listen(ctx, open); err != nil {
		return err
	}
	p.show(ctx, open)
	return p.follow(ctx, r, server, open)
}

// connect brings the bus up. The server is nil if it is the user's own.
func (p parts) connect(ctx context.Context, open *teardown) (*bus.Conn, *embed.Server, error) {
	cfg := bus.Config{
		URLs: p.cfg.NATS.URLs, Name: "coordinator " + p.cfg.ID, TLS: p.cfg.TLS, Creds: p.cfg.NATS.Creds,
		InProcess: p.cfg.Seams.InProcess, Log: p.log,
	}
	var server *embed.Server
	if p.cfg.NATS.Embed {
		var err error
		server, err = embed.Start(ctx, embed.Config{
			Name: p.cfg.ID, Dir: filepath.Join(p.cfg.Data, "nats"),
			Listen: p.cfg.NATS.Listen, Cluster: p.cfg.NATS.Cluster, Routes: p.cfg.NATS.Routes,
			TLS: p.cfg.TLS, InProcessOnly: p.cfg.Seams.NoPorts, Log: p.cfg.Log,
		})
		if err != nil {
			return nil, nil, p.cfg.NATS.keyed(err)
		}
		open.push("nats server", unbounded(server.Shutdown))
		cfg.InProcess = server
	}
	conn, err := bus.Connect(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	open.push("bus", unbounded(conn.Close))
	p.heard.Store(conn)
	return conn, server, nil
}

// listen has this replica hear the fleet, whoever leads.
func (p *parts) listen(ctx context.Context, open *teardown) error {
	p.listener = newListener(*p)
	subs, err := p.listener.subscribe(p.bus)
	for _, s := range subs {
		open.push("subscription", unbounded(s.Close))
	}
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var work sync.WaitGroup
	work.Go(func() { p.listener.follow(ctx) })
	work.Go(func() { p.listener.recorder.run(ctx) })
	open.push("listener", func(context.Context) error {
		stop()
		work.Wait()
		return nil
	})
	return nil
}

// follow takes part in the group until ctx ends. The leading outlives ctx
// until the replica is closed, so that it is handed over and not dropped.
func (p parts) follow(ctx context.Context, r *replica.Replica, server *embed.Server, open *teardown) error {
	leading, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	var failed error
	open.push("leading", func(context.Context) error {
		stop()
		<-ended
		return nil
	})
	open.push("replica", r.Close) // first of all: it hands over
	go func() {
		defer close(ended)
		failed = r.Lead(leading, p.lead)
	}()
	select {
	case <-ctx.Done():
		return nil
	case <-r.Done():
		return r.Err()
	case err := <-storing(server):
		return fmt.Errorf("the embedded NATS server cannot store any more, and has to be started anew: %w", err)
	case <-ended:
		return failed
	}
}

// storing tells when the embedded server has given up its streams; never if it
// is the user's own.
func storing(server *embed.Server) <-chan error {
	if server == nil {
		return nil
	}
	return server.Failed()
}

// lead runs one term.
func (p parts) lead(ctx context.Context, term uint64) error {
	if !p.listener.take(ctx) {
		return nil
	}
	defer p.listener.giveBack()
	l := newLeader(p, term)
	defer p.metrics.Lead(desk{l}.View)()
	return l.lead(ctx)
}

func (p parts) source() string { return event.Source(p.cfg.Cluster) }

// peers reads "id=host:port".
func (r Raft) peers() ([]replica.Peer, error) {
	peers := make([]replica.Peer, 0, len(r.Peers))
	for _, text := range r.Peers {
		id, address, ok := strings.Cut(text, "=")
		if !ok || id == "" || address == "" {
			return nil, fmt.Errorf("raft.peers: %q is not id=host:port", text)
		}
		peers = append(peers, replica.Peer{ID: id, Address: address})
	}
	return peers, nil
}
