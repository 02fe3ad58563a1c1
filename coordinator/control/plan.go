package control

import (
	"context"
	"errors"
	"strings"

	"github.com/serin-rollouts/serin/coordinator/difference"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// plan answers cmd.plan.<service>: what a trigger would do.
func (s *server) plan(ctx context.Context, service string, m bus.Msg) ([]byte, error) {
	t, problem := api.ParseTrigger(m.Data)
	if problem != nil {
		return encode(api.Refused(problem.Refused()))
	}
	p, refusal, err := s.Leader.Plan(ctx, service, t)
	if err != nil {
		return encode(refusef(rollout.CodeBusy, "%v", err))
	}
	if refusal != nil {
		return encode(api.Refused(refusal))
	}
	view, err := s.Leader.View(ctx)
	if err != nil {
		return s.silent(ctx, m, err)
	}
	state := s.Leader.State()
	plan := planOf(state.Services[service], service, p, view, state.AtLevel())
	plan.Frozen = view.freezes(state, service)
	return answer(plan)
}

// member answers cmd.cluster.<action>.
func (s *server) member(ctx context.Context, action string, data []byte) ([]byte, error) {
	var m api.Member
	if refusal := decode(data, &m); refusal != nil {
		return encode(api.Refused(refusal))
	}
	var err error
	switch {
	case m.ID == "" && action != api.Transfer:
		return encode(api.Refused(&rollout.Refusal{Code: rollout.CodeInvalid, Field: "id", Message: "is missing; name the replica"}))
	case action == api.Add && m.Addr == "":
		return encode(api.Refused(&rollout.Refusal{Code: rollout.CodeInvalid, Field: "addr", Message: "is missing; name the replica's host:port"}))
	case action == api.Add:
		err = s.Cluster.Add(ctx, m.ID, m.Addr)
	case action == api.Remove:
		err = s.Cluster.Remove(ctx, m.ID)
	case action == api.Transfer:
		err = s.Cluster.Transfer(ctx, m.ID)
	default:
		return encode(refusef(rollout.CodeInvalid, "no action %q; known are add, remove, transfer", action))
	}
	if err != nil {
		return encode(api.Refused(s.cannot(m, err)))
	}
	s.Log.Info().Str("action", action).Str("member", m.ID).Str("by", m.By).Msg("cluster changed")
	return encode(api.Reply{OK: true})
}

// Private

// cannot says why the group stays as it is.
func (s *server) cannot(m api.Member, err error) *rollout.Refusal {
	switch {
	case errors.Is(err, ErrNoMember):
		r := refusal(rollout.CodeUnknown, "", "no replica %q; known are %s", m.ID, s.memberIDs())
		r.Field = "id"
		return r
	case errors.Is(err, ErrImpossible):
		return refusal(rollout.CodeConflict, "", "%v", err)
	default:
		return refusal(rollout.CodeBusy, "", "%v", err)
	}
}

func (s *server) memberIDs() string {
	status, err := s.Cluster.Status()
	if err != nil {
		return "none: " + err.Error()
	}
	var ids []string
	for _, m := range status.Members {
		ids = append(ids, m.ID)
	}
	return strings.Join(ids, ", ")
}

// planOf says what comes of a proposal for a service, nil if it is new.
func planOf(svc *rollout.Service, service string, p Proposal, v View, level int) api.Plan {
	plan := outline(svc, service, p, level)
	forecast(&plan, p, svc, v)
	forecastPace(&plan, p.Spec, svc, v)
	plan.Unwell = v.unwell(p.Spec, p.Hosts)
	return plan
}

// outline is what there is to say of a proposal whatever the hosts report.
func outline(svc *rollout.Service, service string, p Proposal, level int) api.Plan {
	plan := api.Plan{
		Service: service, To: revision(p.To), Unchanged: p.Unchanged, Hosts: p.Hosts,
		Path: path(p.Spec, len(p.Hosts), -1), Auto: p.Spec.Auto,
		Deadline: p.Spec.Deadline.Milliseconds(),
	}
	for _, step := range p.Spec.Steps {
		plan.Holds += step.Hold.Milliseconds()
	}
	if g := p.Spec.Gates.Errors; g != nil {
		plan.MinRequests = g.MinRequests
	}
	if svc == nil {
		return plan
	}
	if svc.Active != nil {
		plan.Running = svc.Active.ID
	}
	if svc.Stable != nil {
		from := revision(*svc.Stable)
		plan.From = &from
		plan.Changes = changes(svc, p.To, p.Spec, level)
	}
	return plan
}

// changes says what differs from what a service has, if it gets a version with
// this spec; both specs are compared as the log may hold them at a level.
func changes(svc *rollout.Service, to rollout.Revision, spec rollout.Spec, level int) []string {
	return difference.Of(
		difference.Side{Revision: *svc.Stable, Spec: svc.Spec.At(level)},
		difference.Side{Revision: to, Spec: spec.At(level)},
	)
}
