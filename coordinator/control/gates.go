package control

import (
	"fmt"
	"strings"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Private

// plannedGates says what a rollout will be judged by, in the order of its file.
func plannedGates(g rollout.Gates) []api.PlannedGate {
	shares := g.Judging().Attempt(0).Shares()
	var all []api.PlannedGate
	add := func(c rollout.Conduct, tested bool, allowed, needs string) {
		p := api.PlannedGate{Name: c.Name, Observe: c.Observe, Optional: c.Optional, Allowed: allowed, Needs: needs}
		if tested && !c.Observe {
			p.Alpha = shares[c.Name]
			p.OneHost = analysis.Apart(p.Alpha)
		}
		all = append(all, p)
	}
	if e := g.Errors; e != nil {
		add(e.Conduct, true, points(e.MaxIncrease)+" of 5xx", "canary requests as above")
	}
	for _, l := range g.Latency {
		needs := fmt.Sprintf("%d canary requests or more, compared, after %d of stable and not of a container's first %s",
			l.MinRequests, analysis.Learns(l.Quantile), analysis.ColdStart)
		add(l.Conduct, true, slower(l), needs)
	}
	if s := g.Saturation; s != nil {
		allowed := fmt.Sprintf("memory +%s, throttling %s, %d restarts", rollout.Percent(s.MaxMemory), points(s.MaxThrottled), s.MaxRestarts)
		add(s.Conduct, true, allowed, "Docker's statistics")
	}
	addSignals(g, add)
	return all
}

// addSignals adds the gates on users' own signals.
func addSignals(g rollout.Gates, add func(c rollout.Conduct, tested bool, allowed, needs string)) {
	for _, m := range g.Metrics {
		switch {
		case m.Bad == "":
			add(m.Conduct, false, m.When, readings(m.Condition, m.Path))
		case m.Total == "":
			add(m.Conduct, true, points(m.MaxIncrease)+" of requests: "+m.Bad, fmt.Sprintf("%d canary requests or more, compared", m.MinRequests))
		default:
			add(m.Conduct, true, fmt.Sprintf("%s of %s: %s", points(m.MaxIncrease), m.Total, m.Bad), fmt.Sprintf("%d of canary or more, compared", m.MinRequests))
		}
	}
	for _, p := range g.Prometheus {
		add(p.Conduct, false, p.When, readings(p.Condition, p.Address))
	}
	for _, c := range g.Checks {
		if c.Path == "" {
			add(c.Conduct, false, c.When, readings(c.Condition, c.URL))
			continue
		}
		add(c.Conduct, true, points(c.MaxIncrease)+" of bad answers", fmt.Sprintf("%d answers of canary or more, compared", c.MinChecks))
	}
	for _, f := range g.Feedback {
		what := "any"
		if len(f.Kinds) > 0 {
			what = strings.Join(f.Kinds, ", ")
		}
		add(f.Conduct, true, points(f.MaxIncrease)+" of requests: "+what, fmt.Sprintf("%d canary requests or more, compared", f.MinRequests))
	}
}

func points(basisPoints int) string { return fmt.Sprintf("+%.2f points", float64(basisPoints)/100) }

func slower(l rollout.LatencyGate) string {
	what := "every quantile"
	if l.Quantile != rollout.WholeDistribution {
		what = "p" + strings.TrimSuffix(rollout.Percent(l.Quantile), "%")
	}
	if l.Route != "" {
		what += " of " + l.Route
	}
	return fmt.Sprintf("%s +%s", what, rollout.Percent(l.MaxIncrease))
}

// readings says what a condition is asked of; it fails when it was false so often running.
func readings(c rollout.Condition, source string) string {
	return fmt.Sprintf("every %s: %s; fails when false %d times running", c.Every, source, c.Failures)
}
