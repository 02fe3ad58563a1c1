package condition

import (
	"fmt"
	"maps"
	"slices"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// Of compiles the conditions of a rollout's gates, by the gates' names; or it says what is wrong
// with the first that is.
func Of(g rollout.Gates) (map[string]*Condition, *rollout.Problem) {
	all := map[string]*Condition{}
	for _, s := range sources(g) {
		for _, name := range s.names {
			if !ValidName(name) {
				return nil, &rollout.Problem{Field: s.readings, Message: fmt.Sprintf("%.80q is not usable as a variable; use a-z, 0-9 and _, and no word that an expression has already, such as max", name)}
			}
		}
		c, err := Compile(s.when, s.scope)
		if err != nil {
			return nil, &rollout.Problem{Field: s.field + ".when", Message: err.Error()}
		}
		all[s.gate] = c
	}
	return all, nil
}

// Private

// source is a gate with a condition: where it stands in the file, and what the condition speaks of.
type source struct {
	field, gate, when string
	readings          string   // field of the names
	names             []string // that the user chose
	scope             Scope
}

func sources(g rollout.Gates) []source {
	var all []source
	for k, m := range g.Metrics {
		if m.Bad != "" {
			continue
		}
		field, names := fmt.Sprintf("gates.metrics[%d]", k), sorted(m.Read)
		all = append(all, source{field: field, gate: m.Name, when: m.When, readings: field + ".read", names: names, scope: Containers(names)})
	}
	for k, p := range g.Prometheus {
		field, names := fmt.Sprintf("gates.prometheus[%d]", k), sorted(p.Queries)
		all = append(all, source{field: field, gate: p.Name, when: p.When, readings: field + ".queries", names: names, scope: Tracks(names)})
	}
	for k, c := range g.Checks {
		if c.URL != "" {
			all = append(all, source{field: fmt.Sprintf("gates.checks[%d]", k), gate: c.Name, when: c.When, scope: Answer()})
		}
	}
	return all
}

func sorted(readings map[string]string) []string { return slices.Sorted(maps.Keys(readings)) }
