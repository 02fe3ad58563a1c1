package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/analysis/traffic"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/specfile"
)

// gradualFile is what is rolled out: half of the hosts first, then all, with
// every kind of gate that is tested.
const gradualFile = `
service: web
image: web:2
container: {port: 80}
steps:
  - {hosts: 3, weight: 10%}
  - {hosts: 100%, weight: 25%}
  - {hosts: 100%, weight: 50%}
  - {hosts: 100%, weight: 100%, hold: 1m}
gates:
  errors: {max_increase: 1%}
  saturation: on
  metrics: {name: orders, bad: orders_failed_total, total: orders_total, max_increase: 1%}
  feedback: {kinds: [complaint], max_increase: 1%}
`

// end is how one rollout ended, at alpha of 1 % and, while that goes the same
// way, at 5 %.
type end struct {
	back, named [2]bool
	apart, late bool
	through     time.Duration // when it was promoted; 0: it was not
}

// ride is one rollout that goes its way by the product's own decisions.
type ride struct {
	state *rollout.State
	index uint64
	fleet *traffic.Fleet
	says  *voices

	panels   []*analysis.Panel // at 1 %, and at 5 %
	specs    []rollout.Spec
	verdicts []analysis.Verdict
	begun    time.Duration // the step
	end      end
}

// run plays a rollout to its end.
func (g gradual) run(seed uint64, answer rollout.OneHost) end {
	r := &ride{state: rollout.NewState(), says: newVoices(seed)}
	scene := g.scene
	scene.ShareAt = func(host int, _ time.Duration) float64 { return r.share(host) }
	r.fleet = traffic.NewFleet(scene, seed)
	r.submit(g.spec(answer))
	for r.under() {
		r.advance()
	}
	return r.end
}

// spec is what is rolled out.
func (g gradual) spec(answer rollout.OneHost) rollout.Spec {
	file := strings.Replace(gradualFile, "errors: {max_increase: 1%}", fmt.Sprintf("errors: {max_increase: %d%%}", max(1, g.allowed)), 1)
	if g.timed {
		file += "  latency: [{quantile: p99, max_increase: 20%}]\n"
	}
	spec, err := specfile.Parse([]byte(file))
	if err != nil {
		panic(err)
	}
	spec.Gates.OneHost = answer
	return spec
}

const service = "web"

// submit begins a rollout over a revision that was stable from the beginning.
func (r *ride) submit(spec rollout.Spec) {
	hosts := make([]string, 0, len(r.fleet.Tables()))
	for k := range r.fleet.Tables() {
		hosts = append(hosts, fmt.Sprint("h", k))
	}
	old := rollout.NewRevision(spec, "web@sha256:1")
	r.apply(rollout.Raise{Level: rollout.LevelNewest})
	r.state.Services[service] = &rollout.Service{Name: service, Stable: &old}
	r.apply(rollout.Submit{Key: "1", Spec: spec, To: rollout.NewRevision(spec, "web@sha256:2"), Hosts: hosts})
	r.specs = []rollout.Spec{spec}
	if spec.Gates.OneHost == rollout.FailForHost { // else what is decided differs from there on
		r.specs = append(r.specs, spec)
		r.specs[1].Gates.Alpha *= 5
	}
	r.renew()
	r.begin()
}

func (r *ride) apply(c rollout.Command) {
	r.index++
	result := r.state.Apply(r.index, rollout.Entry{Stamp: rollout.Stamp{At: r.fleet.Now(), By: "serin"}, Command: c})
	if result.Refused != nil {
		panic(result.Refused)
	}
}

func (r *ride) active() *rollout.Rollout { return r.state.Services[service].Active }

// under reports whether the rollout is under way.
func (r *ride) under() bool {
	a := r.active()
	return a != nil && (a.Phase == rollout.Preparing || a.Phase == rollout.Progressing || a.Phase == rollout.Paused)
}

// renew begins the evidence anew, with its own part of alpha.
func (r *ride) renew() {
	r.panels = nil
	for _, spec := range r.specs {
		a := *r.active()
		a.Spec = spec
		r.panels = append(r.panels, analysis.NewPanel(a.Judging(a.Anew)))
	}
	r.verdicts = make([]analysis.Verdict, len(r.panels))
}

// begin begins a step.
func (r *ride) begin() {
	a := r.active()
	r.begun = r.fleet.Now()
	for _, p := range r.panels {
		p.Restart(r.begun, a.Judged(a.Anew > 0))
	}
}

// share is canary's of a host's traffic.
func (r *ride) share(host int) float64 {
	a := r.active()
	if a == nil || a.Phase == rollout.Preparing || !slices.Contains(a.Hosts[:a.Wave()], fmt.Sprint("h", host)) {
		return 0
	}
	return float64(a.Weight()) / float64(rollout.Full)
}

// advance serves the requests up to the next reports, and decides.
func (r *ride) advance() {
	r.fleet.Advance()
	r.judge()
	before := *r.active()
	commands, _ := rollout.Decide(r.state, rollout.Evidence{service: r.evidence()}, r.fleet.Now())
	for _, c := range commands {
		r.note(c)
		r.apply(c)
		if x, is := c.(rollout.Exclude); is {
			for _, p := range r.panels {
				p.Exclude(x.Host)
			}
		}
	}
	a := r.active()
	if a != nil && a.Parked { // a person looks, and finds nothing
		r.apply(rollout.Resume{Target: rollout.Target{Service: service, Rollout: a.ID, Epoch: r.state.Services[service].Epoch}})
		a = r.active()
	}
	if !r.under() || a.Step == before.Step && a.StepAt == before.StepAt && a.Anew == before.Anew {
		return
	}
	if a.Anew != before.Anew {
		r.renew()
	}
	r.begin()
}

// judge lets the panels hear what the hosts and users say.
func (r *ride) judge() {
	a := r.active()
	reports := told(r.fleet)
	for k := range reports {
		r.says.add(&reports[k])
		if r.share(k) == 0 {
			reports[k].CanaryInstances = 0
		}
	}
	users := r.says.users(r.fleet.Now())
	for k, p := range r.panels {
		for _, report := range reports {
			if a.Phase != rollout.Preparing && slices.Contains(a.Hosts, report.Host) {
				p.Observe(report)
			}
		}
		p.ObserveApart(users)
		r.verdicts[k] = p.Verdict(r.fleet.Now())
	}
	if len(r.verdicts) > 1 && a.Phase != rollout.Preparing && !r.end.back[1] {
		v := r.verdicts[1]
		r.end.back[1] = v.Outcome == analysis.Fail || v.Outlier != ""
		r.end.named[1] = r.end.back[1] && v.Outcome != analysis.Fail
	}
}

// evidence is what a leader sees when all hosts follow at once.
func (r *ride) evidence() rollout.ServiceEvidence {
	a, now := r.active(), r.fleet.Now()
	e := rollout.ServiceEvidence{
		Hosts: make(map[string]rollout.HostEvidence), SettledAt: r.begun, Verdict: r.verdicts[0],
		Baseline: a.Baseline, HeardAt: now,
	}
	e.Baseline.Requests += e.Verdict.Stable.Requests
	e.Baseline.Errors += e.Verdict.Stable.Errors
	for _, host := range a.Hosts {
		e.Hosts[host] = rollout.HostEvidence{
			Epoch: r.state.Services[service].Epoch, Settled: true, HasImage: true, Weight: a.Weight(), SeenAt: now,
		}
	}
	return e
}

// note notes what a command means.
func (r *ride) note(c rollout.Command) {
	switch c := c.(type) {
	case rollout.RollBack:
		r.end.late = c.Why.Cause == rollout.CauseDeadline
		r.end.back[0] = !r.end.late
		r.end.named[0] = r.end.back[0] && r.verdicts[0].Outcome != analysis.Fail
	case rollout.Exclude:
		r.end.apart = true
	case rollout.Promote:
		r.end.through = r.fleet.Now()
	case rollout.Pause:
		r.end.apart = r.end.apart || c.Park
	case rollout.Submit, rollout.Refuse, rollout.Advance, rollout.Approve, rollout.Release, rollout.Resume,
		rollout.Abort, rollout.Finish, rollout.Lose, rollout.Renew, rollout.Raise,
		rollout.Freeze, rollout.Thaw, rollout.Tick:
	}
}
