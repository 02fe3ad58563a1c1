package sim

import (
	"slices"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// checkDecision holds what serin itself decided against what it may decide:
// what a rollout file asks for is a floor that only a person steps over.
func (r *record) checkDecision(before *rollout.State, e rollout.Entry, result rollout.Result) {
	t, _ := rollout.TargetOf(e.Command)
	if e.By != "serin" || result.Refused != nil || t.Service == "" {
		return
	}
	svc := before.Services[t.Service]
	run := svc.Active
	switch c := e.Command.(type) {
	case rollout.Advance:
		r.checkForward(svc, c.Why)
	case rollout.Promote:
		r.checkForward(svc, c.Why)
		r.checkPromoted(run)
	case rollout.RollBack:
		r.checkBack(run, c.Why)
	case rollout.Pause:
		r.checkPaused(run, c)
	case rollout.Exclude:
		r.checkEvidence(run, c.Why.Verdict)
		all := len(run.Hosts) + len(run.Excluded)
		if len(run.Excluded)+1 > max(1, all/10) || run.Install() {
			r.w.violate("one host", "%s leaves out %d of %d hosts", run.ID, len(run.Excluded)+1, all)
		}
	case rollout.Lose:
		r.checkLost(run, c.Hosts)
		r.checkFew(run, c.Hosts)
	case rollout.Finish:
		r.checkFinish(svc, c)
	default:
	}
}

// checkLook holds what a leader decides against what it has seen: it does not
// spin, and it acts on what has failed.
func (w *world) checkLook(l *leader, e rollout.Evidence, commands []rollout.Command, atOnce bool) {
	s := l.r.state
	if len(commands) == 0 && atOnce {
		w.violate("look", "nothing is to be done, and it is to be looked at again at once")
	}
	for _, name := range s.Names() {
		svc := s.Services[name]
		about := func(c rollout.Command) bool { t, _ := rollout.TargetOf(c); return t.Service == name }
		if svc.Active == nil || slices.ContainsFunc(commands, about) {
			continue
		}
		w.checkWaits(l, svc)
		if !watched(svc.Active) {
			continue
		}
		w.checkDeaths(l, svc)
		run := svc.Active
		if e[name].Verdict.Outcome == analysis.Fail && run.Weight() > 0 && run.Spec.Gates.Acting() && !run.Install() {
			w.violate("gate", "a gate of %s has failed, and nothing follows", run.ID)
		}
	}
}

// watched tells whether a rollout's canary is to be taken back when it fails: one that is parked has failed already.
func watched(run *rollout.Rollout) bool {
	return !run.Parked && (run.Phase == rollout.Progressing || run.Phase == rollout.Paused)
}

// checkForward is what has to hold before serin takes a step.
func (r *record) checkForward(svc *rollout.Service, why rollout.Why) {
	w, run := r.w, svc.Active
	if run.Phase == rollout.Preparing {
		for _, host := range run.Hosts[:run.Spec.Steps[0].Hosts.Of(len(run.Hosts))] {
			if d := w.host(host).docker; !d.images[run.To.Image] {
				w.violate("image", "%s began, and %s does not have the image", run.ID, host)
			}
		}
		return
	}
	step := run.Spec.Steps[run.Step]
	gated := run.Spec.Gates.Acting() && !run.Install() && step.Weight > 0
	switch {
	case run.Phase == rollout.Paused:
		w.violate("pause", "%s went on from a pause by itself", run.ID)
	case w.now-r.marks[run.ID].taken < byClocks(step.Hold):
		w.violate("hold", "%s held step %d for %s of %s", run.ID, run.Step+1, w.now-r.marks[run.ID].taken, step.Hold)
	case step.Approve && !run.Approved:
		w.violate("approval", "%s left step %d without an approval", run.ID, run.Step+1)
	case gated && (why.Verdict == nil || why.Verdict.Outcome != analysis.Pass):
		w.violate("gate", "%s left step %d without a pass", run.ID, run.Step+1)
	}
	for _, host := range run.Hosts[:run.Wave()] {
		if r.settled[svc.Name][host] < svc.Epoch {
			w.violate("settled", "%s left step %d, which %s has not taken", run.ID, run.Step+1, host)
		}
	}
	r.checkEvidence(run, why.Verdict)
}

// checkPromoted: no chance in the world lets pass what is hopeless.
func (r *record) checkPromoted(run *rollout.Rollout) {
	v := r.w.versions.all[run.To.Image]
	if v.hopeless && !r.w.healed && !run.Install() && run.Spec.Gates.Errors != nil && run.Spec.Steps[run.Step].Weight > 0 {
		r.w.violate("gate", "%s promotes a version of which %.0f %% of the requests fail", run.ID, 100*v.errors)
	}
}

func (r *record) checkBack(run *rollout.Rollout, why rollout.Why) {
	m := r.marks[run.ID]
	early := min(byClocks(run.Spec.Deadline)-(r.w.now-m.start), byClocks(rollout.PrepareDeadline)-(r.w.now-m.phase), byClocks(rollout.StepDeadline)-(r.w.now-m.step))
	switch {
	case why.Cause == "":
		r.w.violate("I4", "%s goes back without a cause", run.ID)
	case why.Cause == rollout.CauseDeadline && early > 0:
		r.w.violate("deadline", "%s goes back %s before any deadline", run.ID, early)
	case why.Cause != rollout.CauseDeadline && run.Phase == rollout.Progressing && run.Spec.OnFailure == rollout.PauseOnFailure:
		r.w.violate("on failure", "%s goes back (%s), and its file says that it pauses", run.ID, why.Cause)
	}
	r.checkFailed(run, why)
}

// checkEvidence: what a verdict counted was really served.
func (r *record) checkEvidence(run *rollout.Rollout, v *analysis.Verdict) {
	if v == nil || run.From == nil {
		return
	}
	canary, stable := r.w.served(run.Service, run.To.ID), analysis.Counts{}
	for _, id := range r.stables(run) {
		one := r.w.served(run.Service, id)
		stable.Requests += one.Requests
		stable.Errors += one.Errors
	}
	if v.Canary.Requests > canary.Requests || v.Canary.Errors > canary.Errors {
		r.w.violate("evidence", "%s was judged by %d errors in %d requests of the canary; there were %d in %d",
			run.ID, v.Canary.Errors, v.Canary.Requests, canary.Errors, canary.Requests)
	}
	if v.Stable.Requests > stable.Requests || v.Stable.Errors > stable.Errors {
		r.w.violate("evidence", "%s was judged by %d errors in %d requests of stable; there were %d in %d",
			run.ID, v.Stable.Errors, v.Stable.Requests, stable.Errors, stable.Requests)
	}
}

// stables are the revisions that were stable on some host of the rollout.
func (r *record) stables(run *rollout.Rollout) []string {
	ids := []string{run.From.ID}
	for _, held := range r.w.cluster.truth.Services[run.Service].Held {
		if !slices.Contains(ids, held.ID) {
			ids = append(ids, held.ID)
		}
	}
	return ids
}

// served is what users got of a revision, on all hosts together.
func (w *world) served(service, revision string) analysis.Counts {
	var sum analysis.Counts
	for _, h := range w.hosts {
		h.balancer.flow()
		if t := h.served[service]; t != nil {
			sum.Requests += t.of[revision].Requests
			sum.Errors += t.of[revision].Errors
		}
	}
	return sum
}

// checkFinish: a rollout ends when every host has followed, or when the time
// for that is over.
func (r *record) checkFinish(svc *rollout.Service, c rollout.Finish) {
	run := svc.Active
	limit := rollout.PromoteDeadline
	if run.Phase == rollout.RollingBack {
		limit = rollout.RollBackDeadline
	}
	if r.w.now-r.marks[run.ID].phase < byClocks(limit) {
		r.checkLost(run, c.Lost)
	}
	for _, host := range run.Hosts {
		if !slices.Contains(c.Lost, host) && r.settled[svc.Name][host] < svc.Epoch {
			r.w.violate("I10", "%s ended, and %s has not followed", run.ID, host)
		}
	}
}

// byClocks is how much time has to pass at least until a clock that is a bit
// fast has counted that long: a failover may lengthen it, nothing shortens it.
func byClocks(d time.Duration) time.Duration { return d * 98 / 100 }

// checkLost: a host is lost only if nothing was heard of it for the time that
// the rollout file gives it.
func (r *record) checkLost(run *rollout.Rollout, hosts []string) {
	for _, host := range hosts {
		silent := r.decided - r.w.host(host).heardOf // negative: it has come back since
		if silent >= 0 && silent < byClocks(run.Spec.LostAfter) {
			r.w.violate("lost", "%s goes on without %s, which was heard %s before", run.ID, host, silent)
		}
	}
}
