package rollout

import (
	"github.com/serin-rollouts/serin/internal/analysis"
)

// Foretold are the regressions whose detection a forecast tells of, as multiples of how often stable
// fails.
func Foretold() []int { return []int{2, 5, 10} }

// Traffic is what a service's hosts get before a rollout.
type Traffic struct {
	Hosts     int     // of the rollout
	PerSecond float64 // requests of them all
	// Stable is what they have counted of the stable version: how often it fails.
	Stable analysis.Counts
	// Before and After are the containers of the service on each host, of stable and of canary.
	Before, After int
}

// StepForecast is what a step comes to at a traffic, by the errors gate.
type StepForecast struct {
	// PerSecond is how many requests canary gets, on all hosts of the step.
	PerSecond float64
	// Passes is when a canary that is as good as stable has shown it.
	Passes analysis.Forecast
	// Finds are by regression, see Foretold; nil if the gate does not act.
	Finds []analysis.Forecast
}

// ErrorRate is the part of stable's requests that a forecast takes to fail: half an error more than has
// been counted, so that a regression of nothing is something.
func (t Traffic) ErrorRate() float64 {
	return (float64(t.Stable.Errors) + .5) / (float64(t.Stable.Requests) + 1)
}

// Forecast tells of each step when a decision on errors is expected, from when all of its hosts have
// their weight: in the median, at a traffic that stays as it is and is the same on all hosts. Each step
// stands for itself: the regression is there from its begin, and nothing is known from steps before.
// It tells nothing of a step that compares hosts with hosts, or has no canary traffic.
func (s Spec) Forecast(t Traffic, numbers analysis.Numbers) []StepForecast {
	all := make([]StepForecast, len(s.Steps))
	type scale struct{ hosts, weight int }
	known := make(map[scale]StepForecast, len(s.Steps))
	for i, step := range s.Steps {
		at := scale{step.Hosts.Of(t.Hosts), step.Weight}
		if _, ok := known[at]; !ok {
			known[at] = s.forecast(t, at.hosts, at.weight, numbers)
		}
		all[i] = known[at]
	}
	return all
}

// Private

func (s Spec) forecast(t Traffic, hosts, weight int, numbers analysis.Numbers) StepForecast {
	share := float64(weight) / Full
	stage := analysis.Stage{
		Hosts: hosts, Others: t.Hosts - hosts, PerSecond: t.PerSecond / float64(max(1, t.Hosts)), Share: share,
		Canary: t.After, Stable: t.Before, Rate: t.ErrorRate(), Among: len(s.Steps),
	}
	f := StepForecast{PerSecond: stage.PerSecond * share * float64(hosts)}
	apart := weight == Full && hosts < t.Hosts
	if s.Gates.Errors == nil || f.PerSecond == 0 || apart {
		return f
	}
	config := s.Gates.errorsFrom(weight == Full, t)
	f.Passes = analysis.Passes(config, stage, numbers)
	if s.Gates.Errors.Observe {
		return f
	}
	for _, times := range Foretold() {
		f.Finds = append(f.Finds, analysis.Detects(config, stage, min(1, float64(times)*stage.Rate), numbers))
	}
	return f
}

// errorsFrom is what a rollout's first evidence on errors is judged by; alone: without stable traffic.
func (g Gates) errorsFrom(alone bool, t Traffic) analysis.Config {
	j := g.Judging().Attempt(0)
	c := analysis.Config{
		MaxIncrease: j.Errors.MaxIncrease, MinRequests: j.Errors.MinRequests,
		Alpha: analysis.Together(j.Shares()[j.Errors.Name]),
	}
	if alone {
		c.Baseline = t.Stable
	}
	return c
}
