package rollout

// Renew begins the evidence of a rollout anew: a leader has not heard all of
// what was judged so far. It has its own part of the budget (Rollout.Anew), so
// that changes of leaders do not add to the chance of a false rollback. The
// step, its hold and its deadline go on.
type Renew struct{ Target }

// Private

// begin starts the current step, from the first one of a rollout on.
func (a *applier) begin(r *Rollout) {
	r.StepAt = a.state.Clock
	a.cut(r)
}

// cut begins the evidence of the step with what hosts report from here on. A
// replica of an earlier release could not read a state that says so.
func (a *applier) cut(r *Rollout) {
	if a.state.AtLevel() >= LevelRenew {
		r.StepEpoch = a.index
	}
}

func (a *applier) renew(r *Rollout) *Refusal {
	if r.Phase != Progressing && r.Phase != Paused {
		return wrongPhase(r, "begin the evidence anew of")
	}
	a.anew(r)
	a.cut(r)
	a.emit(KindRenewed, r, Event{
		Text: sentence("evidence begins anew at "+describe(r), "whoever leads now has not heard all of what came before"),
	})
	return nil
}

// anew counts evidence that begins anew, as soon as every replica can count.
func (a *applier) anew(r *Rollout) {
	if a.state.AtLevel() >= LevelRenew {
		r.Anew++
	}
}
