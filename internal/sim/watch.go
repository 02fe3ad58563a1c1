package sim

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// watch gathers the evidence about one running rollout for a leader, as
// coordinator/evidence.go does: what a host says becomes the evidence that
// Decide reads, and goes to the panel of judges.
type watch struct {
	rollout *rollout.Rollout
	epoch   uint64
	hosts   map[string]rollout.HostEvidence
	took    time.Duration

	panel   *analysis.Panel // nil: nothing to compare with
	pool    pool
	pooling bool
	verdict analysis.Verdict
	stale   bool

	settled    map[string]bool
	settledAt  time.Duration
	zeroed     map[string]bool
	zeroMillis int64
}

func newWatch(svc *rollout.Service, took, now time.Duration) *watch {
	w := &watch{hosts: map[string]rollout.HostEvidence{}, took: took, zeroMillis: -1, rollout: svc.Active, epoch: svc.Epoch}
	if !svc.Active.Install() {
		w.panel = analysis.NewPanel(svc.Active.Spec.Gates.Judging())
	}
	w.begin(now)
	return w
}

// sync follows the state: a transition of the same rollout.
func (w *watch) sync(svc *rollout.Service, now time.Duration) {
	before, r := w.rollout, svc.Active
	w.rollout = r
	for _, host := range before.Hosts {
		if !slices.Contains(r.Hosts, host) {
			delete(w.hosts, host)
			w.exclude(host)
		}
	}
	if svc.Epoch != w.epoch {
		w.epoch, w.settled = svc.Epoch, map[string]bool{}
	}
	if before.Parked && !r.Parked && w.panel != nil {
		w.panel = analysis.NewPanel(r.Spec.Gates.Judging())
	}
	if before.Step != r.Step || before.StepAt != r.StepAt {
		stays := w.pooling && before.Step == r.Step
		w.begin(now)
		w.pooling = w.pooling || stays
	}
	if before.Phase != r.Phase {
		w.zeroed, w.zeroMillis = map[string]bool{}, -1
	}
}

// hear takes in one host's account.
func (w *watch) hear(name string, h *serviceReport, now time.Duration) {
	k := slices.Index(w.rollout.Hosts, name)
	if k < 0 {
		return
	}
	w.hosts[name] = rollout.HostEvidence{
		SeenAt: now,
		Epoch:  h.epoch, Settled: h.settled, HasImage: h.hasImage, Weight: h.weight,
		Deaths: h.deaths, Death: h.death, Problem: h.problem.text, Cause: h.problem.cause, Fatal: h.problem.fatal,
	}
	w.noteSettled(name, k, h, now)
	w.noteZero(name, k, h, now)
	w.observe(name, k, h, now)
}

// saw notes when a host last reported, whatever it had to say of the service.
func (w *watch) saw(name string, at time.Duration) {
	if slices.Contains(w.rollout.Hosts, name) {
		h := w.hosts[name]
		h.SeenAt = at
		w.hosts[name] = h
	}
}

// evidence returns the pooled view.
func (w *watch) evidence(now time.Duration) rollout.ServiceEvidence {
	if w.stale {
		w.verdict, w.stale = w.panel.Verdict(now), false
	}
	e := rollout.ServiceEvidence{
		Hosts: w.hosts, SettledAt: w.settledAt, Verdict: w.verdict, Baseline: w.rollout.Baseline, ZeroMillis: w.zeroMillis,
	}
	if w.rollout.Phase != rollout.RollingBack {
		e.ZeroMillis = 0
	}
	e.Baseline.Requests += w.verdict.Stable.Requests
	e.Baseline.Errors += w.verdict.Stable.Errors
	return e
}

// Private

func (w *watch) exclude(host string) {
	if w.panel != nil {
		w.panel.Exclude(host)
	}
}

func (w *watch) begin(now time.Duration) {
	w.settled, w.settledAt, w.zeroed = map[string]bool{}, -1, map[string]bool{}
	if w.panel == nil {
		return
	}
	step := analysis.Step{}
	if r := w.rollout; r.Weight() == rollout.Full && r.Wave() == len(r.Hosts) {
		step.Baseline = analysis.Counts{Requests: r.Baseline.Requests, Errors: r.Baseline.Errors}
	}
	w.panel.Restart(now, step)
	w.pooling = w.rollout.Weight() == rollout.Full && w.rollout.Wave() < len(w.rollout.Hosts)
	w.pool.restart()
	w.stale = true
}

func (w *watch) noteSettled(name string, k int, h *serviceReport, now time.Duration) {
	if k >= w.rollout.Wave() || h.epoch != w.epoch {
		return
	}
	if !h.settled {
		delete(w.settled, name)
		return
	}
	w.settled[name] = true
	if w.settledAt < 0 && len(w.settled) == w.rollout.Wave() && w.moving() {
		w.settledAt = now
	}
}

func (w *watch) noteZero(name string, k int, h *serviceReport, now time.Duration) {
	r := w.rollout
	if r.Phase != rollout.RollingBack || w.zeroMillis >= 0 || k >= r.Wave() || h.epoch < w.epoch || h.weight != 0 {
		return
	}
	w.zeroed[name] = true
	if len(w.zeroed) == r.Wave() && r.PhaseAt > w.took {
		w.zeroMillis = (now - r.PhaseAt).Milliseconds()
	}
}

func (w *watch) moving() bool {
	return w.rollout.Phase == rollout.Progressing || w.rollout.Phase == rollout.Paused
}

func (w *watch) observe(name string, k int, h *serviceReport, now time.Duration) {
	if w.panel == nil || !w.moving() {
		return
	}
	r := w.rollout
	instances := h.canaryInstances
	if r.Weight() == 0 {
		instances = 0
	}
	w.pool.add(name, k < r.Wave(), h)
	w.stale = true
	if w.pooling {
		w.panel.Observe(w.pool.report(now, r.Wave()))
		return
	}
	w.panel.Observe(analysis.Report{
		Host: name, Incarnation: h.incarnation, At: now, Canary: h.canary, Stable: h.stable, CanaryInstances: instances,
	})
}

// pool compares hosts with hosts where a wave gives the canary all of a host's
// traffic: one pseudo-host whose canary is the wave (coordinator/pool.go).
type pool struct {
	life   int
	canary analysis.Counts
	stable map[string]analysis.Counts
	last   map[string]*serviceReport
}

func (p *pool) restart() {
	p.life++
	p.canary, p.stable = analysis.Counts{}, map[string]analysis.Counts{}
	if p.last == nil {
		p.last = map[string]*serviceReport{}
	}
}

func (p *pool) add(name string, inWave bool, h *serviceReport) {
	before, known := p.last[name]
	p.last[name] = h
	if !known {
		return
	}
	if before.incarnation != h.incarnation {
		before = &serviceReport{}
	}
	if inWave {
		p.canary = plus(p.canary, h.canary, before.canary)
		return
	}
	for instance, c := range h.stable {
		p.stable[name] = plus(p.stable[name], c, before.stable[instance])
	}
}

func (p *pool) report(now time.Duration, instances int) analysis.Report {
	return analysis.Report{
		Host: "fleet", Incarnation: strconv.Itoa(p.life), At: now, Canary: p.canary, Stable: maps.Clone(p.stable), CanaryInstances: instances,
	}
}

// plus adds what was counted since before; a counter that fell began anew.
func plus(sum, now, before analysis.Counts) analysis.Counts {
	if now.Requests < before.Requests || now.Errors < before.Errors {
		before = analysis.Counts{}
	}
	return analysis.Counts{
		Requests: sum.Requests + now.Requests - before.Requests,
		Errors:   sum.Errors + now.Errors - before.Errors,
	}
}
