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
	told    map[string]toll // of deaths, by host
	known   map[string]toll // when the rollout was last resumed
	took    time.Duration

	panel    *analysis.Panel // nil: nothing to compare with
	attempt  int             // how often evidence began anew before this
	anew     bool            // some was forgotten
	owed     bool            // it is to begin anew before it decides anything
	pool     pool
	pooling  bool
	verdict  analysis.Verdict
	stale    bool
	silentAt time.Duration // when the verdict may be another one though nothing was heard

	settled    map[string]bool
	settledAt  time.Duration
	zeroed     map[string]bool
	zeroMillis int64
}

// toll counts deaths within an incarnation.
type toll struct {
	incarnation string
	n           int
}

func newWatch(svc *rollout.Service, took, now time.Duration) *watch {
	w := &watch{hosts: map[string]rollout.HostEvidence{}, told: map[string]toll{}, took: took, zeroMillis: -1, rollout: svc.Active, epoch: svc.Epoch}
	if !svc.Active.Install() {
		w.renew(svc.Active.Anew)
	}
	w.settle()
	w.judge(now)
	return w
}

// adopt is called on a rollout that this leader did not see begin: what it has
// not heard of it is spent. Where not every replica can count how often evidence
// begins anew it does so at once, and uncounted.
func (w *watch) adopt(counted bool, now time.Duration) {
	switch {
	case w.panel == nil || w.rollout.Phase == rollout.Preparing:
	case counted:
		w.owed = true
	default:
		w.renew(w.attempt + 1)
		w.judge(now)
	}
}

// renew begins the evidence anew where that is owed.
func (l *leader) renew(s *rollout.State) {
	for _, name := range s.Names() {
		if w := l.watches[name]; w != nil && w.owed && w.moving() {
			l.proposeDecision(rollout.Renew{Target: rollout.Target{Service: name, Rollout: w.rollout.ID, Epoch: w.epoch}})
		}
	}
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
	if before.Parked && !r.Parked {
		w.known = maps.Clone(w.told)
	}
	switch {
	case w.panel == nil:
	case before.Anew != r.Anew:
		w.renew(r.Anew)
	case before.Parked && !r.Parked: // some replica cannot count that
		w.renew(w.attempt + 1)
	}
	moved := before.Step != r.Step || before.StepAt != r.StepAt
	if moved {
		w.settle()
	}
	if moved || before.Anew != r.Anew {
		stays := w.pooling && before.Step == r.Step && before.Anew == r.Anew
		w.judge(now)
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
		SeenAt: w.hosts[name].SeenAt,
		Epoch:  h.epoch, Settled: h.settled, HasImage: h.hasImage, Weight: h.weight,
		Deaths: w.deaths(name, h), Death: h.death, Problem: h.problem.text, Cause: h.problem.cause, Fatal: h.problem.fatal,
	}
	w.noteSettled(name, k, h, now)
	w.noteZero(name, k, h, now)
	w.observe(name, k, h, now)
}

// deaths is how many a host tells of that are not known (coordinator/deaths.go).
func (w *watch) deaths(name string, h *serviceReport) int {
	w.told[name] = toll{h.incarnation, h.deaths}
	if k := w.known[name]; k.incarnation == h.incarnation {
		return max(0, h.deaths-k.n)
	}
	return h.deaths
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
	switch {
	case w.owed:
		w.verdict, w.stale = analysis.Verdict{Outcome: analysis.Wait, At: now}, true
	case w.stale || w.panel != nil && w.moving() && now >= w.silentAt:
		w.verdict, w.stale, w.silentAt = w.panel.Verdict(now), false, w.panel.Silences(now)
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

// nextSilence is when to look again though nothing arrives.
func (w *watch) nextSilence(now time.Duration) time.Duration {
	if w.panel == nil || !w.moving() || w.silentAt <= now {
		return rollout.Never
	}
	return w.silentAt
}

// Private

// renew begins with evidence that so much came before.
func (w *watch) renew(attempt int) {
	w.attempt, w.owed = attempt, false
	w.anew = attempt > 0
	w.panel = analysis.NewPanel(w.rollout.Judging(attempt))
	w.stale = true
}

func (w *watch) exclude(host string) {
	if w.panel != nil {
		w.panel.Exclude(host)
	}
}

// settle begins to wait for the hosts of a step.
func (w *watch) settle() {
	w.settled, w.settledAt, w.zeroed = map[string]bool{}, -1, map[string]bool{}
}

// judge begins to judge a step.
func (w *watch) judge(now time.Duration) {
	if w.panel == nil {
		return
	}
	w.panel.Restart(now, w.rollout.Judged(w.anew))
	w.pooling = w.rollout.Pools()
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
