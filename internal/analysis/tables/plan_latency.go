package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/analysis/traffic"
	"github.com/serin-rollouts/serin/internal/forecast"
	"github.com/serin-rollouts/serin/internal/latency"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/specfile"
)

// slowHosts is how many hosts the fleet has, and slowLoad how many requests they get a second: each of
// them is drawn, and each sketch is read.
const slowHosts, slowLoad = 20, 200

const slowPlannedFile = `
service: web
image: web:2
replicas: 4
container: {port: 80}
steps:
  - {hosts: 10%, weight: 10%}
  - {hosts: 50%, weight: 20%}
  - {hosts: 100%, weight: 50%}
  - {hosts: 100%, weight: 100%}
gates:
  errors: {max_increase: 0.5%}
  latency:
    - {quantile: p99, max_increase: 20%}
    - {distribution: true, max_increase: 20%}
`

// slowStep is one step at one load of the service, and what the product's plan says of it.
type slowStep struct {
	spec  rollout.Spec
	place int
	load  float64 // requests a second, of the whole service
	says  rollout.StepForecast
}

// slowSteps asks for a plan at a load, as the coordinator does, of which the hosts have counted many
// requests of the stable version.
func slowSteps(load float64) []slowStep {
	spec, err := specfile.Parse([]byte(slowPlannedFile))
	if err != nil {
		panic(err)
	}
	past, rng := latency.New(), rand.New(rand.NewPCG(1, 4))
	draw := lognormal().Containers()(rng)(rng)
	const many = 1_000_000
	for range many {
		past.Add(int64(1000 * draw()))
	}
	says := forecast.Steps(spec, rollout.Traffic{
		Hosts: slowHosts, PerSecond: load, Stable: before(), Before: planStable, After: planStable,
		Times: map[string]*latency.Sketch{"": past},
	})
	steps := make([]slowStep, len(says))
	for k := range says {
		steps[k] = slowStep{spec, k, load, says[k]}
	}
	return steps
}

// hosts is how many have canary in a step, and share what it gets there; none before the first.
func (p slowStep) at(place int) (hosts int, share float64) {
	if place < 0 {
		return 0, 0
	}
	step := p.spec.Steps[place]
	return step.Hosts.Of(slowHosts), float64(step.Weight) / rollout.Full
}

func (p slowStep) name() string {
	hosts, _ := p.at(p.place)
	return fmt.Sprintf("%d at %s", hosts, rollout.Percent(p.spec.Steps[p.place].Weight))
}

// slowRound is the time between two reports of a host.
const slowRound = 5 * time.Second

// lead is how long the step before goes on, before this one: every threshold is learned by then.
func (p slowStep) lead() time.Duration {
	if p.place == 0 {
		return slowRound // hosts have been heard once
	}
	return 2 * time.Minute
}

// fleet has a canary whose requests take so many times as long as stable's from the step's begin on.
func (p slowStep) fleet(seed uint64, times float64) *traffic.Fleet {
	own := lognormal().Containers()
	return traffic.NewFleet(traffic.Scene{
		Hosts: slowHosts, Stable: planStable, PerSecond: p.load, Share: 1, Rate: traffic.Fixed(planRate, planRate),
		ShareAt: func(host int, at time.Duration) float64 {
			place := p.place
			if at <= p.lead() {
				place--
			}
			if hosts, share := p.at(place); host < hosts {
				return share
			}
			return 0
		},
		StableTimes: own,
		CanaryTimes: func(rng *rand.Rand) traffic.Times {
			usual, now := own(rng), time.Duration(0)
			return func(rng *rand.Rand) func() float64 {
				draw := usual(rng)
				if now += slowRound; now <= p.lead() {
					return draw
				}
				return func() float64 { return times * draw() }
			}
		},
	}, seed)
}

// play plays the step to the rollout's panel until each of its gates on latency has come to an outcome.
// Zero: it did not.
func (p slowStep) play(seed uint64, times float64, until analysis.Outcome) []decided {
	fleet := p.fleet(seed, times)
	gates := p.spec.Gates.Judging().Attempt(0)
	gates.Hosts = slowHosts
	panel := analysis.NewPanel(gates)
	found := make([]decided, len(gates.Latency))
	started := int64(0)
	for open := len(found); open > 0 && fleet.Now() < p.lead()+planPatience; {
		fleet.Advance()
		p.tell(panel, fleet)
		if fleet.Now() == p.lead() {
			panel.Restart(fleet.Now(), analysis.Step{Later: p.place > 0, Baseline: before()})
			started = fleet.Canary()
		}
		if fleet.Now() <= p.lead() {
			continue
		}
		now := decided{fleet.Now() - p.lead(), max(1, fleet.Canary()-started)}
		open -= note(found, panel.Verdict(fleet.Now()), gates.Latency, until, now)
	}
	return found
}

// note notes which gates have come to an outcome now, and returns how many.
func note(found []decided, verdict analysis.Verdict, gates []analysis.LatencyGate, until analysis.Outcome, now decided) int {
	n := 0
	for k, g := range gates {
		if f, _ := verdict.Finding(g.Name); found[k].after == 0 && f.Outcome == until {
			found[k] = now
			n++
		}
	}
	return n
}

// tell tells a panel what the hosts report now.
func (p slowStep) tell(panel *analysis.Panel, fleet *traffic.Fleet) {
	place := p.place
	if fleet.Now() <= p.lead() {
		place--
	}
	hosts, _ := p.at(place)
	for k, r := range told(fleet) {
		r.CanaryInstances = 0
		if k < hosts {
			r.CanaryInstances = planStable
		}
		panel.Observe(r)
	}
}

// measureSlow plays a step n times, and returns the medians by gate; zero if half of the runs came to
// nothing.
func (s *studio) measureSlow(p slowStep, times float64, until analysis.Outcome, n int) []decided {
	runs := each(s, n, func(seed uint64) []decided { return p.play(seed, times, until) })
	s.progress.Printf("plan, %g/s, %s, %g times as slow: %d runs", p.load, p.name(), times, n)
	all := make([]decided, len(p.spec.Gates.Latency))
	for k := range all {
		var gate []decided
		for _, r := range runs {
			if r != nil {
				gate = append(gate, r[k])
			}
		}
		all[k] = middleOf(gate)
	}
	return all
}

// slowQuestion is what a plan is asked of a step, and its answer by gate.
type slowQuestion struct {
	what  string
	times float64
	until analysis.Outcome
	says  []analysis.Forecast
}

func (p slowStep) questions() []slowQuestion {
	all := []slowQuestion{{"passes", 1, analysis.Pass, nil}}
	for _, times := range rollout.Foretold() {
		all = append(all, slowQuestion{fmt.Sprint(times, " times as slow"), float64(times), analysis.Fail, nil})
	}
	for _, g := range p.says.Latency {
		all[0].says = append(all[0].says, g.Passes)
		for k, f := range g.Finds {
			all[k+1].says = append(all[k+1].says, f)
		}
	}
	return all
}

// runs is how often a step is played, by what the plan says of its gates.
func (q slowQuestion) runs() int {
	for _, f := range q.says {
		if f.After > 0 && f.After <= planPatience*3/2 {
			return planRuns
		}
	}
	return farRuns
}

func slowPlanTable(s *studio) string {
	var b strings.Builder
	b.WriteString("| hosts, weight | gate | passes | 2 times as slow | 5 times | 10 times |\n|---|---|---|---|---|---|\n")
	for _, p := range slowSteps(slowLoad) {
		rows := make([]string, len(p.spec.Gates.Latency))
		for _, q := range p.questions() {
			for k, m := range s.measureSlow(p, q.times, q.until, s.times(q.runs())) {
				rows[k] += " " + compared(q.says[k], m) + " |"
			}
		}
		for k, row := range rows {
			fmt.Fprintf(&b, "| %s | %s |%s\n", p.name(), p.spec.Gates.Latency[k].Name, row)
		}
	}
	return b.String()
}

// slowPlanCheck plays a step of hosts most of which are new to the product's judge.
func slowPlanCheck(s *studio) error {
	const place = 1
	p := slowSteps(slowLoad)[place]
	var wrong []error
	for _, q := range p.questions() {
		for k, m := range s.measureSlow(p, q.times, q.until, max(12, s.times(40))) {
			if m.after == 0 || q.says[k].After == 0 || off(ratio(q.says[k], m)) {
				wrong = append(wrong, fmt.Errorf("%s: %s: %s: planned %s, measured %s",
					p.name(), p.spec.Gates.Latency[k].Name, q.what, foretold(q.says[k]), happened(m)))
			}
		}
	}
	return errors.Join(wrong...)
}
