package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
)

// How long a phase may take before the rollout goes back, or, where it already
// goes, ends without the hosts that have not followed.
const (
	PrepareDeadline  = 10 * time.Minute
	StepDeadline     = 10 * time.Minute // for the hosts of a wave to get ready
	PromoteDeadline  = 10 * time.Minute
	RollBackDeadline = 5 * time.Minute
)

// maxDeaths is how often a canary may die on one host before that alone fails
// the rollout.
const maxDeaths = 3

// Never is a look that no passing of time makes necessary.
const Never = time.Duration(1<<63 - 1)

// Decide looks at the state and the evidence at the time now on the fleet's
// clock. It returns the commands to propose, at most one for each service and one for
// the freezes, and when to look again if nothing arrives before. It has no side effects, and
// with the same arguments it says the same.
func Decide(s *State, e Evidence, now time.Duration) ([]Command, time.Duration) {
	var commands []Command
	thaw, look := thaws(s, now)
	if thaw != nil {
		commands = append(commands, thaw)
	}
	for _, name := range s.Names() {
		svc := s.Services[name]
		if svc.Active == nil {
			continue
		}
		d := decision{svc: svc, r: svc.Active, e: e[name], now: now, look: Never}
		if c := d.decide(); c != nil {
			commands = append(commands, c)
		}
		look = min(look, d.look)
	}
	return commands, look
}

// Deciding is what is waited for while a command is on its way.
const Deciding = "deciding"

// Waiting says in words what a running rollout waits for.
func Waiting(s *State, service string, e ServiceEvidence, now time.Duration) string {
	svc := s.Services[service]
	if svc == nil || svc.Active == nil {
		return ""
	}
	d := decision{svc: svc, r: svc.Active, e: e, now: now, look: Never}
	if d.decide() != nil {
		return Deciding
	}
	return d.waiting
}

// Private

// decision is one look at one service.
type decision struct {
	svc     *Service
	r       *Rollout
	e       ServiceEvidence
	now     time.Duration
	look    time.Duration // the next, if nothing arrives before
	waiting string
}

func (d *decision) decide() Command {
	switch d.r.Phase {
	case Preparing:
		return d.preparing()
	case Progressing:
		return d.progressing()
	case Paused:
		return d.paused()
	case Promoting, RollingBack:
		return d.ending()
	case Succeeded, RolledBack, Aborted:
	}
	return nil
}

func (d *decision) target() Target {
	return Target{Service: d.r.Service, Rollout: d.r.ID, Epoch: d.svc.Epoch}
}

func (d *decision) preparing() Command {
	wave := d.r.Hosts[:d.r.Spec.Steps[0].Hosts.Of(len(d.r.Hosts))]
	if why, bad := d.firstFatal(wave); bad {
		return RollBack{d.target(), why}
	}
	if c := d.lost(); c != nil {
		return c
	}
	missing := d.hostsWhere(wave, func(h HostEvidence) bool { return !h.HasImage })
	if len(missing) == 0 {
		return Advance{Target: d.target()}
	}
	d.waiting = "waits for the image on " + list(missing) + d.firstProblem(missing)
	return d.overdue(d.r.PhaseAt+PrepareDeadline, d.waiting, missing)
}

func (d *decision) progressing() Command {
	if c := d.takeBack(); c != nil {
		return c
	}
	c := d.forward()
	if late := d.late(); late != nil {
		return late
	}
	return c
}

// forward takes the next step, or says what it waits for.
func (d *decision) forward() Command {
	wave := d.r.Hosts[:d.r.Wave()]
	unsettled := d.hostsWhere(wave, func(h HostEvidence) bool { return !h.Settled })
	if len(unsettled) > 0 || d.e.SettledAt < 0 {
		d.waiting = "waits for " + list(unsettled) + d.firstProblem(unsettled)
		return d.overdue(d.r.StepAt+StepDeadline, d.waiting, unsettled)
	}
	step := d.r.Spec.Steps[d.r.Step]
	if end := d.e.SettledAt + step.Hold; d.now < end {
		d.lookAt(end)
		d.waiting = "holds for " + (end - d.now).Round(time.Second).String() + " more"
		return nil
	}
	if d.gated() && d.e.Verdict.Outcome != analysis.Pass {
		d.waiting = sentence("waits for evidence", d.e.Verdict.Reason)
		return nil
	}
	if step.Approve && !d.r.Approved {
		return Pause{Target: d.target(), Why: Why{Cause: CauseApproval, Text: "waits for approval", Verdict: d.verdict()}, Baseline: d.e.Baseline}
	}
	return d.goOn()
}

func (d *decision) goOn() Command {
	why := Why{Verdict: d.verdict()}
	if why.Verdict != nil {
		why.Text = why.Verdict.Reason
	}
	if d.r.LastStep() {
		return Promote{Target: d.target(), Why: why}
	}
	advance := Advance{Target: d.target(), Why: why, Baseline: d.e.Baseline}
	advance.Next = d.r.Ahead(d.e.Verdict, d.now)
	return advance
}

func (d *decision) paused() Command {
	d.waiting = sentence("paused", d.r.Text)
	if d.r.Parked {
		return d.overdue(d.r.Deadline(), d.waiting, nil)
	}
	if c := d.takeBack(); c != nil {
		return c
	}
	return d.late()
}

// late goes back at the rollout's deadline, and says what has been waited for.
func (d *decision) late() Command {
	return d.overdue(d.r.Deadline(), sentence("the rollout's deadline passed", d.waiting), nil)
}

// takeBack looks for what takes the canary back from any step, paused or not.
func (d *decision) takeBack() Command {
	wave := d.r.Hosts[:d.r.Wave()]
	if d.gated() && d.e.Verdict.Outcome == analysis.Fail {
		return d.fail(Why{Cause: CauseGate, Text: d.e.Verdict.Reason, Verdict: &d.e.Verdict})
	}
	if c := d.outlier(); c != nil {
		return c
	}
	for _, look := range []func([]string) (Why, bool){d.deaths, d.firstFatal} {
		why, bad := look(wave)
		if !bad {
			continue
		}
		if len(why.Hosts) == 1 {
			if c, ok := d.oneHost(why.Hosts[0], why); ok {
				return c
			}
		}
		return d.fail(why)
	}
	return d.lost()
}

// fail does what the spec says about failures. What has failed while it was
// paused goes back in any case: the person is elsewhere.
func (d *decision) fail(why Why) Command {
	if d.r.Spec.OnFailure == PauseOnFailure && d.r.Phase == Progressing {
		return Pause{Target: d.target(), Why: why, Park: true, Baseline: d.e.Baseline}
	}
	return RollBack{Target: d.target(), Why: why}
}

// deaths fails a canary that died on two hosts, on its only host, or again and
// again on one.
func (d *decision) deaths(wave []string) (Why, bool) {
	dead := d.hostsWhere(wave, func(h HostEvidence) bool { return h.Deaths > 0 })
	again := slices.ContainsFunc(dead, func(host string) bool { return d.e.Hosts[host].Deaths >= maxDeaths })
	if len(dead) < min(2, len(wave)) && !again {
		return Why{}, false
	}
	last := d.e.Hosts[dead[len(dead)-1]]
	text := fmt.Sprintf("canary containers died on %s: %s", list(dead), last.Death)
	if len(dead) == 1 && last.Deaths == 1 {
		text = fmt.Sprintf("a canary container died on %s: %s", dead[0], last.Death)
	}
	return Why{Cause: CauseDeath, Hosts: dead, Text: text}, true
}

func (d *decision) firstFatal(hosts []string) (Why, bool) {
	bad := d.hostsWhere(hosts, func(h HostEvidence) bool { return h.Fatal })
	if len(bad) == 0 {
		return Why{}, false
	}
	h := d.e.Hosts[bad[0]]
	return Why{Cause: h.Cause, Hosts: bad, Text: h.Problem + " (on " + list(bad) + ")"}, true
}

// gated reports whether gates have a say at the current step: an install has
// nothing to compare with, and weight 0 has no traffic.
func (d *decision) gated() bool {
	return d.r.Spec.Gates.Acting() && !d.r.Install() && d.r.Spec.Steps[d.r.Step].Weight > 0
}

func (d *decision) verdict() *analysis.Verdict {
	if !d.gated() {
		return nil
	}
	return &d.e.Verdict
}

// ending waits until every host that is not lost has followed a promotion or a
// return, or the deadline ends the wait.
func (d *decision) ending() Command {
	behind := d.hostsWhere(d.r.Hosts, func(h HostEvidence) bool { return !h.Settled })
	end := d.r.Deadline()
	if len(behind) > len(d.silent(behind)) && d.now < end {
		d.lookAt(end)
		d.waiting = "waits for " + list(behind) + d.firstProblem(behind)
		return nil
	}
	return Finish{Target: d.target(), Lost: behind, ZeroMillis: d.e.ZeroMillis}
}

// overdue goes back once end has passed, and else looks again then.
func (d *decision) overdue(end time.Duration, text string, hosts []string) Command {
	end = min(end, d.r.Deadline())
	if d.now < end {
		d.lookAt(end)
		return nil
	}
	return RollBack{Target: d.target(), Why: Why{Cause: CauseDeadline, Text: text, Hosts: hosts, Verdict: d.known()}}
}

// known is the verdict when time is up, if there was anything to judge by.
func (d *decision) known() *analysis.Verdict {
	if d.r.Phase == Preparing || len(d.e.Verdict.Findings) == 0 {
		return nil
	}
	return d.verdict()
}

func (d *decision) lookAt(t time.Duration) { d.look = min(d.look, t) }

// hostsWhere returns the hosts that have not reported under the current epoch,
// or for which bad holds, in order.
func (d *decision) hostsWhere(hosts []string, bad func(HostEvidence) bool) []string {
	var found []string
	for _, host := range hosts {
		h, heard := d.e.Hosts[host]
		if !heard || h.Epoch != d.svc.Epoch {
			h = HostEvidence{}
		}
		if bad(h) {
			found = append(found, host)
		}
	}
	return found
}

func (d *decision) firstProblem(hosts []string) string {
	for _, host := range hosts {
		if p := d.e.Hosts[host].Problem; p != "" {
			return ": " + host + ": " + p
		}
	}
	return ""
}

// list names up to three hosts and counts the rest.
func list(hosts []string) string {
	const most = 3
	if len(hosts) <= most {
		return strings.Join(hosts, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(hosts[:most], ", "), len(hosts)-most)
}
