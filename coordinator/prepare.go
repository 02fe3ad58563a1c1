package coordinator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/specfile"
)

const (
	mostLooks      = 2  // at a fleet that returns, before what is there has to do
	longestService = 50 // a rollout's id, which is longer, has to fit into a subject
)

// prepared is a trigger after everything that can be said about it without
// changing anything.
type prepared struct {
	service *rollout.Service // nil if unknown so far
	spec    rollout.Spec
	to      rollout.Revision
	hosts   []string
	level   int // of the log, which spec keeps to
}

// prepare makes a spec, hosts and a revision out of a trigger. The refusal says
// what is wrong with it; the error that it is not known: a *silence if no agent
// answered.
func (l *leader) prepare(ctx context.Context, service string, t api.Trigger) (prepared, *rollout.Refusal, error) {
	svc := l.ledger.State().Services[service]
	p := prepared{service: svc}
	var refusal *rollout.Refusal
	if p.spec, refusal = specOf(svc, service, t); refusal != nil {
		return p, refusal, nil
	}
	p.level = l.ledger.State().AtLevel()
	p.spec = p.spec.At(p.level)
	if t.Override && t.Reason == "" {
		return p, invalid("reason", "is missing; say why the rollout goes through a freeze"), nil
	}
	if refusal := staleRevision(svc, t); refusal != nil {
		return p, refusal, nil
	}
	hosts, err := l.choose(ctx, p.spec.Hosts)
	if err != nil {
		return p, nil, err
	}
	p.hosts = hosts
	if problem := p.spec.CheckHosts(hosts); problem != nil {
		return p, problem.Refused(), nil
	}
	pinned, refusal, err := l.resolve(ctx, p.spec.Image, hosts)
	if refusal != nil || err != nil {
		return p, refusal, err
	}
	p.to = rollout.NewRevision(p.spec, pinned)
	return p, nil, nil
}

// unchanged says why there is nothing to do, as far as is known before the trigger is in
// the log; nil if there is.
func (p prepared) unchanged() *rollout.Refusal {
	if p.service == nil {
		return nil
	}
	return p.service.Unchanged(p.to, p.spec, p.level)
}

// Private

// specOf returns the spec that a trigger asks for.
func specOf(svc *rollout.Service, service string, t api.Trigger) (rollout.Spec, *rollout.Refusal) {
	spec, refusal := rollout.Spec{}, (*rollout.Refusal)(nil)
	if len(t.Spec) > 0 {
		spec, refusal = parseSpec(t)
	} else {
		spec, refusal = lastSpec(svc, service)
	}
	if refusal != nil {
		return spec, refusal
	}
	if len(service) > longestService {
		return spec, invalid("service", fmt.Sprintf("has %d characters; use %d at most, so that its rollouts have names too", len(service), longestService))
	}
	if spec.Service != service {
		return spec, invalid("service", fmt.Sprintf("is %q, but the trigger came for %q", spec.Service, service))
	}
	if t.Image != "" {
		spec.Image = t.Image
	}
	if problem := spec.Validate(); problem != nil {
		return spec, problem.Refused()
	}
	return spec, nil
}

func parseSpec(t api.Trigger) (rollout.Spec, *rollout.Refusal) {
	text, err := t.SpecText()
	if err != nil {
		return rollout.Spec{}, invalid("spec", err.Error())
	}
	spec, err := specfile.Parse(text)
	if err == nil {
		return spec, nil
	}
	if wrong, ok := errors.AsType[*specfile.Error](err); ok {
		message := wrong.Message
		if wrong.Source != "" {
			message += "\n" + wrong.Source
		}
		field := wrong.Field
		if field == "" {
			field = specfile.FieldAt(text, wrong.Line, wrong.Column)
		}
		if field == "" {
			field = "spec" // as a whole
		}
		return spec, invalid(field, message)
	}
	return spec, invalid("spec", err.Error())
}

// lastSpec returns what an image alone is to be rolled out by.
func lastSpec(svc *rollout.Service, service string) (rollout.Spec, *rollout.Refusal) {
	if svc != nil && svc.Stable != nil {
		return svc.Spec, nil
	}
	if svc != nil {
		if r, ok := svc.Latest(); ok {
			return r.Spec, nil
		}
	}
	return rollout.Spec{}, &rollout.Refusal{
		Code: rollout.CodeUnknown, Field: "service",
		Message: fmt.Sprintf("%q is not known yet; the first trigger of a service needs a whole rollout file", service),
	}
}

func staleRevision(svc *rollout.Service, t api.Trigger) *rollout.Refusal {
	if t.IfRevision == "" {
		return nil
	}
	stable := ""
	if svc != nil && svc.Stable != nil {
		stable = svc.Stable.ID
	}
	if stable == t.IfRevision {
		return nil
	}
	return &rollout.Refusal{
		Code: rollout.CodeStale, Field: "if_revision",
		Message: fmt.Sprintf("stable is %q, not %q: it has changed since the plan", stable, t.IfRevision),
	}
}

// choose returns the live hosts that match, once the fleet has had time to
// report to this leader, and again after the bus was away. The error is a
// *silence if no host is live at all: then it is the bus, or this leader is
// young, and it is not known that none matches.
func (l *leader) choose(ctx context.Context, selector rollout.Selector) ([]string, error) {
	select {
	case <-l.gathered:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for looks := 1; ; looks++ {
		var hosts []string
		var wait time.Duration
		silent := false
		err := l.do(ctx, func() {
			now := l.clock.now()
			hosts, wait, silent = l.fleet.live(selector, now), l.fleet.returning(now), l.fleet.silent(now)
		})
		switch {
		case err != nil:
			return nil, err
		case wait > 0 && looks <= mostLooks:
			pause(ctx, wait)
		case silent:
			return nil, unheard()
		default:
			return hosts, nil
		}
	}
}

func invalid(field, message string) *rollout.Refusal {
	return &rollout.Refusal{Code: rollout.CodeInvalid, Field: field, Message: message}
}
