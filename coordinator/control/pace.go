package control

import (
	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Private

// forecastPace says what the regression that an automatic pace guards against fails
// before the errors gate finds it, whatever the weights.
func forecastPace(plan *api.Plan, spec rollout.Spec, svc *rollout.Service, v View) {
	if spec.Pace != rollout.AutoPace || spec.Auto == nil || svc == nil || svc.Stable == nil {
		return
	}
	seen := v.stable(svc.Name, svc.Stable.ID)
	if seen.Requests < enough {
		seen = analysis.Counts{}
	}
	plan.Finding = spec.Auto.Finding(spec.Gates, seen)
}
