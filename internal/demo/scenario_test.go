package demo

import (
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestFiles: every scenario's rollout file is valid, watches errors, and has the
// gate that is to find the version out.
func TestFiles(t *testing.T) {
	all := []scenario{again("v1")}
	for _, name := range Scenarios() {
		all = append(all, scenarioOf(name))
	}
	for _, c := range all {
		spec := parse(t, c)
		if spec.Container.Memory < 128<<20 {
			t.Errorf("%s: a leak is not bounded by %d bytes", c.name, spec.Container.Memory)
		}
		names := gatesOf(spec.Gates)
		for _, gate := range []string{errorsGate, c.gate} {
			if gate != "" && !strings.Contains(names, gate) {
				t.Errorf("%s: gates %q, no %s", c.name, names, gate)
			}
		}
	}
	if names := gatesOf(parse(t, again("v1")).Gates); names != "errors latency-p50 latency-p99 (observed) saturation" {
		t.Errorf("good versions are judged by %q", names)
	}
}

func gatesOf(g rollout.Gates) string {
	var names []string
	add := func(c analysis.Conduct) {
		if c.Observe {
			c.Name += " (observed)"
		}
		names = append(names, c.Name)
	}
	j := g.Judging()
	add(j.Errors.Conduct)
	for _, l := range j.Latency {
		add(l.Conduct)
	}
	if j.Usage != nil {
		add(j.Usage.Conduct)
	}
	return strings.Join(names, " ")
}

// TestOptions: what cannot be shown is named.
func TestOptions(t *testing.T) {
	good := Options{Hosts: 3, Replicas: 3, Scenarios: []string{Good, Bad}, Repeat: 1}
	for want, change := range map[string]func(*Options){
		"":                               func(*Options) {},
		`--scenario: there is no "x"`:    func(o *Options) { o.Scenarios = []string{Good, "x"} },
		`--scenario: "bad" stands twice`: func(o *Options) { o.Scenarios = []string{Bad, Slow, Bad} },
		"--scenario: is empty":           func(o *Options) { o.Scenarios = nil },
		"--repeat: is 0":                 func(o *Options) { o.Repeat = 0 },
		"--repeat: is 201":               func(o *Options) { o.Repeat = 201 },
		"--repeat: repeats the good":     func(o *Options) { o.Repeat, o.Scenarios = 2, []string{Slow} },
		"--hosts: is 0":                  func(o *Options) { o.Hosts = 0 },
		"--replicas: is 2":               func(o *Options) { o.Replicas = 2 },
	} {
		o := good
		change(&o)
		err := o.Validate()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}
