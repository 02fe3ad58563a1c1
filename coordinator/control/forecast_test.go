package control

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

func TestForecastTellsWhatItRestsOn(t *testing.T) {
	host := func(live bool, stable string, requests, errs int64) Host {
		return Host{Live: live, Health: wire.Health{Services: []wire.ServiceHealth{
			{Service: "checkout", Stable: stable, StableCounts: map[string]analysis.Counts{
				"a1": {Requests: requests / 2, Errors: errs}, "a2": {Requests: requests / 2},
			}},
			{Service: "search", Stable: stable, StableCounts: map[string]analysis.Counts{"b1": {Requests: 9999, Errors: 9999}}},
		}}}
	}
	gated := rollout.Gates{Errors: &rollout.ErrorsGate{MaxIncrease: 50, MinRequests: 100}}
	for name, c := range map[string]struct {
		gates  rollout.Gates
		past   []string
		hosts  []Host
		needs  []int64 // by step; the first has weight 0
		stable *api.Counts
	}{
		"an install":     {gated, nil, []Host{host(true, "", 0, 0)}, []int64{0, 0}, nil},
		"no gate":        {rollout.Gates{}, []string{"1"}, []Host{host(true, "rev-1", 5000, 5)}, []int64{0, 0}, nil},
		"no traffic":     {gated, []string{"1"}, []Host{host(true, "rev-1", 0, 0)}, []int64{0, 1049}, nil},
		"too little":     {gated, []string{"1"}, []Host{host(true, "rev-1", 900, 9)}, []int64{0, 1049}, nil},
		"silent, others": {gated, []string{"1"}, []Host{host(false, "rev-1", 5000, 50), host(true, "rev-0", 5000, 50)}, []int64{0, 1049}, nil},
		"one in 1000":    {gated, []string{"1"}, []Host{host(true, "rev-1", 5000, 5), host(true, "rev-1", 5000, 5)}, []int64{0, 1635}, &api.Counts{Requests: 10_000, Errors: 10}},
	} {
		plan := api.Plan{Path: []api.StepStatus{{Weight: 0}, {Weight: 500}}}
		var svc *rollout.Service
		if c.past != nil {
			svc = past(c.past...)
		}
		forecast(&plan, rollout.Spec{Gates: c.gates}, svc, View{Hosts: c.hosts})
		if got := []int64{plan.Path[0].Needs, plan.Path[1].Needs}; !cmp.Equal(got, c.needs) {
			t.Errorf("%s: needs %v, want %v", name, got, c.needs)
		}
		if diff := cmp.Diff(c.stable, plan.Stable); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
