package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/analysis/traffic"
	"github.com/serin-rollouts/serin/internal/forecast"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/specfile"
)

const (
	// planRuns is how often what a plan says is played, and planPatience how long a run may take.
	planRuns     = 200
	planPatience = 30 * time.Minute
	// farRuns is how often what is expected to take longer than that is played.
	farRuns = 10
	// planHosts, planStable and planRate are the fleet: its hosts, the stable containers on each, and
	// how many of their requests fail.
	planHosts, planStable, planRate = 100, 4, .005
	// closeTo is the factor within which a plan has to be right.
	closeTo = 1.5
)

const plannedFile = `
service: web
image: web:2
replicas: 4
container: {port: 80}
steps:
  - {hosts: 1, weight: 5%}
  - {hosts: 10%, weight: 10%}
  - {hosts: 50%, weight: 20%}
  - {hosts: 100%, weight: 50%}
  - {hosts: 100%, weight: 100%}
gates:
  errors: {max_increase: ALLOWED}
`

func plannedSpec(allowed string) rollout.Spec {
	spec, err := specfile.Parse([]byte(strings.Replace(plannedFile, "ALLOWED", allowed, 1)))
	if err != nil {
		panic(err)
	}
	return spec
}

// before is what the fleet has counted of the stable version.
func before() analysis.Counts {
	const requests = 10_000_000
	return analysis.Counts{Requests: requests, Errors: requests * planRate}
}

// plannedStep is one step at one load of the service, and what the product's plan says of it.
type plannedStep struct {
	spec  rollout.Spec
	place int
	load  float64 // requests a second, of the whole service
	says  rollout.StepForecast
}

// plannedSteps asks for a plan at a load, as the coordinator does.
func plannedSteps(allowed string, load float64) []plannedStep {
	spec := plannedSpec(allowed)
	says := forecast.Steps(spec, rollout.Traffic{Hosts: planHosts, PerSecond: load, Stable: before(), Before: planStable, After: planStable})
	steps := make([]plannedStep, len(says))
	for k := range says {
		steps[k] = plannedStep{spec, k, load, says[k]}
	}
	return steps
}

func (p plannedStep) hosts() int { return p.spec.Steps[p.place].Hosts.Of(planHosts) }

func (p plannedStep) name() string {
	return fmt.Sprintf("%d at %s", p.hosts(), rollout.Percent(p.spec.Steps[p.place].Weight))
}

// decided is when a step of a fleet was decided so: by the clock, and by canary's requests.
type decided struct {
	after    time.Duration
	requests int64
}

// play plays the step to the rollout's panel until it comes to an outcome, with a canary that fails in
// this part of its requests. Zero: it did not.
//
// Hosts have been heard once when the step begins.
func (p plannedStep) play(seed uint64, bad float64, until analysis.Outcome) decided {
	const round = 5 * time.Second
	share := float64(p.spec.Steps[p.place].Weight) / rollout.Full
	fleet := traffic.NewFleet(traffic.Scene{
		Hosts: planHosts, Stable: planStable, PerSecond: p.load, Share: 1, Rate: traffic.Fixed(planRate, bad),
		ShareAt: func(host int, at time.Duration) float64 {
			if host < p.hosts() && at > round {
				return share
			}
			return 0
		},
	}, seed)
	gates := p.spec.Gates.Judging().Attempt(0)
	gates.Hosts = planHosts
	panel := analysis.NewPanel(gates)
	if share == 1 {
		panel.Restart(0, analysis.Step{Baseline: before()})
	}
	for fleet.Now() < round+planPatience {
		fleet.Advance()
		for k, r := range told(fleet) {
			r.CanaryInstances = 0
			if k < p.hosts() {
				r.CanaryInstances = planStable
			}
			panel.Observe(r)
		}
		if panel.Verdict(fleet.Now()).Outcome == until {
			return decided{fleet.Now() - round, max(1, fleet.Canary())}
		}
	}
	return decided{}
}

// measure plays a step n times, and returns the medians; zero if half of the runs came to nothing.
func (s *studio) measure(p plannedStep, bad float64, until analysis.Outcome, n int) decided {
	runs := each(s, n, func(seed uint64) decided { return p.play(seed, bad, until) })
	s.progress.Printf("plan, %g/s, %s, %g: %d runs", p.load, p.name(), bad, n)
	return middleOf(runs)
}

// middleOf is the median of each of both numbers; zero if half of the runs came to nothing.
func middleOf(runs []decided) decided {
	var times, requests []int64
	for _, r := range runs {
		if r.after > 0 {
			times, requests = append(times, int64(r.after)), append(requests, r.requests)
		}
	}
	slices.Sort(times)
	slices.Sort(requests)
	if middle := len(runs) / 2; middle < len(times) {
		return decided{time.Duration(times[middle]), requests[middle]}
	}
	return decided{}
}

// ratio is how far a forecast is off, as a factor; 0 where there is nothing to compare.
func ratio(f analysis.Forecast, m decided) float64 {
	if f.After == 0 || m.after == 0 {
		return 0
	}
	return float64(f.After) / float64(m.after)
}

func off(r float64) bool { return r > 0 && math.Abs(math.Log(r)) > math.Log(closeTo)+1e-9 }

// verified measures what a forecast is of, and compares them.
func (s *studio) verified(p plannedStep, f analysis.Forecast, bad float64, until analysis.Outcome) string {
	n := s.times(planRuns)
	if f.After == 0 || f.After > planPatience*3/2 {
		n = s.times(farRuns)
	}
	return compared(f, s.measure(p, bad, until, n))
}

// compared writes a forecast, what was measured, and the ratio.
func compared(f analysis.Forecast, m decided) string {
	r := ratio(f, m)
	mark := ""
	if off(r) || f.After == 0 && m.after > 0 || m.after == 0 && f.After > 0 && f.After < planPatience {
		mark = "**"
	}
	if r == 0 {
		return fmt.Sprintf("%s%s / %s%s", mark, foretold(f), happened(m), mark)
	}
	return fmt.Sprintf("%s%s / %s = %.2f%s", mark, foretold(f), happened(m), r, mark)
}

func foretold(f analysis.Forecast) string {
	if f.After == 0 {
		return "no telling"
	}
	return fmt.Sprintf("%s, %d", f.After.Round(time.Second), f.Requests)
}

func happened(m decided) string {
	if m.after == 0 {
		return "not within 30m"
	}
	return fmt.Sprintf("%s, %d", m.after, m.requests)
}

func planTable(s *studio) string {
	var b strings.Builder
	b.WriteString("| allowed | requests/s | hosts, weight | passes | 2 times the errors | 5 times | 10 times |\n|---|---|---|---|---|---|---|\n")
	for _, allowed := range []string{"0%", "0.5%"} {
		for _, load := range []float64{10, 100, 1000} {
			for _, p := range plannedSteps(allowed, load) {
				fmt.Fprintf(&b, "| %s | %g | %s | %s |", allowed, load, p.name(), s.verified(p, p.says.Errors.Passes, planRate, analysis.Pass))
				for k, times := range rollout.Foretold() {
					fmt.Fprintf(&b, " %s |", s.verified(p, p.says.Errors.Finds[k], planRate*float64(times), analysis.Fail))
				}
				b.WriteString("\n")
			}
		}
	}
	return b.String()
}

// planCheck plays what is soon decided to the product's judge.
func planCheck(s *studio) error {
	const soon = 5 * time.Minute
	var wrong []error
	n := max(40, s.times(60)) // the median of fewer says little
	for _, p := range plannedSteps("0.5%", 1000) {
		hold := func(what string, f analysis.Forecast, bad float64, until analysis.Outcome) {
			if f.After == 0 || f.After > soon {
				return
			}
			if m := s.measure(p, bad, until, n); m.after == 0 || off(ratio(f, m)) {
				wrong = append(wrong, fmt.Errorf("%s: %s: planned %s, measured %s", p.name(), what, foretold(f), happened(m)))
			}
		}
		hold("passes", p.says.Errors.Passes, planRate, analysis.Pass)
		for k, times := range rollout.Foretold() {
			hold(fmt.Sprint(times, " times the errors"), p.says.Errors.Finds[k], planRate*float64(times), analysis.Fail)
		}
	}
	return errors.Join(wrong...)
}
