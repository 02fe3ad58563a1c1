package agent

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"github.com/serin-rollouts/serin/agent/metrics"
	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/httpd"
	shared "github.com/serin-rollouts/serin/internal/metrics"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/trace"
)

// closeHTTP bounds the end of the HTTP server.
const closeHTTP = 2 * time.Second

// errStarting is why an agent is not ready that has not found Docker and HAProxy
// yet.
var errStarting = errors.New("starting: Docker and HAProxy have not answered yet")

// exposed is what an agent shows on HTTP, and the traces that it exports, from
// before it has anything to work with.
type exposed struct {
	metrics *metrics.Metrics
	traces  *trace.Exporter
	agent   atomic.Pointer[agent]
	server  *httpd.Server
}

// expose begins to serve.
func expose(ctx context.Context, cfg Config) (*exposed, error) {
	e := &exposed{metrics: metrics.New(cfg.Version), traces: cfg.traces(ctx)}
	e.metrics.Trace(e.traces)
	var err error
	e.server, err = httpd.Start(ctx, httpd.Config{
		Listen: cfg.HTTP, Open: cfg.Listen, Metrics: e.metrics.Handler(), Ready: e.ready,
		Log: cfg.Log.With().Str("component", "http").Logger(),
	})
	if err != nil {
		err = errors.Join(err, e.traces.Close(ctx))
	}
	return e, err
}

// close ends it, also after ctx has ended.
func (e *exposed) close(ctx context.Context) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), closeHTTP)
	defer stop()
	return errors.Join(e.server.Close(ctx), e.traces.Close(ctx))
}

// Private

func (e *exposed) ready(ctx context.Context) error {
	a := e.agent.Load()
	if a == nil {
		return errStarting
	}
	return a.ready(ctx)
}

// ready tells whether the agent could do something now: it asks Docker and
// HAProxy. The bus is not asked: a host serves on without it.
func (a *agent) ready(ctx context.Context) error {
	_, err := a.observeProxy(ctx)
	if a.proxyProblem(err) != "" {
		return fmt.Errorf("HAProxy: %w", err)
	}
	if _, err := a.out.engine.List(ctx, map[string]string{labelHost: a.cfg.Host}); err != nil {
		return fmt.Errorf("Docker: %w", err) //nolint:staticcheck // a name
	}
	return nil
}

// serves tells whether the host has anything to serve.
func (a *agent) serves() bool {
	for _, s := range a.all() {
		if assigned, _ := s.current(); assigned.Stable != nil || assigned.Canary != nil {
			return true
		}
	}
	return false
}

// sight is what metrics show of the host.
func (a *agent) sight() metrics.Sight {
	sight := metrics.Sight{Lease: a.leash.left(a.now())}
	for _, s := range a.all() {
		s.mu.Lock()
		st, epoch, name := s.status, s.post.Assigned.Epoch, s.post.Assigned.Service
		s.mu.Unlock()
		if name == "" {
			continue // nothing accepted yet
		}
		sight.Services = append(sight.Services, metrics.Service{
			Name: name, Epoch: epoch, Weight: st.weight, StableReady: st.stableReady, CanaryReady: st.canaryReady,
			Settled: st.settled, Troubled: st.problem != problem{}, Deaths: st.deaths,
		})
	}
	return sight
}

// tellLocked tells metrics what a reading added to a revision.
func (s *service) tellLocked(revision string, n analysis.Counts, took timings) {
	track := trackOf(s.post.Assigned, revision)
	s.agent.out.observer.Counted(s.name, track, n.Requests, n.Errors)
	for _, t := range took {
		if t.times != nil {
			s.agent.out.observer.Timed(s.name, track, t.times)
		}
	}
}

// trackOf is the track of a revision: what is neither is one that has just been
// taken back, or replaced.
func trackOf(a rollout.Assignment, revision string) string {
	switch {
	case a.Stable != nil && a.Stable.ID == revision:
		return shared.Stable
	case a.Canary != nil && a.Canary.ID == revision:
		return shared.Canary
	}
	return shared.Other
}

// kindOf names an operation without what it is about.
func kindOf(op plan.Op) string { return strings.ToLower(reflect.TypeOf(op).Name()) }
