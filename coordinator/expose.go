package coordinator

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/serin-rollouts/serin/coordinator/console"
	"github.com/serin-rollouts/serin/coordinator/metrics"
	"github.com/serin-rollouts/serin/coordinator/replica"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/httpd"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// longestSilence is how long ago a replica that is ready has heard of its leader.
const longestSilence = 10 * time.Second

// replicated is what readiness asks a replica.
type replicated interface {
	Cluster() (replica.Cluster, error)
}

// readiness tells whether a replica could serve: whether it knows what the group
// has decided. A replica that has just started, or joined, does not at first.
type readiness struct {
	group  atomic.Pointer[replicated]
	caught atomic.Bool // it has been level with its leader since it started
	// committed asks the leader how far the group has come.
	committed func(ctx context.Context) (uint64, error)
}

// open tells that the replica is open, and how to ask for its leader.
func (r *readiness) open(g replicated, conn *bus.Conn) {
	r.committed = askCommitted(conn)
	r.group.Store(&g)
}

// check returns why the replica is not ready, nil if it is.
func (r *readiness) check(ctx context.Context) error {
	g := r.group.Load()
	if g == nil {
		return errors.New("starting: the replica is not open yet")
	}
	c, err := (*g).Cluster()
	if err != nil {
		return err
	}
	silence := time.Duration(c.ContactMillis) * time.Millisecond
	switch {
	case c.Leader == "":
		return errors.New("no leader is known")
	case silence < 0:
		return fmt.Errorf("leader %s has not been heard yet", c.Leader)
	case silence > longestSilence:
		return fmt.Errorf("leader %s has not been heard for %s", c.Leader, silence.Round(time.Second))
	case r.caught.Load():
		return nil
	}
	return r.catchUp(ctx, c)
}

// Private

// catchUp compares with what the leader says. The commit index that a replica
// knows by itself is no measure: its leader tells it in parts.
func (r *readiness) catchUp(ctx context.Context, c replica.Cluster) error {
	goal, err := r.committed(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("the leader has not said how far the group has come: %w", err)
	case c.Applied < goal:
		return fmt.Errorf("catching up: %d of %d entries", c.Applied, goal)
	}
	r.caught.Store(true)
	return nil
}

// askCommitted asks whoever leads, over the bus.
func askCommitted(conn *bus.Conn) func(context.Context) (uint64, error) {
	return func(ctx context.Context) (uint64, error) {
		answer, err := conn.Request(ctx, bus.GetSubject(api.GetCluster, ""), nil)
		if err != nil {
			return 0, err
		}
		status, err := api.DecodeAnswer[api.ClusterStatus](answer.Data)
		return status.Commit, err
	}
}

// expose begins to serve HTTP, where that is wanted, before the replica is open.
func (p *parts) expose(ctx context.Context, r *readiness, open *teardown) error {
	var err error
	pages := p.cfg.console()
	pages.Traces = p.tracing.exporter
	if p.console, err = console.New(pages, p.log.With().Str("component", "console").Logger()); err != nil {
		return err
	}
	routes := p.console.Routes()
	if err := p.hear(ctx, open, routes); err != nil {
		return err
	}
	server, err := httpd.Start(ctx, httpd.Config{
		Listen: p.cfg.HTTP, Ready: r.check, Metrics: p.metrics.Handler(), Routes: routes,
		Log: p.log.With().Str("component", "http").Logger(),
	})
	if err != nil {
		return err
	}
	open.push("http", server.Close)
	return nil
}

// show opens the console's pages, until the replica ends: before HTTP does, which
// waits for whoever reads a stream.
func (p parts) show(ctx context.Context, open *teardown) {
	if p.cfg.HTTP == "" {
		return
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.console.Run(ctx, p.bus, p.ledger)
	}()
	open.push("console", func(context.Context) error {
		stop()
		<-ended
		return nil
	})
}

// watched is a ledger that tells metrics what its answers took.
type watched struct {
	ledger

	metrics *metrics.Metrics
}

// Propose implements ledger.
func (w watched) Propose(ctx context.Context, e rollout.Entry) (rollout.Result, error) {
	began := time.Now()
	result, err := w.ledger.Propose(ctx, e)
	w.metrics.Proposed(e.Command, time.Since(began), result, err)
	return result, err
}

// Verify implements ledger.
func (w watched) Verify(ctx context.Context) error {
	began := time.Now()
	err := w.ledger.Verify(ctx)
	w.metrics.Verified(time.Since(began), err)
	return err
}
