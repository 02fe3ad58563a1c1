package rollout

import (
	"slices"

	"github.com/serin-rollouts/serin/internal/analysis"
)

// errorsGate is the name of the gate on server errors.
const errorsGate = "errors"

// Judging returns the gates as the analysis takes them. Errors are always counted: without an
// errors gate they are observed.
func (g Gates) Judging() analysis.Gates {
	j := analysis.Gates{Alpha: g.Alpha, Errors: analysis.RateGate{Conduct: analysis.Conduct{Name: errorsGate, Observe: true}}}
	if e := g.Errors; e != nil {
		j.Errors = analysis.RateGate{Conduct: e.Conduct, MaxIncrease: increase(e.MaxIncrease), MinRequests: e.MinRequests}
	}
	for _, l := range g.Latency {
		j.Latency = append(j.Latency, analysis.LatencyGate{
			Conduct: l.Conduct, Quantile: l.Quantile, MaxIncrease: increase(l.MaxIncrease),
			MinRequests: l.MinRequests, Route: l.Route,
		})
	}
	if s := g.Saturation; s != nil {
		j.Usage = &analysis.UsageGate{
			Conduct: s.Conduct, MaxMemory: s.MaxMemory, MaxThrottled: increase(s.MaxThrottled), MaxRestarts: s.MaxRestarts,
		}
	}
	j.Rates, j.Conditions = g.rates(), g.conditions()
	return j
}

// Judging returns what the rollout is judged by once its evidence has begun anew so often: the gates with
// the part of alpha that this evidence may spend, and how many hosts one may be named among.
func (r *Rollout) Judging(attempt int) analysis.Gates {
	g := r.Spec.Gates.Judging().Attempt(attempt)
	g.Hosts = r.Reach()
	return g
}

// Judged is what a panel needs to know of the current step: at its end stable has no traffic left to
// compare with. Anew says that evidence of this rollout was forgotten.
func (r *Rollout) Judged(anew bool) analysis.Step {
	s := analysis.Step{Later: anew || r.Step > 0}
	if r.Weight() == Full && r.Wave() == len(r.Hosts) {
		s.Baseline = analysis.Counts{Requests: r.Baseline.Requests, Errors: r.Baseline.Errors}
	}
	return s
}

// Pools reports whether hosts are compared with hosts in the current step: some have canary alone,
// others have stable alone.
func (r *Rollout) Pools() bool { return r.Weight() == Full && r.Wave() < len(r.Hosts) }

// Acting reports whether any gate decides anything.
func (g Gates) Acting() bool {
	j := g.Judging()
	conducts := []analysis.Conduct{j.Errors.Conduct}
	for _, c := range j.Conditions {
		conducts = append(conducts, c.Conduct)
	}
	for _, l := range j.Latency {
		conducts = append(conducts, l.Conduct)
	}
	for _, r := range j.Rates {
		conducts = append(conducts, r.Conduct)
	}
	if j.Usage != nil {
		conducts = append(conducts, j.Usage.Conduct)
	}
	return slices.ContainsFunc(conducts, func(c analysis.Conduct) bool { return !c.Observe })
}

// Private

// rates are the gates that count bad events among all.
func (g Gates) rates() []analysis.RateGate {
	var rates []analysis.RateGate
	add := func(c Conduct, most int, least int64, noun string) {
		rates = append(rates, analysis.RateGate{Conduct: c, MaxIncrease: increase(most), MinRequests: least, Noun: noun})
	}
	for _, m := range g.Metrics {
		if m.Bad != "" {
			add(m.Conduct, m.MaxIncrease, m.MinRequests, m.Bad)
		}
	}
	for _, c := range g.Checks {
		if c.Path != "" {
			add(c.Conduct, c.MaxIncrease, c.MinChecks, "bad answers of "+c.Path)
		}
	}
	for _, f := range g.Feedback {
		add(f.Conduct, f.MaxIncrease, f.MinRequests, "bad feedback")
	}
	return rates
}

// conditions are the gates that a condition decides.
func (g Gates) conditions() []analysis.ConditionGate {
	var all []analysis.ConditionGate
	add := func(c Conduct, when Condition) {
		all = append(all, analysis.ConditionGate{Conduct: c, Failures: when.Failures})
	}
	for _, m := range g.Metrics {
		if m.Bad == "" {
			add(m.Conduct, m.Condition)
		}
	}
	for _, p := range g.Prometheus {
		add(p.Conduct, p.Condition)
	}
	for _, c := range g.Checks {
		if c.Path == "" {
			add(c.Conduct, c.Condition)
		}
	}
	return all
}

// increase renders an allowance as the analysis takes it, for which 0 means the default.
func increase(basisPoints int) int {
	if basisPoints == 0 {
		return analysis.NoIncrease
	}
	return basisPoints
}
