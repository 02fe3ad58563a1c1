package control

import (
	"slices"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
	foretell "github.com/serin-rollouts/serin/internal/forecast"
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

// forecast says what evidence each step of a plan takes, and how long that is at
// the traffic that there is. Where the gate has no say, at an install and at
// weight 0, it says nothing.
func forecast(plan *api.Plan, p Proposal, svc *rollout.Service, v View) {
	if svc == nil || svc.Stable == nil {
		return
	}
	gates := p.Spec.Gates
	plan.PerSecond = p.PerSecond
	plan.Alpha, plan.OneHost, plan.Gates = gates.Alpha, gates.OneHost, plannedGates(gates)
	for _, g := range plan.Gates {
		if g.Alpha > 0 && (gates.Errors == nil || g.Name != gates.Errors.Name) {
			plan.Untold = append(plan.Untold, g.Name)
		}
	}
	if gates.Errors == nil {
		return
	}
	seen := v.stable(svc.Name, svc.Stable.ID)
	if seen.Requests < enough {
		seen = analysis.Counts{}
	} else {
		plan.Stable = &api.Counts{Requests: seen.Requests, Errors: seen.Errors}
	}
	g := gates.Judging().Errors
	needs := analysis.Plan(analysis.Config{MaxIncrease: g.MaxIncrease, MinRequests: g.MinRequests}, seen, perWindow)
	for i := range plan.Path {
		if plan.Path[i].Weight > 0 {
			plan.Path[i].Needs = needs
		}
	}
	if plan.Stable != nil && p.PerSecond > 0 {
		inTime(plan, p.Spec, rollout.Traffic{
			Hosts: len(p.Hosts), PerSecond: p.PerSecond, Stable: seen,
			Before: svc.Stable.Replicas, After: p.To.Replicas,
		})
	}
}

// inTime says how long the steps of a plan take at a traffic.
func inTime(plan *api.Plan, spec rollout.Spec, t rollout.Traffic) {
	var all int64
	told := true
	for i, f := range foretell.Steps(spec, t) {
		step := &plan.Path[i]
		step.PerSecond = f.PerSecond
		if f.Passes.After > 0 {
			step.Needs, step.Takes = f.Passes.Requests, f.Passes.After.Milliseconds()
		}
		for k, found := range f.Finds {
			times := rollout.Foretold()[k]
			more := t.ErrorRate() * float64(times-1)
			step.Finds = append(step.Finds, api.Detection{
				Times: times, Allowed: spec.Gates.Errors.MaxIncrease > 0 && more <= float64(spec.Gates.Errors.MaxIncrease)/rollout.Full,
				After: found.After.Milliseconds(), Requests: found.Requests,
			})
		}
		told = told && (step.Takes > 0 || step.Weight == 0 || spec.Gates.Errors.Observe)
		all += max(step.Hold, step.Takes)
	}
	if told {
		plan.Takes = all
	}
}

// unwell says which hosts a spec means that are not there, and which of those
// that are have a problem.
func (v View) unwell(spec rollout.Spec, hosts []string) []api.UnwellHost {
	var all []api.UnwellHost
	heard, mine := make(map[string]bool, len(v.Hosts)), make(map[string]bool, len(hosts))
	for _, name := range hosts {
		mine[name] = true
	}
	for _, h := range v.Hosts {
		name := h.Health.Host
		heard[name] = true
		switch {
		case !h.Live && spec.Hosts.Matches(name, h.Health.Labels):
			all = append(all, api.UnwellHost{Host: name, Why: "silent for " + h.Seen.Round(time.Second).String()})
		case h.Live && mine[name]:
			if problem := problemOf(h, spec.Service); problem != "" {
				all = append(all, api.UnwellHost{Host: name, Why: problem})
			}
		}
	}
	for _, name := range spec.Hosts.Names {
		if !heard[name] {
			all = append(all, api.UnwellHost{Host: name, Why: "has never reported"})
		}
	}
	slices.SortFunc(all, func(a, b api.UnwellHost) int { return strings.Compare(a.Host, b.Host) })
	return all
}

func problemOf(h Host, service string) string {
	for _, x := range h.Health.Services {
		if x.Service == service {
			return x.Problem
		}
	}
	return ""
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
