package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

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
	svc := s.Leader.State().Services[service]
	plan := planOf(svc, service, p)
	forecast(&plan, p, svc, view)
	forecastPace(&plan, p.Spec, svc, view)
	plan.Unwell = view.unwell(p.Spec, p.Hosts)
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

func planOf(svc *rollout.Service, service string, p Proposal) api.Plan {
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
		plan.Changes = changes(*svc.Stable, p.To)
	}
	return plan
}

// changes says what differs between two revisions. Values of the environment
// are left out: they may be secrets.
func changes(from, to rollout.Revision) []string {
	var all []string
	note := func(what string, a, b any) {
		if fmt.Sprint(a) != fmt.Sprint(b) {
			all = append(all, fmt.Sprintf("%s: %v -> %v", what, a, b))
		}
	}
	note("image", from.Image, to.Image)
	note("replicas", from.Replicas, to.Replicas)
	a, b := from.Container, to.Container
	names := slices.Concat(slices.Collect(maps.Keys(a.Env)), slices.Collect(maps.Keys(b.Env)))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if a.Env[name] != b.Env[name] {
			all = append(all, "container.env."+name+" changes")
		}
	}
	for _, key := range containerKeys(a, b) {
		all = append(all, "container."+key+" changes")
	}
	return all
}

// containerKeys names the keys, but env, that differ.
func containerKeys(a, b rollout.Container) []string {
	a.Env, b.Env = nil, nil
	x, y := fieldsOf(a), fieldsOf(b)
	var keys []string
	for key := range maps.Keys(x) {
		if string(x[key]) != string(y[key]) {
			keys = append(keys, key)
		}
	}
	for key := range maps.Keys(y) {
		if x[key] == nil {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func fieldsOf(c rollout.Container) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	if data, err := json.Marshal(c); err == nil {
		_ = json.Unmarshal(data, &fields) // an object, as just made
	}
	return fields
}
