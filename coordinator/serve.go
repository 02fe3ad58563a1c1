package coordinator

import (
	"context"
	"maps"
	"time"

	"github.com/serin-rollouts/serin/coordinator/control"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// serve answers operators for as long as this replica leads.
func (l *leader) serve(ctx context.Context) error {
	return control.Run(ctx, control.Config{
		ID: l.id, Term: l.term, Version: l.version,
		Leader: desk{l}, Cluster: l.cluster, Bus: l.bus, Standings: l.standings, Tracing: l.tracing, Log: l.log,
	})
}

// desk is the leader as the operators' API sees it.
type desk struct{ l *leader }

// State implements control.Leader.
func (d desk) State() *rollout.State { return d.l.ledger.State() }

// Propose implements control.Leader.
func (d desk) Propose(ctx context.Context, by string, c rollout.Command) (rollout.Result, error) {
	return d.l.propose(ctx, by, c)
}

// Verify implements control.Leader.
func (d desk) Verify(ctx context.Context) error { return d.l.ledger.Verify(ctx) }

// View implements control.Leader.
func (d desk) View(ctx context.Context) (control.View, error) {
	var v control.View
	err := d.l.do(ctx, func() { v = d.l.view() })
	return v, err
}

// Plan implements control.Leader.
func (d desk) Plan(ctx context.Context, service string, t api.Trigger) (control.Proposal, *rollout.Refusal, error) {
	p, refusal, err := d.l.prepare(ctx, service, t)
	if refusal != nil || err != nil {
		return control.Proposal{}, refusal, err
	}
	plan := control.Proposal{Spec: p.spec, To: p.to, Hosts: p.hosts, Unchanged: p.unchanged() != nil}
	err = d.l.do(ctx, func() { plan.PerSecond = d.l.fleet.traffic(service, p.hosts) })
	return plan, nil, err
}

// Private

// view copies what the loop knows.
func (l *leader) view() control.View {
	now := l.clock.now()
	v := control.View{
		Now: now, Wall: time.Now().UnixMilli(), Evidence: l.evidence(now), Dropped: l.lost(), Published: l.confirmed.Load(),
		Feedback: l.feedback.notes(),
	}
	for name, w := range l.watches {
		e := v.Evidence[name]
		e.Hosts = maps.Clone(w.hosts)
		v.Evidence[name] = e
	}
	for _, h := range l.fleet.hosts {
		v.Hosts = append(v.Hosts, control.Host{
			Health: h.health, Seen: now - h.seen, Live: now-h.seen < liveFor, Skew: h.skew,
		})
	}
	return v
}
