package difference

import (
	"slices"
	"strconv"
	"strings"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// Private

// judging is what holds for all gates.
func judging(g rollout.Gates) []fact {
	const ppm = 10_000 // of a percent
	alpha := ""
	if g.Alpha > 0 {
		alpha = strconv.FormatFloat(float64(g.Alpha)/ppm, 'f', -1, 64) + "%"
	}
	return []fact{
		plain("alpha", alpha), plain("one_host", string(g.OneHost)), free("routes", strings.Join(g.Routes, ", ")),
	}
}

// gate is a gate with its numbers.
type gate struct {
	name  string
	facts []fact
}

// gates says which gates come, go, and change.
func gates(from, to rollout.Gates) []string {
	a, b := listed(from), listed(to)
	var lines []string
	for _, was := range a {
		key := "gates." + was.name
		if is := named(b, was.name); is != nil {
			lines = append(lines, between(key+".", was.facts, is.facts)...)
		} else {
			lines = append(lines, key+": removed, was "+was.text())
		}
	}
	for _, is := range b {
		if named(a, is.name) == nil {
			lines = append(lines, "gates."+is.name+": added: "+is.text())
		}
	}
	return lines
}

func named(all []gate, name string) *gate {
	if k := slices.IndexFunc(all, func(g gate) bool { return g.name == name }); k >= 0 {
		return &all[k]
	}
	return nil
}

// text is all that there is to say of a gate.
func (g gate) text() string {
	var parts []string
	for _, f := range g.facts {
		switch {
		case f.value == "":
		case f.hidden:
			parts = append(parts, f.key+" not shown")
		default:
			parts = append(parts, f.key+" "+f.shown)
		}
	}
	return strings.Join(parts, ", ")
}

// listed are the gates in the order of the file.
func listed(g rollout.Gates) []gate {
	var all []gate
	add := func(c rollout.Conduct, facts ...fact) { all = append(all, gate{c.Name, append(facts, conduct(c)...)}) }
	if e := g.Errors; e != nil {
		add(e.Conduct, increase("max_increase", e.MaxIncrease), count("min_requests", e.MinRequests))
	}
	for _, l := range g.Latency {
		add(l.Conduct, plain("quantile", quantile(l.Quantile)), increase("max_increase", l.MaxIncrease),
			count("min_requests", l.MinRequests), free("route", l.Route))
	}
	if s := g.Saturation; s != nil {
		add(s.Conduct, increase("memory.max_increase", s.MaxMemory), increase("throttling.max_increase", s.MaxThrottled),
			plain("restarts", strconv.Itoa(s.MaxRestarts)))
	}
	for _, m := range g.Metrics {
		facts := []fact{plain("kind", "metrics"), free("path", m.Path), count("port", m.Port), free("bad", m.Bad), free("total", m.Total)}
		facts = append(facts, allowed(m.Bad != "", m.MaxIncrease), count("min_requests", m.MinRequests), free("read", pairs(m.Read)))
		add(m.Conduct, append(facts, condition(m.Condition)...)...)
	}
	for _, p := range g.Prometheus {
		facts := []fact{plain("kind", "prometheus"), free("address", p.Address), free("queries", pairs(p.Queries))}
		add(p.Conduct, append(facts, condition(p.Condition)...)...)
	}
	for _, c := range g.Checks {
		add(c.Conduct, checks(c)...)
	}
	for _, f := range g.Feedback {
		add(f.Conduct, plain("kind", "feedback"), free("kinds", strings.Join(f.Kinds, ", ")), increase("max_increase", f.MaxIncrease),
			count("min_requests", f.MinRequests))
	}
	return all
}

func checks(c rollout.CheckGate) []fact {
	facts := []fact{
		plain("kind", "checks"), free("path", c.Path), free("url", c.URL), lasting("timeout", c.Timeout),
		allowed(c.Path != "", c.MaxIncrease), count("min_checks", c.MinChecks),
	}
	return append(facts, condition(c.Condition)...)
}

func conduct(c rollout.Conduct) []fact {
	silence := ""
	if c.OnSilence != rollout.WaitOnSilence {
		silence = string(c.OnSilence)
	}
	required := ""
	if c.Optional {
		required = "false"
	}
	return []fact{yes("observe", c.Observe), plain("required", required), plain("on_silence", silence)}
}

func condition(c rollout.Condition) []fact {
	return []fact{free("when", c.When), lasting("every", c.Every), count("failures", c.Failures)}
}

// increase is what is allowed, also if that is nothing.
func increase(key string, basisPoints int) fact { return plain(key, rollout.Percent(basisPoints)) }

// allowed is an increase of a gate that may not compare.
func allowed(compares bool, basisPoints int) fact {
	if !compares && basisPoints == 0 {
		return fact{key: "max_increase"}
	}
	return increase("max_increase", basisPoints)
}

func quantile(basisPoints int) string {
	if basisPoints == rollout.WholeDistribution {
		return "every"
	}
	return "p" + strings.TrimSuffix(rollout.Percent(basisPoints), "%")
}
