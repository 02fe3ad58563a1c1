package control

import (
	"fmt"
	"slices"

	"github.com/serin-rollouts/serin/coordinator/difference"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Private

// verbs lists what a person may ask of a running rollout. Each is tried on a
// copy of the state, so that what is said here is what would come of it.
func (s *server) verbs(state *rollout.State, r rollout.Rollout, v View) []api.Verb {
	svc := state.Services[r.Service]
	if svc == nil || svc.Active == nil || svc.Active.ID != r.ID {
		return nil
	}
	target := targetOf(svc)
	operator := rollout.Why{Cause: rollout.CauseOperator}
	next := api.Verb{Name: api.Promote, Does: promoteDoes(r)}
	if c, refusal := s.promote(svc, v, api.Command{}); refusal != nil {
		next.Why = refusal.Message
	} else {
		next.Why = refusedOn(state, svc, c)
	}
	return []api.Verb{
		next,
		{
			Name: api.FullPromote, Does: "makes " + r.To.Version() + " stable on all hosts at once; no gate looks any more",
			Why: refusedOn(state, svc, rollout.Promote{Target: target, Why: operator}),
		},
		{
			Name: api.Pause, Does: "holds the rollout at its step; the gates watch on",
			Why: refusedOn(state, svc, rollout.Pause{Target: target, Why: operator}),
		},
		{
			Name: api.Resume, Does: "lets the rollout go on",
			Why: refusedOn(state, svc, rollout.Resume{Target: target}),
		},
		{
			Name: api.Abort, Does: "takes all traffic back from " + r.To.Version() + " at once",
			Why: refusedOn(state, svc, rollout.Abort{Target: target}),
		},
	}
}

// promoteDoes says what the promote of one step comes to.
func promoteDoes(r rollout.Rollout) string {
	step := r.Spec.Steps[r.Step]
	switch {
	case step.Approve && !r.Approved:
		return fmt.Sprintf("gives the approval that step %d of %d waits for", r.Step+1, len(r.Spec.Steps))
	case r.LastStep():
		return "makes " + r.To.Version() + " stable, without the rest of the hold"
	}
	return fmt.Sprintf("takes step %d of %d now, without the rest of the hold and without evidence", r.Step+2, len(r.Spec.Steps))
}

// refusedOn carries a command out on a copy of one service, and returns why it
// was refused; empty if it was not.
func refusedOn(state *rollout.State, svc *rollout.Service, c rollout.Command) string {
	trial := *state
	trial.Services, trial.Outbox, trial.Outcomes = map[string]*rollout.Service{svc.Name: svc}, nil, nil
	result := trial.Clone().Apply(state.Index+1, rollout.Entry{Stamp: rollout.Stamp{At: state.Clock, By: somebody}, Command: c})
	if result.Refused != nil {
		return result.Refused.Message
	}
	return ""
}

// noReturn says, by rollout, why a rollback to it is not possible now.
func noReturn(svc *rollout.Service) map[string]string {
	why := map[string]string{}
	if r := svc.Active; r != nil {
		why[r.ID] = r.ID + " runs"
	}
	for _, r := range svc.History {
		if text := noWayTo(svc, r); text != "" {
			why[r.ID] = text
		}
	}
	return why
}

// noWayTo says why a rollback to a rollout would be refused; empty if it would
// not.
func noWayTo(svc *rollout.Service, r rollout.Rollout) string {
	_, refusal := earlier(svc, r.ID)
	switch {
	case svc.Active != nil:
		return svc.Active.ID + " runs; abort it first, or wait for its end"
	case refusal == nil:
		return ""
	case svc.Stable != nil && r.To.ID == svc.Stable.ID && r.Phase == rollout.Succeeded:
		return r.To.Version() + " is stable"
	case r.Phase != rollout.Succeeded:
		return fmt.Sprintf("%s has never been made stable by %s: it ended %s", r.To.Version(), r.ID, r.Phase)
	}
	return refusal.Message
}

// readDiff answers get.diff.<rollout>.
func readDiff(state *rollout.State, id string, data []byte, v View) ([]byte, error) {
	var with api.DiffWith
	if refusal := decode(data, &with); refusal != nil {
		return encode(api.Refused(refusal))
	}
	r, ok := named(state, id)
	if !ok {
		return encode(refusef(rollout.CodeUnknown, "no rollout or revision %q", id))
	}
	if with.From != "" {
		return readDifference(state, with.From, r)
	}
	svc := state.Services[r.Service]
	level := state.AtLevel()
	spec := wayBack(r, level)
	d := api.Diff{Service: r.Service, Rollout: r.ID, To: revision(r.To), Why: noWayTo(svc, r)}
	if svc.Stable != nil {
		from := revision(*svc.Stable)
		d.From, d.Changes = &from, changes(svc, r.To, spec, level)
	}
	if d.Why == "" {
		d.Path = path(spec.Back(), len(v.live(spec.Hosts)), -1)
	}
	return answer(d)
}

// readDifference compares a rollout with another of its service.
func readDifference(state *rollout.State, from string, r rollout.Rollout) ([]byte, error) {
	with, ok := named(state, from)
	switch {
	case !ok:
		return encode(refusef(rollout.CodeUnknown, "no rollout or revision %q", from))
	case with.Service != r.Service:
		return encode(refusef(rollout.CodeInvalid, "%s is of %s and %s of %s: name two of one service", with.ID, with.Service, r.ID, r.Service))
	}
	level, was := state.AtLevel(), revision(with.To)
	return answer(api.Diff{
		Service: r.Service, Rollout: r.ID, Against: with.ID, From: &was, To: revision(r.To),
		Changes: difference.Of(
			difference.Side{Revision: with.To, Spec: with.Spec.At(level)},
			difference.Side{Revision: r.To, Spec: r.Spec.At(level)},
		),
	})
}

// named finds the rollout of that id, or the last one of the revision of that id.
func named(state *rollout.State, id string) (rollout.Rollout, bool) {
	if r, ok := state.Find(id); ok {
		return r, true
	}
	for _, name := range state.Names() {
		svc := state.Services[name]
		if svc.Active != nil && svc.Active.To.ID == id {
			return *svc.Active, true
		}
		for _, r := range slices.Backward(svc.History) {
			if r.To.ID == id {
				return r, true
			}
		}
	}
	return rollout.Rollout{}, false
}
