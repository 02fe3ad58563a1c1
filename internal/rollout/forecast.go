package rollout

import (
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/latency"
)

// Foretold are the regressions whose detection a forecast tells of, as multiples of how often stable
// fails, or of how long its requests take.
func Foretold() []int { return []int{2, 5, 10} }

// Traffic is what a service's hosts get before a rollout.
type Traffic struct {
	Hosts     int     // of the rollout
	PerSecond float64 // requests of them all
	// Stable is what they have counted of the stable version: how often it fails.
	Stable analysis.Counts
	// Times is how long its requests took, by route; "" for all together. What is not known is not there.
	Times map[string]*latency.Sketch
	// Before and After are the containers of the service on each host, of stable and of canary.
	Before, After int
}

// StepForecast is what a step comes to at a traffic.
type StepForecast struct {
	// PerSecond is how many requests canary gets, on all hosts of the step.
	PerSecond float64
	// Errors is by that gate, Latency by the gates on latency, in their order.
	Errors  GateForecast
	Latency []GateForecast
}

// GateForecast is what a step comes to by one gate; zero: there is no telling.
type GateForecast struct {
	// Passes is when a canary that is as good as stable has shown it.
	Passes analysis.Forecast
	// Finds are by regression, see Foretold; nil if the gate does not act.
	Finds []analysis.Forecast
}

// Takes returns when all gates that act, and that can be foretold at a traffic, have let the step pass that
// a forecast is for; false if there is no telling of one.
func (s Spec) Takes(t Traffic, f StepForecast) (time.Duration, bool) {
	var after time.Duration
	told := true
	add := func(passes analysis.Forecast) {
		after = max(after, passes.After)
		told = told && passes.After > 0
	}
	if e := s.Gates.Errors; e != nil && !e.Observe {
		add(f.Errors.Passes)
	}
	for k, g := range s.Gates.Latency {
		if !g.Observe && t.Foretells(g) {
			add(f.Latency[k].Passes)
		}
	}
	return after, told
}

// ErrorRate is the part of stable's requests that a forecast takes to fail: half an error more than has
// been counted, so that a regression of nothing is something.
func (t Traffic) ErrorRate() float64 {
	return (float64(t.Stable.Errors) + .5) / (float64(t.Stable.Requests) + 1)
}

// Foretells reports whether so much is known of how long the requests of a gate on latency take that it
// can be told how long the gate does.
func (t Traffic) Foretells(g LatencyGate) bool {
	times := t.Times[g.Route]
	return times != nil && times.Count() >= analysis.Learns(g.Quantile)
}

// Forecast tells of each step when a decision on errors and on latency is expected, from when all of its
// hosts have their weight: in the median, at a traffic that stays as it is and is the same on all hosts.
// Each step stands for itself: the regression is there from its begin, and nothing is known from steps
// before but how long stable took, and which containers are warm.
// It tells nothing of a step that compares hosts with hosts, or has no canary traffic.
func (s Spec) Forecast(t Traffic, numbers analysis.Numbers) []StepForecast {
	f := forecaster{spec: s, traffic: t, numbers: numbers, known: map[question]GateForecast{}}
	all := make([]StepForecast, len(s.Steps))
	for i, step := range s.Steps {
		all[i] = f.step(step)
	}
	return all
}

// Private

// forecaster goes through a spec's steps.
type forecaster struct {
	spec    Spec
	traffic Traffic
	numbers analysis.Numbers
	known   map[question]GateForecast

	past float64 // requests that stable has got in the steps so far
	warm int     // hosts that have had canary traffic
}

// question is what is asked of a gate; that of errors is -1.
type question struct {
	gate  int
	stage analysis.Stage
}

func (f *forecaster) step(step Step) StepForecast {
	t := f.traffic
	hosts, share := step.Hosts.Of(t.Hosts), float64(step.Weight)/Full
	stage := analysis.Stage{
		Hosts: hosts, Others: t.Hosts - hosts, PerSecond: t.PerSecond / float64(max(1, t.Hosts)), Share: share,
		Canary: t.After, Stable: t.Before, Rate: t.ErrorRate(), Among: len(f.spec.Steps),
	}
	told := StepForecast{PerSecond: stage.PerSecond * share * float64(hosts), Latency: make([]GateForecast, len(f.spec.Gates.Latency))}
	apart := step.Weight == Full && hosts < t.Hosts
	if told.PerSecond > 0 && !apart {
		told.Errors = f.errors(stage, step.Weight == Full)
		for k, g := range f.spec.Gates.Latency {
			told.Latency[k] = f.latency(k, g, stage)
		}
	}
	f.pass(step, told, hosts)
	return told
}

// pass goes on to the next step.
func (f *forecaster) pass(step Step, told StepForecast, hosts int) {
	takes, _ := f.spec.Takes(f.traffic, told)
	takes = max(takes, step.Hold)
	beside := f.traffic.PerSecond - told.PerSecond
	f.past += beside * takes.Seconds()
	if step.Weight > 0 {
		f.warm = max(f.warm, hosts)
	}
}

func (f *forecaster) errors(stage analysis.Stage, alone bool) GateForecast {
	gate := f.spec.Gates.Errors
	if gate == nil {
		return GateForecast{}
	}
	asked := question{-1, stage}
	if known, ok := f.known[asked]; ok {
		return known
	}
	config := f.spec.Gates.errorsFrom(alone, f.traffic)
	told := GateForecast{Passes: analysis.Passes(config, stage, f.numbers)}
	if !gate.Observe {
		for _, times := range Foretold() {
			told.Finds = append(told.Finds, analysis.Detects(config, stage, min(1, float64(times)*stage.Rate), f.numbers))
		}
	}
	f.known[asked] = told
	return told
}

// latency tells nothing of a gate that does not act: nobody waits for it.
func (f *forecaster) latency(k int, gate LatencyGate, stage analysis.Stage) GateForecast {
	if gate.Observe || !f.traffic.Foretells(gate) {
		return GateForecast{}
	}
	gates := f.spec.Gates.Judging().Attempt(0)
	g := gates.Latency[k]
	stage.Rate, stage.Times = 0, f.traffic.Times[gate.Route]
	stage.Past, stage.Warm = int64(f.past), min(f.warm, stage.Hosts)
	if stage.Share < 1 {
		stage.Past = min(stage.Past, mostLearned) // more makes no difference
	}
	asked := question{k, stage}
	if known, ok := f.known[asked]; ok {
		return known
	}
	told := GateForecast{Passes: analysis.PassesLatency(gates, g, stage, f.numbers)}
	for _, times := range Foretold() {
		told.Finds = append(told.Finds, analysis.DetectsSlower(gates, g, stage, float64(times), f.numbers))
	}
	f.known[asked] = told
	return told
}

// mostLearned is more of stable's requests than any threshold is learned from.
const mostLearned = 1_000_000

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
