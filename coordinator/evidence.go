package coordinator

import (
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// poolEvery is how often the pseudo-host of a pool reports; its windows are
// seconds long.
const poolEvery = time.Second

// watch gathers the evidence about one running rollout. Only who holds the
// listener uses it.
//
// What hosts are and what they show are two things. What they are counts when
// it is heard, and for what the state wants now. What they show reaches the
// judges in the order of the marks (merge), and belongs to the step that the
// reports themselves are of: so it is the same on every replica, whenever it
// heard what, and whenever it learned of the step.
type watch struct {
	rollout *rollout.Rollout // of the state last synced
	epoch   uint64
	index   map[string]int // a host's position in the rollout
	hosts   map[string]rollout.HostEvidence
	deaths  *deaths
	since   time.Duration // from when on the replica has heard the fleet

	merge   *merge
	judging *rollout.Rollout // that the reports folded now are of
	places  map[string]int   // a host's position in it
	turnAt  uint64           // epoch from which on reports are of rollout, not of judging; 0: they are of the same
	first   bool             // the evidence was heard from its beginning
	own     bool             // some of it came without a mark: no other replica has it just so
	owed    bool             // it is to begin anew before it decides anything
	attempt int              // how often evidence began anew before this

	panel     *taped    // nil where there is nothing to compare with
	feedback  *feedback // of all services; nil: nobody listens
	pool      *pool
	pooling   bool // hosts are compared with hosts
	pooledAt  time.Duration
	instances map[string]int // canary instances by host, for the pool
	verdict   analysis.Verdict
	stale     bool          // the panel has heard more since verdict
	silentAt  time.Duration // when the verdict is another one even if the panel hears nothing

	asker      *asker // nil without conditions
	readings   readings
	opinionsAt time.Duration // when the panel last heard of users' feedback

	settled   map[string]bool // hosts of the wave in the current epoch
	settledAt time.Duration

	zeroed     map[string]bool // hosts seen at weight 0 on the way back
	zeroMillis int64
}

func newWatch(svc *rollout.Service, since, now time.Duration) *watch {
	r := svc.Active
	w := &watch{
		rollout: r, epoch: svc.Epoch, index: positions(r), hosts: map[string]rollout.HostEvidence{}, deaths: newDeaths(), since: since,
		merge: newMerge(), judging: r, first: r.Phase == rollout.Preparing, attempt: r.Anew,
		instances: map[string]int{}, readings: readings{}, settledAt: -1, zeroMillis: -1,
	}
	w.places = w.index
	if !r.Install() {
		w.panel = &taped{Panel: analysis.NewPanel(r.Judging(w.attempt)), anew: r.Anew > 0 || !w.first}
		w.pool = newPool()
		w.asker = newAsker(r.Spec.Gates)
	}
	w.settle()
	w.begin(now)
	return w
}

// sync follows the state: a transition of the same rollout.
func (w *watch) sync(svc *rollout.Service) {
	before := w.rollout
	w.rollout = svc.Active
	if len(before.Hosts) != len(svc.Active.Hosts) {
		w.leave(before)
	}
	if svc.Epoch != w.epoch {
		w.epoch = svc.Epoch
		w.settled = map[string]bool{}
	}
	if before.Parked && !svc.Active.Parked {
		w.deaths.resume()
	}
	if before.Step != svc.Active.Step || before.StepAt != svc.Active.StepAt {
		w.settle()
		w.turnAt = svc.Epoch
	}
	if at := svc.Active.StepEpoch; at != before.StepEpoch {
		w.turnAt = at
	}
	if svc.Active.Anew != before.Anew {
		w.owed = false
	}
	if w.turnAt == 0 {
		w.judging = svc.Active
	}
	if before.Phase != svc.Active.Phase {
		w.zeroed, w.zeroMillis = map[string]bool{}, -1
	}
}

// hear takes in one host's account, of an agent that does not mark it: it is
// judged as it arrives.
func (w *watch) hear(name string, h wire.ServiceHealth, now time.Duration) {
	w.look(name, h, now)
	w.own = true
	w.judge(name, h, now)
}

// hearMarked takes in one host's account; it is judged when its turn has come.
// That of a host that the rollout goes on without is not: nobody waits for it, and
// nothing is lost if it comes late.
func (w *watch) hearMarked(a arrival, now time.Duration) {
	w.look(a.host, a.health, now)
	_, ours := w.index[a.host]
	if _, judged := w.places[a.host]; !ours && !judged {
		return
	}
	if !w.merge.put(a) {
		w.own = true
	}
}

// fold judges what has come into order. A host that the next step goes on without
// is waited for until that has begun.
func (w *watch) fold() {
	w.merge.release(w.places, w.epoch, func(a arrival) { w.judge(a.host, a.health, a.mark) })
}

// look notes what a host is.
func (w *watch) look(name string, h wire.ServiceHealth, now time.Duration) {
	k, ours := w.index[name]
	if !ours {
		return
	}
	e := evidenceOf(h)
	e.Deaths = w.deaths.count(name, h.Incarnation, h.Deaths)
	w.hosts[name] = e
	w.noteSettled(name, k, h, now)
	w.noteZero(name, k, h, now)
	w.readings.note(name, h.Readings, now)
}

// judge takes in what a host shows, at a time on the fleet's clock.
func (w *watch) judge(name string, h wire.ServiceHealth, at time.Duration) {
	if _, stays := w.index[name]; stays && w.turnAt > 0 && h.Epoch >= w.turnAt {
		w.turn(at)
	}
	if k, ours := w.places[name]; ours {
		w.observe(name, k, h, at)
	}
}

// shared reports whether other replicas that heard the rollout from the
// beginning of its evidence judge by the same.
func (w *watch) shared() bool { return w.first && !w.own && w.merge.whole() }

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
	switch {
	case w.panel == nil:
	case w.owed:
		w.verdict, w.stale = waitFor(now, "evidence is about to begin anew: whoever leads now has not heard all of what came before"), true
	case w.turnAt > 0:
		w.verdict, w.stale = waitFor(now, "no host has reported from this step yet"), true
	case w.stale || w.moving() && now >= w.silentAt:
		w.verdict, w.stale, w.silentAt = w.panel.Verdict(now), false, w.panel.Silences(now)
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

// nextSilence is when the evidence has to be looked at again though nothing
// arrives.
func (w *watch) nextSilence(now time.Duration) time.Duration {
	if w.panel == nil || !w.moving() || w.silentAt <= now {
		return rollout.Never
	}
	return w.silentAt
}

// Private

func evidenceOf(h wire.ServiceHealth) rollout.HostEvidence {
	return rollout.HostEvidence{
		Epoch: h.Epoch, Settled: h.Settled, HasImage: h.HasImage, Weight: h.Weight,
		Deaths: h.Deaths, Death: h.Death, Problem: h.Problem, Cause: h.Cause, Fatal: h.Fatal,
	}
}

// waitFor is the verdict while there is nothing to judge by.
func waitFor(now time.Duration, why string) analysis.Verdict {
	return analysis.Verdict{Outcome: analysis.Wait, At: now, Reason: why}
}

// positions are the places of the hosts in the rollout.
func positions(r *rollout.Rollout) map[string]int {
	index := make(map[string]int, len(r.Hosts))
	for k, name := range r.Hosts {
		index[name] = k
	}
	return index
}

// leave forgets the hosts that the rollout goes on without.
func (w *watch) leave(before *rollout.Rollout) {
	w.index = positions(w.rollout)
	for _, host := range before.Hosts {
		if _, stays := w.index[host]; !stays {
			delete(w.hosts, host)
			delete(w.readings, host)
		}
	}
}

// settle begins to wait for the hosts of a step.
func (w *watch) settle() {
	w.settled, w.settledAt = map[string]bool{}, -1
	w.zeroed = map[string]bool{}
}

// turn begins a step with the first report that is of it.
func (w *watch) turn(at time.Duration) {
	before := w.judging
	w.judging, w.places, w.turnAt = w.rollout, w.index, 0
	if w.panel == nil {
		return
	}
	// Who was heard as one of the fleet is not heard for himself in the same step:
	// what he had counted until then would count twice.
	stays := w.pooling && before.Step == w.judging.Step && before.Anew == w.judging.Anew
	for _, host := range before.Hosts {
		if _, stays := w.places[host]; !stays {
			delete(w.instances, host)
			w.panel.Exclude(host)
		}
	}
	switch {
	case before.Anew != w.judging.Anew:
		w.renew(w.judging.Anew, at)
	case before.Parked && !w.judging.Parked: // some replica cannot count that
		w.renew(w.attempt+1, at)
	}
	w.begin(at)
	w.pooling = w.pooling || stays
}

// adopt is called when this replica comes to lead. Where other replicas judge by
// the same evidence it goes on. Where not every replica can count how often
// evidence begins anew it does so at once, and uncounted.
func (w *watch) adopt(counted bool, now time.Duration) {
	if w.panel != nil {
		w.panel.led(now)
		w.stale = true
	}
	switch {
	case w.panel == nil || w.rollout.Phase == rollout.Preparing || w.shared():
	case counted:
		w.owed = true
	default:
		w.renew(w.attempt+1, now)
		w.begin(now)
	}
}

// renew forgets all evidence.
func (w *watch) renew(attempt int, at time.Duration) {
	w.attempt, w.first, w.own, w.owed = attempt, true, false, false
	w.merge.forget()
	w.panel.renew(w.rollout.Judging(w.attempt), at)
	w.stale = true
}

// begin starts judging a step.
func (w *watch) begin(at time.Duration) {
	if w.panel == nil {
		return
	}
	w.panel.step = w.judging.Step + 1
	w.panel.Restart(at, w.judging.Judged(w.panel.anew))
	w.pooling = w.judging.Pools()
	w.pool.restart(w.judging.Phase == rollout.Preparing || !w.pooling)
	w.stale = true
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

func (w *watch) moving() bool { return moving(w.rollout) }

// moving reports whether canary and stable stand side by side.
func moving(r *rollout.Rollout) bool {
	return r.Phase == rollout.Progressing || r.Phase == rollout.Paused
}

// noteZero measures how long the way back took to reach the last host of the
// wave. A replica that has heard the fleet only since the decision cannot tell.
func (w *watch) noteZero(name string, k int, h wire.ServiceHealth, now time.Duration) {
	r := w.rollout
	if r.Phase != rollout.RollingBack || w.zeroMillis >= 0 || k >= r.Wave() || h.Epoch < w.epoch || h.Weight != 0 {
		return
	}
	w.zeroed[name] = true
	if len(w.zeroed) == r.Wave() && r.PhaseAt > w.since {
		w.zeroMillis = (now - r.PhaseAt).Milliseconds()
	}
}

// observe feeds the panel.
func (w *watch) observe(name string, k int, h wire.ServiceHealth, at time.Duration) {
	r := w.judging
	if w.panel == nil {
		return
	}
	inWave := k < r.Wave()
	if r.Phase == rollout.Preparing {
		w.pool.meet(name, h.Incarnation, r.ID)
	}
	w.pool.add(name, k, inWave, h)
	if !moving(r) {
		return
	}
	if r.Weight() == 0 {
		h.CanaryInstances = 0 // none that may get traffic: windows of stable alone are whole
	}
	w.stale = true
	w.opinions(at)
	if !w.pooling {
		w.panel.Observe(analysis.Report{
			Host: name, Incarnation: h.Incarnation, At: at,
			Canary: h.CanaryCounts, Stable: h.StableCounts, CanaryInstances: h.CanaryInstances,
			Latencies: h.Latencies, Signals: h.Signals, Usage: h.Usage,
		})
		return
	}
	// What a container uses is compared over hosts anyway.
	w.panel.ObserveApart(analysis.Report{Host: name, Incarnation: h.Incarnation, At: at, Usage: h.Usage})
	if inWave {
		w.instances[name] = h.CanaryInstances
	}
	if at-w.pooledAt < poolEvery {
		return
	}
	w.pooledAt = at
	total := 0
	for _, n := range w.instances {
		total += n
	}
	report := w.pool.report(at, total)
	report.Before = w.pool.before(w.places, r.Wave())
	w.panel.Observe(report)
}
