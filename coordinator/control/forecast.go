package control

import (
	"fmt"
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
// the traffic that there is. Where no gate has a say, at an install and at weight
// 0, it says nothing.
func forecast(plan *api.Plan, p Proposal, svc *rollout.Service, v View) {
	if svc == nil || svc.Stable == nil {
		return
	}
	gates := p.Spec.Gates
	plan.PerSecond = p.PerSecond
	plan.Alpha, plan.OneHost, plan.Gates = gates.Alpha, gates.OneHost, plannedGates(gates)
	seen := v.stable(svc.Name, svc.Stable.ID)
	if gates.Errors != nil {
		needs(plan, *gates.Errors, seen)
	}
	k := known{seen: seen, times: v.times(svc.Name, svc.Stable.ID)}
	k.traffic = rollout.Traffic{
		Hosts: len(p.Hosts), PerSecond: p.PerSecond, Stable: seen, Times: k.times.sketches(),
		Before: svc.Stable.Replicas, After: p.To.Replicas,
	}
	if k.some() {
		inTime(plan, p.Spec, k.traffic)
	}
	for i := range plan.Gates {
		g := &plan.Gates[i]
		if g.Alpha == 0 {
			continue
		}
		if g.Untold = k.untold(gates, g.Name); g.Untold != "" {
			plan.Untold = append(plan.Untold, g.Name)
		}
	}
}

// needs says how many requests the errors gate takes, by what hosts have counted.
func needs(plan *api.Plan, gate rollout.ErrorsGate, seen analysis.Counts) {
	if seen.Requests < enough {
		seen = analysis.Counts{}
	} else {
		plan.Stable = &api.Counts{Requests: seen.Requests, Errors: seen.Errors}
	}
	g := rollout.Gates{Errors: &gate}.Judging().Errors
	n := analysis.Plan(analysis.Config{MaxIncrease: g.MaxIncrease, MinRequests: g.MinRequests}, seen, perWindow)
	for i := range plan.Path {
		if plan.Path[i].Weight > 0 {
			plan.Path[i].Needs = n
		}
	}
}

// inTime says how long the steps of a plan take at a traffic.
func inTime(plan *api.Plan, spec rollout.Spec, t rollout.Traffic) {
	var all int64
	told := true
	for i, f := range foretell.Steps(spec, t) {
		step := &plan.Path[i]
		step.PerSecond = f.PerSecond
		if f.Errors.Passes.After > 0 {
			step.Needs, step.Takes = f.Errors.Passes.Requests, f.Errors.Passes.After.Milliseconds()
		}
		step.Finds = detections(f.Errors, func(times int) bool {
			most := spec.Gates.Errors.MaxIncrease
			return most > 0 && t.ErrorRate()*float64(times-1) <= float64(most)/rollout.Full
		})
		for k, g := range spec.Gates.Latency {
			told := f.Latency[k]
			if told.Finds == nil {
				continue
			}
			step.Latency = append(step.Latency, api.GateForecast{
				Gate: g.Name, Needs: told.Passes.Requests, Takes: told.Passes.After.Milliseconds(),
				Finds: detections(told, func(times int) bool { return (times-1)*rollout.Full <= g.MaxIncrease }),
			})
		}
		takes, ok := spec.Takes(t, f)
		told = told && (ok || step.Weight == 0)
		all += max(step.Hold, takes.Milliseconds())
	}
	if told {
		plan.Takes = all
	}
}

// detections renders when a gate finds regressions, of which some are allowed.
func detections(f rollout.GateForecast, allowed func(times int) bool) []api.Detection {
	var all []api.Detection
	for k, found := range f.Finds {
		times := rollout.Foretold()[k]
		all = append(all, api.Detection{
			Times: times, Allowed: allowed(times), After: found.After.Milliseconds(), Requests: found.Requests,
		})
	}
	return all
}

// known is what hosts tell of the stable version.
type known struct {
	seen    analysis.Counts
	times   spans
	traffic rollout.Traffic
}

// some reports whether so much is known that anything can be foretold in time.
func (k known) some() bool { return k.traffic.PerSecond > 0 && k.seen.Requests >= enough }

// untold says why nothing is foretold of a gate that compares; empty if something is.
func (k known) untold(gates rollout.Gates, name string) string {
	switch {
	case k.traffic.PerSecond == 0:
		return "the hosts get no requests, or have just begun to"
	case !k.some():
		return fmt.Sprintf("the stable version has answered %d requests, of %d that are needed", k.seen.Requests, enough)
	case gates.Errors != nil && name == gates.Errors.Name:
		return ""
	}
	for _, g := range gates.Latency {
		if g.Name == name {
			if k.traffic.Foretells(g) {
				return ""
			}
			return k.times.lack(g)
		}
	}
	if s := gates.Saturation; s != nil && name == s.Name {
		return "it goes by what the canary's own containers use, which nobody knows before"
	}
	return "what it compares is counted in a rollout only"
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
