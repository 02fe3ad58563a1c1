package check

import (
	"slices"
	"time"

	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Events is I11 and I1: events are numbered without gap or duplicate, those who
// follow see each once, and the rollouts of a service come one after another,
// each by the phases that there are.
func Events(r *history.Record) []Violation {
	f := found{promise: I11}
	for i, e := range r.End.Events {
		if e.Seq != uint64(i)+1 {
			f.add(0, "event %d stands where %d is due: %s", e.Seq, i+1, e.Text)
			break
		}
	}
	if len(r.End.Events) == 0 && r.End.Problem == "" {
		f.add(0, "there are no events")
	}
	last := uint64(0)
	for _, e := range r.Events {
		if e.Seq != last+1 {
			f.add(e.At, "an observer that follows saw event %d after %d: %s", e.Seq, last, e.Text)
		}
		last = e.Seq
		if i := int(e.Seq) - 1; i < len(r.End.Events) && r.End.Events[i].Text != e.Text {
			f.add(e.At, "event %d was %q, and is %q at the end", e.Seq, e.Text, r.End.Events[i].Text)
		}
	}
	return append(f.all, phases(r)...)
}

// Ends is I4: every rollout that began has ended by the end of the run.
func Ends(r *history.Record) []Violation {
	f := found{promise: I4}
	for _, s := range stories(r) {
		if _, ok := s.final(); !ok {
			last := s.events[len(s.events)-1]
			f.add(s.began, "%s is %s still: %s", s.rollout, last.Phase, last.Text)
		}
	}
	return f.all
}

// Triggers is I3: a trigger that was accepted has begun the rollout that the
// answer names, and no other; one that was repeated has begun one.
func Triggers(r *history.Record) []Violation {
	f := found{promise: I3}
	begun := map[string][]string{}
	for _, s := range stories(r) {
		if e, ok := s.find(rollout.KindSubmitted); ok && e.Key != "" {
			begun[e.Key] = append(begun[e.Key], s.rollout)
		}
	}
	for key, rollouts := range begun {
		if len(rollouts) > 1 {
			f.add(0, "the trigger %s has begun %v", key, rollouts)
		}
	}
	for _, op := range r.Ops {
		if op.Verb != history.Trigger || op.Unknown || !op.Reply.OK {
			continue
		}
		own := begun[keyPrefix+op.Service+":"+op.ID]
		accepted := !op.Reply.Unchanged || len(own) > 0
		if accepted && !slices.Equal(own, []string{op.Reply.Rollout}) {
			f.add(op.Back, "the trigger %s was told that it has begun %s, and has begun %v", op.ID, op.Reply.Rollout, own)
		}
	}
	return f.all
}

// Outcomes is that a version which is bad by design never becomes stable, unless a
// person promotes it.
func Outcomes(r *history.Record) []Violation {
	f, commands := found{promise: Bad}, commandsOf(r)
	for _, s := range stories(r) {
		promoting, _ := s.find(rollout.KindPromoting)
		_, byHand := commands[promoting.By]
		end, ok := s.final()
		if ok && end.Phase == rollout.Succeeded && slices.Contains(badIlls, s.plan.Ill) && !byHand {
			f.add(end.At, "%s has promoted %s, which %s", s.rollout, s.plan.Version, s.plan.Ill)
		}
	}
	return f.all
}

// Private

// badIlls are those that the errors gate or deaths must find.
var badIlls = []string{"errs", "dies", "leaks", Hanging} //nolint:gochecknoglobals // constant

// phases is I1.
func phases(r *history.Record) []Violation {
	f := found{promise: I1}
	running := map[string]string{}      // rollout by service
	phase := map[string]rollout.Phase{} // by rollout
	step := map[string]int{}            // by rollout
	for _, e := range seen(r) {
		if e.Phase == "" || e.Rollout == "" {
			continue
		}
		before := phase[e.Rollout]
		switch other := running[e.Service]; {
		case before.Final():
			f.add(e.At, "%s goes on after its end: %s", e.Rollout, e.Text)
		case before == "" && other != "":
			f.add(e.At, "%s begins while %s runs", e.Rollout, other)
		case before == "" && e.Kind != rollout.KindSubmitted:
			f.add(e.At, "%s begins with %q", e.Rollout, e.Kind)
		case !follows(before, e.Phase):
			f.add(e.At, "%s goes from %s to %s", e.Rollout, before, e.Phase)
		}
		if e.Kind == rollout.KindStep {
			if e.Step != step[e.Rollout]+1 {
				f.add(e.At, "%s takes step %d after step %d", e.Rollout, e.Step, step[e.Rollout])
			}
			step[e.Rollout] = e.Step
		}
		phase[e.Rollout], running[e.Service] = e.Phase, e.Rollout
		if e.Phase.Final() {
			running[e.Service] = ""
		}
	}
	return f.all
}

// follows is the diagram of internal/rollout's manual.
func follows(from, to rollout.Phase) bool {
	if from == to {
		return true
	}
	switch to {
	case rollout.Preparing:
		return from == ""
	case rollout.Progressing:
		return from == rollout.Preparing || from == rollout.Paused
	case rollout.Paused:
		return from == rollout.Preparing || from == rollout.Progressing
	case rollout.Promoting:
		return from == rollout.Progressing || from == rollout.Paused
	case rollout.RollingBack:
		return from == rollout.Preparing || from == rollout.Progressing || from == rollout.Paused
	case rollout.Succeeded:
		return from == rollout.Promoting
	case rollout.RolledBack, rollout.Aborted:
		return from == rollout.RollingBack
	}
	return false
}

// worst is the longest of some times, for what is bounded by several.
func worst(times ...time.Duration) time.Duration { return slices.Max(times) }
