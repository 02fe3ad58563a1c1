package control

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/latency"
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
		forecast(&plan, Proposal{Spec: rollout.Spec{Gates: c.gates}}, svc, View{Hosts: c.hosts})
		if got := []int64{plan.Path[0].Needs, plan.Path[1].Needs}; !cmp.Equal(got, c.needs) {
			t.Errorf("%s: needs %v, want %v", name, got, c.needs)
		}
		if diff := cmp.Diff(c.stable, plan.Stable); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestForecastInTime: with traffic, steps tell how long they take and when a worse version is found; more
// of it makes that sooner, and what is allowed is not found.
func TestForecastInTime(t *testing.T) {
	spec := rollout.Spec{
		Gates: rollout.Gates{Alpha: 10_000, Errors: &rollout.ErrorsGate{MaxIncrease: 100, MinRequests: 100}},
		Steps: []rollout.Step{
			{Hosts: rollout.HostCount{Count: 2}, Weight: 0, Hold: time.Minute},
			{Hosts: rollout.HostCount{Count: 2}, Weight: 1000},
			{Hosts: rollout.HostCount{Share: rollout.Full}, Weight: 5000, Hold: time.Hour},
			{Hosts: rollout.HostCount{Count: 2}, Weight: rollout.Full},
		},
	}
	hosts := make([]string, 20)
	view := View{Hosts: []Host{{Live: true, Health: wire.Health{Services: []wire.ServiceHealth{
		{Service: "checkout", Stable: "rev-1", StableCounts: map[string]analysis.Counts{"a": {Requests: 100_000, Errors: 500}}},
	}}}}}
	told := func(perSecond float64) api.Plan {
		plan := api.Plan{Path: path(spec, len(hosts), -1)}
		forecast(&plan, Proposal{Spec: spec, Hosts: hosts, PerSecond: perSecond, To: rollout.Revision{Replicas: 2}}, past("1"), view)
		return plan
	}
	slow, fast, none := told(100), told(1000), told(0)
	if none.Path[2].Finds != nil || none.Path[2].Takes != 0 || none.Path[2].Needs == 0 {
		t.Errorf("without traffic: %+v", none.Path[2])
	}
	if s := fast.Path[0]; s.Finds != nil || s.Takes != 0 || s.PerSecond != 0 {
		t.Errorf("without weight: %+v", s)
	}
	if s := fast.Path[3]; s.Finds != nil || s.Needs == 0 || s.PerSecond != 100 {
		t.Errorf("hosts against hosts: %+v", s)
	}
	for i, canary := range map[int]float64{1: 10, 2: 500} {
		a, b := slow.Path[i], fast.Path[i]
		if b.PerSecond != canary || len(b.Finds) != 3 || !b.Finds[0].Allowed || b.Finds[0].After != 0 {
			t.Errorf("step %d: %+v", i+1, b)
		}
		for k := 1; k < 3; k++ {
			if x, y := a.Finds[k], b.Finds[k]; x.After > 0 && x.After < y.After || y.After == 0 || y.Requests == 0 {
				t.Errorf("step %d, %d times: after %d ms at 100/s, %d at 1,000", i+1, y.Times, x.After, y.After)
			}
		}
		if b.Takes == 0 || a.Takes < b.Takes || b.Needs < 100 {
			t.Errorf("step %d takes %d ms at 100/s, %d at 1,000, and %d requests", i+1, a.Takes, b.Takes, b.Needs)
		}
	}
	if fast.PerSecond != 1000 || fast.Takes != 0 {
		t.Errorf("%g/s, %d ms in all, though nobody knows of the last step", fast.PerSecond, fast.Takes)
	}
	spec.Steps = spec.Steps[:3]
	if p := told(1000); p.Takes != p.Path[0].Hold+p.Path[1].Takes+max(p.Path[2].Hold, p.Path[2].Takes) {
		t.Errorf("%d ms in all, of %+v", p.Takes, p.Path)
	}
	// What else the rollout waits for is named, with the reason, for its time is not in the sum.
	spec.Gates.Latency = []rollout.LatencyGate{
		{Conduct: rollout.Conduct{Name: "latency-p99"}, Quantile: 9900, MaxIncrease: 2000},
		{Conduct: rollout.Conduct{Name: "latency-p50", Observe: true}, Quantile: 5000, MaxIncrease: 2000},
	}
	if p := told(1000); !slices.Equal(p.Untold, []string{"latency-p99"}) || p.Takes == 0 {
		t.Errorf("%d ms, and not told: %v", p.Takes, p.Untold)
	} else if why := p.Gates[1].Untold; why != "of 0 requests it is known how long they take, of 1000 that are needed" {
		t.Error(why)
	}
	spec.Gates.Errors.Observe = true
	if p := told(1000); p.Path[1].Finds != nil || p.Path[1].Takes == 0 {
		t.Errorf("observed only: %+v", p.Path[1])
	}
}

func TestUnwell(t *testing.T) {
	host := func(name string, live bool, problem string) Host {
		return Host{Live: live, Seen: time.Minute, Health: wire.Health{
			Host: name, Labels: map[string]string{"role": "web"},
			Services: []wire.ServiceHealth{{Service: "checkout", Problem: problem}, {Service: "search", Problem: "other"}},
		}}
	}
	view := View{Hosts: []Host{host("d", true, ""), host("c", true, "no image"), host("a", false, "no image"), host("x", true, "no image")}}
	spec := rollout.Spec{Service: "checkout", Hosts: rollout.Selector{Labels: map[string]string{"role": "web"}}}
	want := []api.UnwellHost{{Host: "a", Why: "silent for 1m0s"}, {Host: "c", Why: "no image"}}
	if diff := cmp.Diff(want, view.unwell(spec, []string{"c", "d"})); diff != "" {
		t.Errorf("by label (-want +got):\n%s", diff)
	}
	spec.Hosts = rollout.Selector{Names: []string{"b", "d"}}
	want = []api.UnwellHost{{Host: "b", Why: "has never reported"}}
	if diff := cmp.Diff(want, view.unwell(spec, []string{"d"})); diff != "" {
		t.Errorf("by name (-want +got):\n%s", diff)
	}
}

// TestForecastOfLatency: a gate on latency is foretold by how long stable's requests took; where too little
// is known of that, the plan says why.
func TestForecastOfLatency(t *testing.T) {
	const requests = 5000
	times := latency.New()
	for k := range int64(requests) {
		times.Add(50_000 + 20*k)
	}
	spec := rollout.Spec{
		Gates: rollout.Gates{
			Alpha:  10_000,
			Errors: &rollout.ErrorsGate{Conduct: rollout.Conduct{Name: "errors"}, MaxIncrease: 100, MinRequests: 100},
			Latency: []rollout.LatencyGate{
				{Conduct: rollout.Conduct{Name: "latency-p90"}, Quantile: 9000, MaxIncrease: 10_000, MinRequests: 100},
				{Conduct: rollout.Conduct{Name: "latency-p50-api"}, Quantile: 5000, MaxIncrease: 2000, Route: "/api"},
				{Conduct: rollout.Conduct{Name: "watched", Observe: true}, Quantile: 9900, MaxIncrease: 2000},
			},
			Saturation: &rollout.SaturationGate{Conduct: rollout.Conduct{Name: "saturation"}},
		},
		Steps: []rollout.Step{
			{Hosts: rollout.HostCount{Count: 2}, Weight: 1000},
			{Hosts: rollout.HostCount{Share: rollout.Full}, Weight: rollout.Full},
		},
	}
	hosts := make([]string, 4)
	told := func(lines int64, perSecond float64) api.Plan {
		plan := api.Plan{Path: path(spec, len(hosts), -1)}
		view := View{Hosts: []Host{{Live: true, Health: wire.Health{Services: []wire.ServiceHealth{{
			Service: "checkout", Stable: "rev-1", StableCounts: map[string]analysis.Counts{"a": {Requests: requests}},
			Latencies: []analysis.Latency{{Instance: "a", Requests: requests, Lines: lines, Sketch: times.Encode()}},
		}}}}}}
		forecast(&plan, Proposal{Spec: spec, Hosts: hosts, PerSecond: perSecond, To: rollout.Revision{Replicas: 2}}, past("1"), view)
		return plan
	}
	p := told(requests, 400)
	for i, s := range p.Path {
		if len(s.Latency) != 1 || s.Latency[0].Gate != "latency-p90" || len(s.Latency[0].Finds) != 3 {
			t.Fatalf("step %d: %+v", i+1, s.Latency)
		}
		f := s.Latency[0]
		if f.Takes == 0 || f.Needs < 100 || !f.Finds[0].Allowed || f.Finds[0].After != 0 || f.Finds[1].After == 0 || f.Finds[1].Requests == 0 {
			t.Errorf("step %d: %+v", i+1, f)
		}
	}
	if first := p.Path[0].Latency[0]; first.Takes < analysis.ColdStart.Milliseconds() {
		t.Errorf("passes after %d ms, before the containers are warm", first.Takes)
	}
	if want := max(p.Path[0].Takes, p.Path[0].Latency[0].Takes) + max(p.Path[1].Takes, p.Path[1].Latency[0].Takes); p.Takes != want {
		t.Errorf("%d ms in all, want %d", p.Takes, want)
	}
	why := func(p api.Plan) map[string]string {
		all := map[string]string{}
		for _, g := range p.Gates {
			if (g.Untold != "") != slices.Contains(p.Untold, g.Name) {
				t.Errorf("%s is told of (%q) and not, %v", g.Name, g.Untold, p.Untold)
			}
			all[g.Name] = g.Untold
		}
		return all
	}
	const usage = "it goes by what the canary's own containers use, which nobody knows before"
	const route = "of 0 requests below /api it is known how long they take, of 1000 that are needed"
	const lost, none = "HAProxy's log told of 80% of the requests", "the hosts get no requests, or have just begun to"
	for name, c := range map[string]struct {
		plan api.Plan
		want map[string]string
	}{
		"all is known": {p, map[string]string{"errors": "", "latency-p90": "", "latency-p50-api": route, "watched": "", "saturation": usage}},
		"lines lost":   {told(requests*4/5, 400), map[string]string{"errors": "", "latency-p90": lost, "latency-p50-api": lost, "watched": "", "saturation": usage}},
		"no traffic":   {told(requests, 0), map[string]string{"errors": none, "latency-p90": none, "latency-p50-api": none, "watched": "", "saturation": none}},
	} {
		if diff := cmp.Diff(c.want, why(c.plan)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
