package control

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Private

// verdict renders what the gates of a running rollout say, with what only its
// file tells of them, after the evidence began anew so many times. note is for
// those on feedback.
func verdict(v analysis.Verdict, gates rollout.Gates, anew int, note string) *api.Verdict {
	out := api.VerdictOf(v)
	shares := gates.Judging().Attempt(anew).Shares()
	for i := range out.Gates {
		g := &out.Gates[i]
		if !g.Observe && g.Kind != api.KindCondition {
			g.Alpha = shares[g.Name]
		}
		if slices.ContainsFunc(gates.Feedback, func(f rollout.FeedbackGate) bool { return f.Name == g.Name }) {
			g.Note = note
		}
		if s := gates.Saturation; s != nil && g.Kind == api.KindSaturation {
			allowed := s.MaxMemory
			g.Allowed = &allowed
		}
	}
	return &out
}

// held lists the hosts that do not follow a service's stable revision.
func held(svc *rollout.Service) []api.HeldHost {
	var all []api.HeldHost
	for _, host := range slices.Sorted(maps.Keys(svc.Held)) {
		has := svc.Held[host]
		h := api.HeldHost{Host: host, Revision: has.ID, Version: has.Version()}
		h.Rollout, h.Why = leftOut(svc, host)
		all = append(all, h)
	}
	return all
}

// leftOut finds the last promoted rollout that went on without a host, and why;
// both are empty if that is forgotten.
func leftOut(svc *rollout.Service, host string) (id, why string) {
	search := func(r rollout.Rollout) bool {
		k := slices.IndexFunc(r.Excluded, func(x rollout.Exclusion) bool { return x.Host == host })
		if k >= 0 {
			id, why = r.ID, r.Excluded[k].Text
		}
		return k >= 0
	}
	if svc.Active != nil && svc.Active.Phase == rollout.Promoting && search(*svc.Active) {
		return id, why
	}
	for _, r := range slices.Backward(svc.History) {
		if r.Phase == rollout.Succeeded && search(r) {
			break
		}
	}
	return id, why
}

func excluded(r rollout.Rollout) []api.Exclusion {
	var all []api.Exclusion
	for _, x := range r.Excluded {
		all = append(all, api.Exclusion{Host: x.Host, Why: x.Text})
	}
	return all
}

// exclusions names the hosts that a rollout went on without, for an
// explanation; empty without any.
func exclusions(d api.RolloutDetail) string {
	var b strings.Builder
	for _, x := range d.Excluded {
		fmt.Fprintf(&b, " Without %s", x.Host)
		if x.Why != "" {
			fmt.Fprintf(&b, ": %s", strings.TrimSuffix(x.Why, "."))
		}
		b.WriteString(".")
	}
	return b.String()
}
