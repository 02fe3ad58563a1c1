package control

import (
	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	// enough is how many requests of stable tell how often it fails; with fewer
	// a forecast would be one of chance.
	enough = 1000
	// perWindow is a canary container's requests in a window of the gate, as
	// long as nobody knows its traffic: four a second.
	perWindow = 20
)

// Private

// forecast says how many canary requests each step of a plan takes: all the
// same, since every step wants evidence of its own. Where the gate has no say,
// at an install and at weight 0, it says nothing.
func forecast(plan *api.Plan, spec rollout.Spec, svc *rollout.Service, v View) {
	if svc == nil || svc.Stable == nil {
		return
	}
	plan.Alpha, plan.OneHost, plan.Gates = spec.Gates.Alpha, spec.Gates.OneHost, plannedGates(spec.Gates)
	if spec.Gates.Errors == nil {
		return
	}
	seen := v.stable(svc.Name, svc.Stable.ID)
	if seen.Requests < enough {
		seen = analysis.Counts{}
	} else {
		plan.Stable = &api.Counts{Requests: seen.Requests, Errors: seen.Errors}
	}
	g := spec.Gates.Judging().Errors
	needs := analysis.Plan(analysis.Config{MaxIncrease: g.MaxIncrease, MinRequests: g.MinRequests}, seen, perWindow)
	for i := range plan.Path {
		if plan.Path[i].Weight > 0 {
			plan.Path[i].Needs = needs
		}
	}
}

// stable sums what the hosts counted of a stable revision.
func (v View) stable(service, revision string) analysis.Counts {
	var all analysis.Counts
	for _, h := range v.Hosts {
		for _, x := range h.Health.Services {
			if !h.Live || x.Service != service || x.Stable != revision {
				continue
			}
			for _, c := range x.StableCounts {
				all.Requests += c.Requests
				all.Errors += c.Errors
			}
		}
	}
	return all
}
