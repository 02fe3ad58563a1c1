package sim

import (
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// checkFreeze: while a service, or the fleet, is frozen no rollout of it begins but by
// a person's override and as a return to what was stable before; nothing else is
// refused for that, and nothing once the freeze has ended.
func (r *record) checkFreeze(clock time.Duration, c rollout.Command, result rollout.Result) {
	r.noteFreeze(clock, c, result)
	submit, begins := c.(rollout.Submit)
	if begins && (submit.Back || submit.Override) {
		r.passing[submit.Key] = true
	}
	for _, e := range result.Events {
		if e.Kind == rollout.KindSubmitted && r.isFrozen(e.Service, clock) && !r.passing[e.Key] {
			r.w.violate("freeze", "%s began while it was frozen", e.Rollout)
		}
	}
	if result.Refused == nil || result.Refused.Code != rollout.CodeFrozen || result.Repeat {
		return
	}
	r.w.tally.Frozen++
	if !begins || submit.Back || submit.Override || !r.isFrozen(submit.Spec.Service, clock) {
		r.w.violate("freeze", "%T is refused, and nothing bars it: %v", c, result.Refused)
	}
}

// Private

// noteFreeze notes what is frozen, until when on the fleet's clock.
func (r *record) noteFreeze(clock time.Duration, c rollout.Command, result rollout.Result) {
	if result.Refused != nil {
		return
	}
	switch c := c.(type) {
	case rollout.Freeze:
		r.freezes[c.Service] = rollout.Never
		if c.For > 0 {
			r.freezes[c.Service] = clock + c.For
		}
	case rollout.Thaw:
		if c.Over != 0 && clock < r.freezes[c.Service] {
			r.w.violate("freeze", "the freeze of %s ended by itself, %s early", c.Service, r.freezes[c.Service]-clock)
		}
		delete(r.freezes, c.Service)
	default:
	}
}

func (r *record) isFrozen(service string, clock time.Duration) bool {
	return clock < max(r.freezes[service], r.freezes[rollout.Fleet])
}

// droppedFrom tells whether a trigger that was accepted as a rollout, which was to take
// another's place, was refused later, when a freeze came before its turn.
func droppedFrom(id string, refusal *rollout.Refusal) bool {
	return id != "" && refusal != nil && refusal.Code == rollout.CodeFrozen && refusal.Rollout == id
}

// timeless is a text without what it has of wall clocks: when freezes end.
func timeless(text string) string {
	head, rest, ok := strings.Cut(text, " until ")
	if !ok {
		return text
	}
	_, tail, _ := strings.Cut(rest, " UTC")
	return head + timeless(tail)
}
