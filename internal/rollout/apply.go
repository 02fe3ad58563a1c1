package rollout

import (
	"slices"
	"strconv"
)

// Result is what applying an entry came to.
type Result struct {
	Rollout string   // the rollout concerned
	Refused *Refusal // why nothing changed; nil if something did
	Repeat  bool     // the trigger was known: Rollout or Refused say what became of it
	Events  []Event  // appended to the outbox by this entry
}

// Apply carries out one entry of the log. It is deterministic: every replica
// comes to the same state from the same entries. All transitions of a rollout
// stand in this file, but for that of lost hosts (lost.go); freezes have a file of
// their own (freeze.go).
func (s *State) Apply(index uint64, e Entry) Result {
	a := &applier{state: s, index: index, stamp: e.Stamp}
	s.Index = index
	s.Clock = max(s.Clock, e.At)
	s.confirm(e.Confirmed)
	a.apply(e.Command)
	return a.result
}

// Private

type applier struct {
	state  *State
	index  uint64
	stamp  Stamp
	result Result
}

func (a *applier) apply(c Command) {
	switch c := c.(type) {
	case Submit:
		a.submit(c)
	case Refuse:
		a.refuseTrigger(c)
	case Advance:
		a.onActive(c.Target, func(svc *Service, r *Rollout) *Refusal { return a.advance(svc, r, c) })
	case Approve:
		a.onActive(c.Target, func(svc *Service, r *Rollout) *Refusal { return a.approve(svc, r, c.Reason) })
	case Pause:
		a.onActive(c.Target, func(_ *Service, r *Rollout) *Refusal { return a.pause(r, c) })
	case Exclude:
		a.onActive(c.Target, func(svc *Service, r *Rollout) *Refusal { return a.exclude(svc, r, c) })
	case Lose:
		a.onActive(c.Target, func(_ *Service, r *Rollout) *Refusal { return a.lose(r, c) })
	case Release:
		a.release(c)
	case Raise:
		a.raise(c)
	case Freeze:
		a.freeze(c)
	case Thaw:
		a.thaw(c)
	case Tick: // the time is all it has
	case Renew:
		a.onActive(c.Target, func(_ *Service, r *Rollout) *Refusal { return a.renew(r) })
	case Resume:
		a.onActive(c.Target, func(_ *Service, r *Rollout) *Refusal { return a.resume(r, c.Reason) })
	case Promote:
		a.onActive(c.Target, func(svc *Service, r *Rollout) *Refusal { return a.promote(svc, r, c.Why) })
	case RollBack:
		a.onActive(c.Target, func(_ *Service, r *Rollout) *Refusal { return a.rollBack(r, c.Why, false) })
	case Abort:
		why := Why{Cause: CauseOperator, Text: c.Reason}
		a.onActive(c.Target, func(_ *Service, r *Rollout) *Refusal { return a.rollBack(r, why, true) })
	case Finish:
		a.onActive(c.Target, func(svc *Service, r *Rollout) *Refusal { return a.finish(svc, r, c) })
	}
}

// onActive runs a transition of the rollout that the target names, if it is
// still the one and nothing has moved since the command was decided. A
// transition that is carried out moves the epoch.
func (a *applier) onActive(t Target, transition func(*Service, *Rollout) *Refusal) {
	svc := a.state.Services[t.Service]
	a.result.Rollout = t.Rollout
	switch {
	case svc == nil:
		a.result.Refused = refusef(CodeUnknown, "", "no service %q", t.Service)
	case svc.Active == nil || svc.Active.ID != t.Rollout:
		a.result.Refused = refusef(CodeStale, "", "rollout %s does not run", t.Rollout)
	case svc.Epoch != t.Epoch:
		a.result.Refused = refusef(CodeStale, t.Rollout, "decided against epoch %d, now at %d", t.Epoch, svc.Epoch)
	default:
		a.result.Refused = transition(svc, svc.Active)
		if a.result.Refused == nil {
			svc.Epoch = a.index
		}
	}
}

func (a *applier) submit(c Submit) {
	if a.repeated(c.Key) || a.crowded() {
		return
	}
	if len(c.Spec.Steps) == 0 || len(c.Hosts) == 0 {
		a.refuse(c.Key, c.Spec.Service, &Refusal{Code: CodeInvalid, Field: "steps", Message: "a rollout needs steps and hosts"})
		return
	}
	svc := a.state.Services[c.Spec.Service]
	if svc == nil {
		svc = &Service{Name: c.Spec.Service}
	}
	switch {
	case a.unchanged(svc, c):
	case a.frozen(svc, c):
	case svc.Active == nil:
		a.state.Services[svc.Name] = svc
		a.start(svc, c)
		a.remember(c.Key, Outcome{Rollout: a.result.Rollout})
	case !c.Replace:
		refusal := refusef(CodeConflict, svc.Active.ID,
			"%s is %s at step %d of %d; abort it or send \"replace\": true",
			svc.Active.ID, svc.Active.Phase, svc.Active.Step+1, len(svc.Active.Spec.Steps))
		a.refuse(c.Key, svc.Name, refusal)
	case svc.Active.Phase == Promoting:
		a.refuse(c.Key, svc.Name, refusef(CodePhase, svc.Active.ID, "%s is being promoted; trigger again when it has ended", svc.Active.ID))
	case svc.Next != nil:
		a.refuse(c.Key, svc.Name, refusef(CodeConflict, svc.Active.ID, "another rollout waits already to take the place of %s; trigger again when it has started", svc.Active.ID))
	default:
		a.replace(svc, c)
	}
}

// crowded refuses, without a record, what would add events that no stream has
// taken for long: the trigger may come again. Running rollouts go on.
func (a *applier) crowded() bool {
	if len(a.state.Outbox) < maxOutbox {
		return false
	}
	a.result.Refused = refusef(CodeBusy, "", "%d events wait for the event stream; trigger again when it is back", len(a.state.Outbox))
	return true
}

// replace takes the running rollout back and keeps the new one until then.
func (a *applier) replace(svc *Service, c Submit) {
	svc.Next = &c
	id := svc.rolloutID(svc.Number + 1)
	why := Why{Cause: CauseReplaced, Text: "to make room for " + id}
	if refusal := a.rollBack(svc.Active, why, true); refusal == nil { // else it goes back already
		svc.Epoch = a.index
	}
	a.result.Rollout = id
	a.remember(c.Key, Outcome{Rollout: id})
}

func (a *applier) start(svc *Service, c Submit) {
	svc.Number++
	svc.Epoch = a.index
	now := a.state.Clock
	spec, kept := c.path()
	svc.Active = &Rollout{
		ID: svc.rolloutID(svc.Number), Service: svc.Name,
		Spec: spec, Kept: kept, From: svc.Stable, To: c.To, Hosts: c.Hosts,
		Phase: Preparing, By: c.By, Reason: c.Reason, Trace: c.Trace, Override: a.overridden(c),
		StartedAt: now, PhaseAt: now, Started: a.stamp.Wall,
	}
	a.begin(svc.Active)
	svc.Active.index()
	a.result.Rollout = svc.Active.ID
	head := "rolling out " + c.To.Version()
	if svc.Stable != nil {
		head += " over " + svc.Stable.Version()
	}
	text := sentence(head, c.Reason)
	if through := svc.Active.Override; through != "" {
		text += " (although " + through + ")"
	}
	a.emit(KindSubmitted, svc.Active, Event{Text: text, By: c.By, Key: c.Key})
}

func (a *applier) refuseTrigger(c Refuse) {
	if !a.repeated(c.Key) && !a.crowded() {
		a.refuse(c.Key, c.Service, &c.Refusal)
	}
}

func (a *applier) refuse(key, service string, refusal *Refusal) {
	a.result.Refused = refusal
	a.refused(key, service, refusal)
}

// refused tells, and remembers, that a trigger was refused.
func (a *applier) refused(key, service string, refusal *Refusal) {
	a.remember(key, Outcome{Refusal: refusal})
	kind, head := KindRefused, "refused"
	if refusal.Code == CodeUnchanged {
		kind, head = KindUnchanged, "nothing to do"
	}
	a.append(Event{Kind: kind, Service: service, Rollout: refusal.Rollout, Text: sentence(head, refusal.Error()), Refusal: refusal, Key: key})
}

// repeated answers a trigger that is known already.
func (a *applier) repeated(key string) bool {
	known, ok := a.state.Known(key)
	if ok {
		a.result.Repeat, a.result.Rollout, a.result.Refused = true, known.Rollout, known.Refusal
	}
	return ok
}

func (a *applier) remember(key string, o Outcome) {
	if key == "" {
		return
	}
	s := a.state
	o.Key, o.At = key, s.Clock
	s.Outcomes = append(s.Outcomes, o)
	if over := len(s.Outcomes) - maxOutcomes; over > 0 {
		s.Outcomes = s.Outcomes[over:]
	}
}

func (a *applier) enter(r *Rollout, p Phase) {
	r.Phase, r.PhaseAt = p, a.state.Clock
}

func (a *applier) advance(svc *Service, r *Rollout, c Advance) *Refusal {
	switch {
	case r.Phase == Preparing:
		r.Step = 0
	case r.Phase != Progressing && r.Phase != Paused:
		return wrongPhase(r, "advance")
	case r.LastStep():
		return a.promote(svc, r, c.Why)
	default:
		r.Step++
		if c.Next != nil {
			r.Spec.Steps = slices.Insert(slices.Clone(r.Spec.Steps), r.Step, *c.Next)
		}
	}
	r.Approved, r.Parked, r.Cause, r.Text = false, false, "", ""
	r.Baseline = c.Baseline
	a.begin(r)
	a.enter(r, Progressing)
	a.emit(KindStep, r, Event{Text: sentence(describe(r), c.Why.Text), Verdict: c.Why.Verdict})
	return nil
}

func (a *applier) approve(svc *Service, r *Rollout, reason string) *Refusal {
	if r.Phase != Progressing && r.Phase != Paused {
		return wrongPhase(r, "approve")
	}
	r.Approved = true
	a.emit(KindApproved, r, Event{Text: sentence(describe(r)+" is approved", reason)})
	if r.Phase == Paused && r.Cause == CauseApproval {
		return a.advance(svc, r, Advance{Baseline: r.Baseline})
	}
	return nil
}

func (a *applier) pause(r *Rollout, c Pause) *Refusal {
	if r.Phase != Progressing {
		return wrongPhase(r, "pause")
	}
	r.Parked, r.Cause, r.Text, r.Baseline = c.Park, c.Why.Cause, c.Why.Text, c.Baseline
	a.enter(r, Paused)
	a.emit(KindPaused, r, Event{Cause: r.Cause, Text: sentence("paused at "+describe(r), r.Text), Verdict: c.Why.Verdict, Blame: c.Why.Hosts})
	return nil
}

// exclude takes a host out of the rollout. The step begins again: its evidence
// and its hold are to be of the hosts that are left.
func (a *applier) exclude(svc *Service, r *Rollout, c Exclude) *Refusal {
	k := slices.Index(r.Hosts, c.Host)
	switch {
	case r.Phase != Progressing && r.Phase != Paused:
		return wrongPhase(r, "exclude a host from")
	case k < 0 || len(r.Hosts) == 1 || svc.Stable == nil:
		return refusef(CodeInvalid, r.ID, "%s cannot be excluded from %s", c.Host, r.ID)
	}
	r.Hosts = slices.Concat(r.Hosts[:k], r.Hosts[k+1:]) // published states share the old ones
	r.Excluded = append(slices.Clone(r.Excluded), Exclusion{Host: c.Host, Text: c.Why.Text})
	r.index()
	a.begin(r)
	a.emit(KindExcluded, r, Event{
		Cause: CauseHost, Verdict: c.Why.Verdict, Blame: []string{c.Host}, Host: c.Host,
		Text: sentence(c.Host+" goes back to stable, the rollout goes on without it", c.Why.Text),
	})
	return nil
}

// release lets a held host follow.
func (a *applier) release(c Release) {
	svc := a.state.Services[c.Service]
	if svc == nil {
		a.result.Refused = refusef(CodeUnknown, "", "no service %q", c.Service)
		return
	}
	if _, held := svc.Held[c.Host]; !held {
		a.result.Refused = refusef(CodeUnknown, "", "%s is not held back from %s", c.Host, c.Service)
		return
	}
	delete(svc.Held, c.Host)
	svc.Epoch = a.index
	a.append(Event{
		Kind: KindReleased, Service: c.Service, Host: c.Host,
		Text: sentence(c.Host+" follows "+svc.Stable.Version()+" again", c.Reason),
	})
}

// hold keeps the hosts that a promotion leaves out at what is stable there, and
// forgets those that it reaches.
func (svc *Service) hold(r *Rollout) {
	for _, host := range r.Hosts {
		delete(svc.Held, host)
	}
	for _, x := range r.Excluded {
		if _, held := svc.Held[x.Host]; held || r.From == nil {
			continue
		}
		if svc.Held == nil {
			svc.Held = map[string]Revision{}
		}
		svc.Held[x.Host] = *r.From
	}
}

func (a *applier) resume(r *Rollout, reason string) *Refusal {
	if r.Phase != Paused {
		return wrongPhase(r, "resume")
	}
	if r.Parked {
		a.anew(r) // a person wants the canary tried once more: the old evidence has had its say
	}
	r.Parked, r.Cause, r.Text = false, "", ""
	a.begin(r)
	a.enter(r, Progressing)
	a.emit(KindResumed, r, Event{Text: sentence("resumed at "+describe(r), reason)})
	return nil
}

func (a *applier) promote(svc *Service, r *Rollout, why Why) *Refusal {
	if r.Phase != Progressing && r.Phase != Paused {
		return wrongPhase(r, "promote")
	}
	to := r.To
	svc.hold(r)
	svc.Stable, svc.Spec = &to, r.Spec
	if r.Kept != nil {
		svc.Spec = *r.Kept
	}
	if svc.Spec.Pace == AutoPace {
		svc.Spec.Steps = AutoSteps() // the path that was found is this rollout's own
	}
	r.Step, r.Parked, r.Cause, r.Text = len(r.Spec.Steps)-1, false, "", ""
	a.enter(r, Promoting)
	a.emit(KindPromoting, r, Event{Text: sentence("promoting "+r.To.Version(), why.Text), Verdict: why.Verdict})
	return nil
}

func (a *applier) rollBack(r *Rollout, why Why, byPerson bool) *Refusal {
	if r.Phase != Preparing && r.Phase != Progressing && r.Phase != Paused {
		return wrongPhase(r, "roll back")
	}
	r.Cause, r.Text, r.Aborting = why.Cause, why.Text, byPerson
	a.enter(r, RollingBack)
	a.emit(KindRollingBack, r, Event{
		Cause: why.Cause, Verdict: why.Verdict, Blame: why.Hosts,
		Text: sentence("rolling back at step "+strconv.Itoa(r.Step+1)+" of "+strconv.Itoa(len(r.Spec.Steps)), why.Text),
	})
	return nil
}

func (a *applier) finish(svc *Service, r *Rollout, c Finish) *Refusal {
	kind, phase, text := KindSucceeded, Succeeded, "promoted: "+r.To.Version()+" is stable"
	switch {
	case r.Phase == RollingBack && r.Aborting:
		kind, phase, text = KindAborted, Aborted, sentence("aborted", r.Text)
	case r.Phase == RollingBack:
		kind, phase, text = KindRolledBack, RolledBack, sentence("rolled back", r.Text)
	case r.Phase != Promoting:
		return wrongPhase(r, "finish")
	}
	a.enter(r, phase)
	r.Ended = a.stamp.Wall
	lost := slices.Concat(r.Lost, c.Lost)
	a.emit(kind, r, Event{Cause: r.Cause, Text: text + r.left(c, len(lost)), Lost: lost, ZeroMillis: c.ZeroMillis})
	r.places = nil
	svc.History = append(svc.History, *r)
	if over := len(svc.History) - maxHistory; over > 0 {
		svc.History = slices.Delete(svc.History, 0, over)
	}
	svc.Active = nil
	if next := svc.Next; next != nil {
		svc.Next = nil
		a.start(svc, *next)
		a.result.Rollout = r.ID
	}
	return nil
}

// confirm drops the events that the stream is known to hold.
func (s *State) confirm(seq uint64) {
	for len(s.Outbox) > 0 && s.Outbox[0].Seq <= seq {
		s.Outbox = s.Outbox[1:]
	}
}

func wrongPhase(r *Rollout, verb string) *Refusal {
	return refusef(CodePhase, r.ID, "cannot %s %s: it is %s", verb, r.ID, r.Phase)
}
