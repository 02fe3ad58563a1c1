package coordinator

import (
	"slices"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// poolEvery is how often the pseudo-host of a pool reports; its windows are
// seconds long.
const poolEvery = time.Second

// watch gathers the evidence about one running rollout. Only the loop uses it.
type watch struct {
	rollout *rollout.Rollout // of the state last synced
	epoch   uint64
	index   map[string]int // a host's position in the rollout
	hosts   map[string]rollout.HostEvidence
	took    time.Duration // the leader's takeover

	panel     *taped // nil where there is nothing to compare with
	pool      *pool
	pooledAt  time.Duration
	instances map[string]int // canary instances by host, for the pool
	verdict   analysis.Verdict
	stale     bool // the panel has heard more since verdict

	asker      *asker // nil without conditions
	readings   readings
	opinionsAt time.Duration // when the panel last heard of users' feedback

	settled   map[string]bool // hosts of the wave in the current epoch
	settledAt time.Duration

	zeroed     map[string]bool // hosts seen at weight 0 on the way back
	zeroMillis int64
}

func newWatch(svc *rollout.Service, took, now time.Duration) *watch {
	w := &watch{
		hosts: map[string]rollout.HostEvidence{}, index: map[string]int{},
		instances: map[string]int{}, readings: readings{}, took: took, settledAt: -1, zeroMillis: -1,
	}
	r := svc.Active
	w.place(r)
	if !r.Install() {
		w.panel = &taped{Panel: analysis.NewPanel(r.Spec.Gates.Judging())}
		w.pool = newPool()
		w.asker = newAsker(r.Spec.Gates)
	}
	w.rollout, w.epoch = r, svc.Epoch
	w.begin(now)
	return w
}

// sync follows the state: a transition of the same rollout.
func (w *watch) sync(svc *rollout.Service, now time.Duration) {
	before := w.rollout
	w.rollout = svc.Active
	moved := before.Step != svc.Active.Step || before.StepAt != svc.Active.StepAt
	if len(before.Hosts) != len(svc.Active.Hosts) {
		w.leave(svc.Active)
	}
	if svc.Epoch != w.epoch {
		w.epoch = svc.Epoch
		w.settled = map[string]bool{}
	}
	if before.Parked && !svc.Active.Parked && w.panel != nil {
		// A person wants the canary tried once more: the old evidence has had its say.
		w.panel.renew(svc.Active.Spec.Gates.Judging(), now)
	}
	if moved {
		w.begin(now)
	}
	if before.Phase != svc.Active.Phase {
		w.zeroed, w.zeroMillis = map[string]bool{}, -1
	}
}

// hear takes in one host's account.
func (w *watch) hear(name string, h wire.ServiceHealth, now time.Duration) {
	k, ours := w.index[name]
	if !ours {
		return
	}
	w.hosts[name] = evidenceOf(h)
	w.noteSettled(name, k, h, now)
	w.noteZero(name, k, h, now)
	w.readings.note(name, h.Readings, now)
	w.observe(name, k, h, now)
}

// saw notes when a host last reported, whatever it had to say of the service.
func (w *watch) saw(name string, at time.Duration) {
	if _, ours := w.index[name]; !ours {
		return
	}
	h := w.hosts[name]
	h.SeenAt = at
	w.hosts[name] = h
}

// evidence returns the pooled view. Its map of hosts is the watch's own.
func (w *watch) evidence(now time.Duration) rollout.ServiceEvidence {
	if w.stale {
		w.verdict, w.stale = w.panel.Verdict(now), false
	}
	e := rollout.ServiceEvidence{
		Hosts: w.hosts, SettledAt: w.settledAt, Verdict: w.verdict,
		Baseline: w.rollout.Baseline, ZeroMillis: w.zeroMillis,
	}
	if w.rollout.Phase != rollout.RollingBack {
		e.ZeroMillis = 0 // nothing was to be taken back
	}
	if w.panel != nil {
		e.Baseline.Requests += w.verdict.Stable.Requests
		e.Baseline.Errors += w.verdict.Stable.Errors
	}
	return e
}

// Private

func evidenceOf(h wire.ServiceHealth) rollout.HostEvidence {
	return rollout.HostEvidence{
		Epoch: h.Epoch, Settled: h.Settled, HasImage: h.HasImage, Weight: h.Weight,
		Deaths: h.Deaths, Death: h.Death, Problem: h.Problem, Cause: h.Cause, Fatal: h.Fatal,
	}
}

// place notes each host's position in the rollout.
func (w *watch) place(r *rollout.Rollout) {
	clear(w.index)
	for k, name := range r.Hosts {
		w.index[name] = k
	}
}

// leave forgets the hosts that the rollout goes on without, and what they have
// shown.
func (w *watch) leave(r *rollout.Rollout) {
	w.place(r)
	gone := slices.Clone(r.Lost)
	for _, x := range r.Excluded {
		gone = append(gone, x.Host)
	}
	for _, host := range gone {
		delete(w.hosts, host)
		delete(w.instances, host)
		delete(w.readings, host)
		if w.panel != nil {
			w.panel.Exclude(host)
		}
	}
}

// begin starts watching a step.
func (w *watch) begin(now time.Duration) {
	w.settled, w.settledAt = map[string]bool{}, -1
	w.zeroed = map[string]bool{}
	if w.panel == nil {
		return
	}
	w.panel.step = w.rollout.Step + 1
	w.panel.Restart(now, step(w.rollout))
	w.pool.restart()
	w.stale = true
}

// step is what the panel needs to know of the current step: at its end stable
// has no traffic left to compare with.
func step(r *rollout.Rollout) analysis.Step {
	if r.Weight() != rollout.Full || r.Wave() != len(r.Hosts) {
		return analysis.Step{}
	}
	return analysis.Step{Baseline: analysis.Counts{Requests: r.Baseline.Requests, Errors: r.Baseline.Errors}}
}

// noteSettled keeps the moment from which the step's hold counts. An approval
// or a pause moves the epoch, but not the step, and does not begin the hold
// again.
func (w *watch) noteSettled(name string, k int, h wire.ServiceHealth, now time.Duration) {
	if k >= w.rollout.Wave() || h.Epoch != w.epoch {
		return
	}
	if !h.Settled {
		delete(w.settled, name)
		return
	}
	w.settled[name] = true
	if w.settledAt < 0 && len(w.settled) == w.rollout.Wave() && w.moving() {
		w.settledAt = now
	}
}

func (w *watch) moving() bool {
	return w.rollout.Phase == rollout.Progressing || w.rollout.Phase == rollout.Paused
}

// noteZero measures how long the way back took to reach the last host of the
// wave. A leader that took over after the decision cannot tell.
func (w *watch) noteZero(name string, k int, h wire.ServiceHealth, now time.Duration) {
	r := w.rollout
	if r.Phase != rollout.RollingBack || w.zeroMillis >= 0 || k >= r.Wave() || h.Epoch < w.epoch || h.Weight != 0 {
		return
	}
	w.zeroed[name] = true
	if len(w.zeroed) == r.Wave() && r.PhaseAt > w.took {
		w.zeroMillis = (now - r.PhaseAt).Milliseconds()
	}
}

// observe feeds the panel.
func (w *watch) observe(name string, k int, h wire.ServiceHealth, now time.Duration) {
	if w.panel == nil || !w.moving() {
		return
	}
	inWave := k < w.rollout.Wave()
	if w.rollout.Weight() == 0 {
		h.CanaryInstances = 0 // none that may get traffic: windows of stable alone are whole
	}
	w.pool.add(name, k, inWave, h)
	if !w.pooling() {
		w.panel.Observe(analysis.Report{
			Host: name, Incarnation: h.Incarnation, At: now,
			Canary: h.CanaryCounts, Stable: h.StableCounts, CanaryInstances: h.CanaryInstances,
			Latencies: h.Latencies, Signals: h.Signals, Usage: h.Usage,
		})
		w.stale = true
		return
	}
	// What a container uses is compared over hosts anyway.
	w.panel.ObserveApart(analysis.Report{Host: name, Incarnation: h.Incarnation, At: now, Usage: h.Usage})
	if inWave {
		w.instances[name] = h.CanaryInstances
	}
	if now-w.pooledAt < poolEvery {
		return
	}
	w.pooledAt = now
	total := 0
	for _, n := range w.instances {
		total += n
	}
	w.panel.Observe(w.pool.report(now, total))
	w.stale = true
}

// pooling reports whether hosts are compared with hosts.
func (w *watch) pooling() bool {
	r := w.rollout
	return r.Weight() == rollout.Full && r.Wave() < len(r.Hosts)
}
