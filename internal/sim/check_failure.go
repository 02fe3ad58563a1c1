package sim

import (
	"slices"
	"time"

	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// As the documentation says: a canary is taken back that dies on two hosts, on its
// only one, or three times on one.
const (
	hostsToDieOn = 2
	deathsOnOne  = 3
)

// countWithin is how long an agent that nothing is wrong with takes at most until
// it has counted a death: it may be pulling an image.
const countWithin = 30 * time.Second

// death is where a canary's containers died.
type death struct{ rollout, host string }

// deaths are those that a run of an agent has to have counted by the time of one of
// its reports.
type deaths struct {
	run      string
	sequence uint64
	n        int
}

// checkPaused: serin pauses for an approval, for a host that is bad alone, or for
// a failure, each only where the rollout file asks for that.
func (r *record) checkPaused(run *rollout.Rollout, c rollout.Pause) {
	step := run.Spec.Steps[run.Step]
	switch cause := c.Why.Cause; {
	case cause == rollout.CauseApproval:
		if !step.Approve || run.Approved || c.Park {
			r.w.violate("approval", "%s waits for an approval of step %d that nobody asks for, or has lost its traffic meanwhile", run.ID, run.Step+1)
		}
	case cause == rollout.CauseHost && run.Spec.Gates.OneHost != rollout.PauseForHost:
		r.w.violate("one host", "%s pauses for %v, and its file says %s", run.ID, c.Why.Hosts, run.Spec.Gates.OneHost)
	case cause != rollout.CauseHost && run.Spec.OnFailure != rollout.PauseOnFailure:
		r.w.violate("on failure", "%s pauses (%s), and its file says that it goes back", run.ID, cause)
	case c.Park:
		r.w.tally.Parked++
	default:
		r.w.violate("on failure", "%s has failed (%s), is paused and keeps its traffic", run.ID, cause)
	}
	r.checkFailed(run, c.Why)
}

// checkFailed: what serin says has failed has failed.
func (r *record) checkFailed(run *rollout.Rollout, why rollout.Why) {
	switch why.Cause {
	case rollout.CauseGate:
		if why.Verdict == nil || why.Verdict.Outcome != analysis.Fail && why.Verdict.Outlier == "" {
			r.w.violate("gate", "%s goes back or pauses, and no gate has failed", run.ID)
		}
	case rollout.CauseDeath:
		r.checkDied(run, why.Hosts)
	case rollout.CauseLost:
		r.checkLost(run, why.Hosts)
		r.checkMany(run, why.Hosts)
	default:
	}
	r.checkEvidence(run, why.Verdict)
}

// checkDied: a canary is taken back for its deaths only if its containers ended
// where that is said, and often enough.
func (r *record) checkDied(run *rollout.Rollout, hosts []string) {
	most := 0
	for _, host := range hosts {
		n := r.w.host(host).docker.ends[edition{run.Service, run.To.ID}]
		if n == 0 {
			r.w.violate("death", "%s is to have failed by deaths on %s, and none of its containers has ended there", run.ID, host)
		}
		most = max(most, n)
	}
	if len(hosts) < min(hostsToDieOn, run.Wave()) && most < deathsOnOne {
		r.w.violate("death", "%s is to have failed by %d deaths on %v of %d hosts", run.ID, most, hosts, run.Wave())
	}
}

// mayLose is how many of the hosts that a rollout began with may be lost. A part of
// a host counts as one.
func (r *record) mayLose(run *rollout.Rollout) int {
	began, limit := r.marks[run.ID].hosts, run.Spec.MaxLost
	if limit.Share > 0 {
		return (began*limit.Share + rollout.Full - 1) / rollout.Full
	}
	return limit.Count
}

// checkFew: a rollout goes on without hosts only as long as they are as few as its
// file says.
func (r *record) checkFew(run *rollout.Rollout, hosts []string) {
	r.w.tally.Lost += len(hosts)
	if gone, most := len(run.Lost)+len(hosts), r.mayLose(run); gone > most {
		r.w.violate("max lost", "%s goes on without %d of %d hosts, and may lose %d", run.ID, gone, r.marks[run.ID].hosts, most)
	}
}

// checkMany: lost hosts are a failure only if they are more than the file says, or
// if no host is left.
func (r *record) checkMany(run *rollout.Rollout, hosts []string) {
	gone, most := len(run.Lost)+len(hosts), r.mayLose(run)
	if gone <= most && len(hosts) < len(run.Hosts) {
		r.w.violate("max lost", "%s fails for the loss of %d of %d hosts, and may lose %d", run.ID, gone, r.marks[run.ID].hosts, most)
	}
}

// checkWaits: nobody waits for a host that has said nothing for the time that the
// rollout file gives it. It is for a look at a rollout that nothing follows from.
func (w *world) checkWaits(l *leader, svc *rollout.Service) {
	run := svc.Active
	if run.Spec.LostAfter == 0 || run.Spec.MaxLost == nil || run.Parked && run.Phase == rollout.Paused {
		return // it has failed already, and a person is waited for
	}
	var silent, behind []string
	for _, host := range run.Hosts {
		switch {
		case l.silence(host, run) > run.Spec.LostAfter+time.Second:
			silent = append(silent, host)
		case !l.heardSettled(host, svc):
			behind = append(behind, host)
		}
	}
	ends := run.Phase == rollout.Promoting || run.Phase == rollout.RollingBack
	if len(silent) > 0 && (!ends || len(behind) == 0) {
		w.violate("lost", "%s is %s and waits for %v, of which nothing has been heard for more than %s", run.ID, run.Phase, silent, run.Spec.LostAfter)
	}
}

// silence is for how long a host has said nothing of what it could have said, while
// others did.
func (l *leader) silence(host string, run *rollout.Rollout) time.Duration {
	since := max(l.base, l.resumed, run.StartedAt)
	if k := l.fleet[host]; k != nil {
		since = max(since, k.seen)
	}
	return l.heard - since
}

// heardSettled tells whether a host has said last that it has followed.
func (l *leader) heardSettled(host string, svc *rollout.Service) bool {
	k := l.fleet[host]
	if k == nil {
		return false
	}
	x := k.health.service(svc.Name)
	return x != nil && x.epoch == svc.Epoch && x.settled
}

// noteCounted has a canary's death counted once its agent has to have done so: it
// lives, nothing else went wrong on the host, and stable stood all the time.
func (w *world) noteCounted(h *host, c *container) {
	a := h.agent
	if a == nil || !slices.ContainsFunc(a.services, func(s *service) bool { return s.name == c.service }) {
		return
	}
	s, at := a.service(c.service), w.now
	was := s.post.Assigned
	if was.Canary == nil || was.Stable == nil || was.Canary.ID != c.revision.ID || s.stopping[c.id] {
		return
	}
	w.after(countWithin, &a.alive, func() {
		is := s.post.Assigned
		if r := w.record.marks[is.Rollout].resumed; r > 0 && at < r+time.Second {
			return // who leads may have been told of it before he learned of that
		}
		if h.soundFrom > at-time.Second || is.Rollout != was.Rollout || is.Canary == nil || is.Stable == nil || is.Stable.ID != was.Stable.ID {
			return
		}
		stood := func(x *container) bool {
			return x.service == c.service && x.revision.ID == is.Stable.ID && x.state == plan.Running && x.started < at
		}
		if !slices.ContainsFunc(h.docker.containers, stood) {
			return
		}
		where := death{is.Rollout, h.name}
		sum := w.record.deaths[where]
		if sum.run != a.started {
			sum = deaths{run: a.started}
		}
		sum.n, sum.sequence = sum.n+1, a.sequence
		w.record.deaths[where] = sum
		w.tally.CanaryDeaths++
	})
}

// checkDeaths: a canary that has died as often as it may not, by Docker's word and
// since a person last resumed what had failed, is taken back when who leads has heard of it. It is for a look that nothing follows from.
func (w *world) checkDeaths(l *leader, svc *rollout.Service) {
	run := svc.Active
	dead, most := 0, 0
	for _, host := range run.Hosts[:run.Wave()] {
		if n := w.heardDeaths(l, svc, host); n > 0 {
			dead, most = dead+1, max(most, n)
		}
	}
	if dead >= min(hostsToDieOn, run.Wave()) || most >= deathsOnOne {
		w.violate("death", "the canary of %s has died on %d of %d hosts, up to %d times, and nothing follows", run.ID, dead, run.Wave(), most)
	}
}

// heardDeaths is of how many deaths on a host the leader has to have heard: its
// report is younger than their count.
func (w *world) heardDeaths(l *leader, svc *rollout.Service, host string) int {
	k, sum := l.fleet[host], w.record.deaths[death{svc.Active.ID, host}]
	if k == nil || sum.run != k.health.started || k.health.sequence <= sum.sequence {
		return 0
	}
	if x := k.health.service(svc.Name); x == nil || x.epoch != svc.Epoch {
		return 0
	}
	return sum.n
}
