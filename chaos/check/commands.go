package check

import (
	"slices"

	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Commands is I15 too: the log has each command that was acknowledged, once and as
// what was asked for; none that was refused; and no approval, return or release that
// nobody has asked for.
func Commands(r *history.Record) []Violation {
	f, entries, calls := found{promise: I15}, entriesBy(r), commandsOf(r)
	for _, op := range r.Ops {
		if !isCommand(op) {
			continue
		}
		all := entries[op.ID]
		switch {
		case len(all) > 1:
			f.add(op.Back, "%s was carried out %d times: %s, %s", named(op), len(all), all[0][0].Text, all[1][0].Text)
		case len(all) == 0 && acknowledged(op):
			f.add(op.Back, "%s was acknowledged, and the log does not have it", named(op))
		case len(all) == 1 && !op.Unknown && !acknowledged(op):
			f.add(op.Back, "%s was refused (%s), and was carried out: %s", named(op), op.Reply.Message, all[0][0].Text)
		case len(all) == 1 && !asFor(op, all[0][0]):
			f.add(op.Back, "%s came to something else: %s", named(op), all[0][0].Text)
		}
	}
	for _, e := range seen(r) {
		if _, asked := calls[e.By]; !asked && byHand(e.Event) {
			f.add(e.At, "nobody has asked for it: %s", e.Text)
		}
	}
	return f.all
}

// Private

// isCommand tells a command from a trigger and a look.
func isCommand(op history.Op) bool { return op.Verb != history.Trigger && op.Verb != history.Look }

// acknowledged tells whether a command was said to be carried out.
func acknowledged(op history.Op) bool { return !op.Unknown && op.Reply.OK && !op.Reply.Unchanged }

// commandsOf are all commands, by who asked.
func commandsOf(r *history.Record) map[string]history.Op {
	all := map[string]history.Op{}
	for _, op := range r.Ops {
		if isCommand(op) {
			all[op.ID] = op
		}
	}
	return all
}

// entriesBy are the entries of the log by who asked for them: the events of each.
func entriesBy(r *history.Record) map[string][][]history.Event {
	by := map[string][][]history.Event{}
	for _, entry := range entries(seen(r)) {
		by[entry[0].By] = append(by[entry[0].By], entry)
	}
	return by
}

// entries groups events by the entry of the log that they came of.
func entries(all []history.Event) [][]history.Event {
	var groups [][]history.Event
	for _, e := range all {
		if n := len(groups); n > 0 && groups[n-1][0].Index == e.Index {
			groups[n-1] = append(groups[n-1], e)
		} else {
			groups = append(groups, []history.Event{e})
		}
	}
	return groups
}

// asFor tells whether what a command came to is what it asks for.
func asFor(op history.Op, e history.Event) bool {
	kinds := map[history.Verb][]rollout.Kind{
		history.Pause: {rollout.KindPaused}, history.Resume: {rollout.KindResumed}, history.Abort: {rollout.KindRollingBack},
		history.Promote: {rollout.KindApproved, rollout.KindStep, rollout.KindPromoting}, history.Release: {rollout.KindReleased},
	}[op.Verb]
	if op.Full {
		kinds = []rollout.Kind{rollout.KindPromoting}
	}
	return e.Service == op.Service && e.Rollout == op.Rollout && e.Host == op.Host && slices.Contains(kinds, e.Kind)
}

// byHand tells whether an event is of what serin does not do by itself.
func byHand(e rollout.Event) bool {
	switch e.Kind {
	case rollout.KindApproved, rollout.KindResumed, rollout.KindReleased, rollout.KindFrozen:
		return true
	case rollout.KindPaused, rollout.KindRollingBack:
		return e.Cause == rollout.CauseOperator
	case rollout.KindRefused, rollout.KindUnchanged, rollout.KindSubmitted, rollout.KindStep, rollout.KindRenewed, rollout.KindExcluded, rollout.KindLost, rollout.KindThawed,
		rollout.KindPromoting, rollout.KindSucceeded, rollout.KindRolledBack, rollout.KindAborted:
	}
	return false
}

func named(op history.Op) string {
	text := string(op.Verb)
	if op.Full {
		text += " all the way"
	}
	if op.Host != "" {
		text += " " + op.Host
	}
	return text + " of " + op.Service + " " + op.Rollout + " by " + op.ID
}

// byCommand counts the commands that were carried out, by what came of them.
type byCommand struct{ approvals, steps, promotions, releases, refused int }

// carried counts commands of those kinds that were carried out, and promotions and
// releases that were not.
func carried(r *history.Record) (n byCommand) {
	all := entriesBy(r)
	for _, op := range r.Ops {
		if op.Verb != history.Promote && op.Verb != history.Release {
			continue
		}
		entry := all[op.ID]
		switch {
		case len(entry) == 0:
			n.refused++
		case op.Verb == history.Release:
			n.releases++
		case op.Full:
			n.promotions++
		case entry[0][0].Kind == rollout.KindApproved:
			n.approvals++
		default:
			n.steps++
		}
	}
	return n
}
