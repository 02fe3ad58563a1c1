package demo

import (
	"fmt"
	"slices"
	"strings"

	"github.com/serin-rollouts/serin/internal/localfleet"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// The scenarios, by the name that the user and the report know.
const (
	Good = "good"
	Bad  = "bad"
	Slow = "slow"
	Leak = "leak"
)

// Scenarios are all that there are, in the order in which they are told.
func Scenarios() []string { return []string{Good, Bad, Slow, Leak} }

// Private

// scenario is one rollout of the demo: of which version, in which steps, by
// which gates, and how it has to end.
type scenario struct {
	name    string
	version string
	steps   string
	gates   string
	want    rollout.Phase
	gate    string // that has to take it back
}

// The gates' own names.
const (
	errorsGate     = "errors"
	latencyGate    = "latency-p99"
	saturationGate = "saturation"
)

const (
	// twoSteps are short: a tenth of the traffic is enough to see what is bad.
	twoSteps = "[{weight: 10%}, {weight: 100%, hold: 3s}]"
	// moreCanary gives the slowest of gates its evidence sooner.
	moreCanary = "[{weight: 20%}, {weight: 100%, hold: 3s}]"
	// halfCanary is where good versions are proven good soonest.
	halfCanary = "[{weight: 50%}, {weight: 100%}]"

	// The margin of one point lets the gate decide within some hundred requests
	// of the canary.
	watchErrors = "errors: {max_increase: 1%}"
	// A p99 that is 30 % slower is seen within some hundred requests as well, if
	// no more than a third of that is allowed.
	watchLatency    = "latency: {quantile: p99, max_increase: 10%}"
	watchSaturation = "saturation: {memory: {max_increase: 50%}}"
)

func scenarioOf(name string) scenario {
	gates := func(all ...string) string { return "{" + strings.Join(all, ", ") + "}" }
	switch name {
	case Good:
		return scenario{name: name, version: "v2", steps: twoSteps, gates: gates(watchErrors), want: rollout.Succeeded}
	case Bad:
		return scenario{name: name, version: "v3", steps: twoSteps, gates: gates(watchErrors), want: rollout.RolledBack, gate: errorsGate}
	case Slow:
		return scenario{name: name, version: "v4", steps: moreCanary, gates: gates(watchErrors, watchLatency), want: rollout.RolledBack, gate: latencyGate}
	default:
		return scenario{name: name, version: "v5", steps: twoSteps, gates: gates(watchErrors, watchSaturation), want: rollout.RolledBack, gate: saturationGate}
	}
}

// again is a good version once more, by all gates that could wrong it. That two
// versions have the same p99 takes minutes to prove, so that one is observed:
// what it would have done counts.
func again(version string) scenario {
	latency := "latency: [{quantile: p50, max_increase: 20%}, {quantile: p99, max_increase: 10%, observe: true}]"
	return scenario{
		name: Good, version: version, steps: halfCanary, want: rollout.Succeeded,
		gates: "{" + strings.Join([]string{watchErrors, latency, watchSaturation}, ", ") + "}",
	}
}

// rolloutFile is what the demo submits.
const rolloutFile = `service: %s
image: %s
hosts: {labels: {fleet: demo}}
listen: ":%s"
container: {port: %d, memory: 192m, stop_grace: 5s, health: {path: %s}}
steps: %s
gates: %s
deadline: 5m
`

func (r *run) file(s *stage, c scenario) string {
	return fileOf(s.service, r.fleet.Image(c.version), s.port, c)
}

func fileOf(service, image, port string, c scenario) string {
	return fmt.Sprintf(rolloutFile, service, image, port, localfleet.AppPort, localfleet.HealthPath, c.steps, c.gates)
}

// checkScenarios names the scenario that there is not, or that stands twice.
func checkScenarios(names []string) error {
	if len(names) == 0 {
		return fmt.Errorf("--scenario: is empty; use some of %s", strings.Join(Scenarios(), ","))
	}
	for i, name := range names {
		if !slices.Contains(Scenarios(), name) {
			return fmt.Errorf("--scenario: there is no %q; use some of %s", name, strings.Join(Scenarios(), ","))
		}
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("--scenario: %q stands twice; --repeat repeats the good one", name)
		}
	}
	return nil
}
