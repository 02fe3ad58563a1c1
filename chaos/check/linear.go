package check

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// searchLimit bounds the search for an order of one service's calls.
const searchLimit = 30 * time.Second

// Linear is I15, and I3 in time: there is an order of all triggers, commands and
// looks, each between its call and its answer, in which they all say what a single
// coordinator that never fails would have said. Rollouts go on by themselves; their
// turns stand in the order as well, between the trigger and when they were seen.
func Linear(r *history.Record) []Violation {
	f := found{promise: I15}
	for service, calls := range callsOf(r) {
		switch result, _ := porcupine.CheckOperationsVerbose(model(), calls, searchLimit); result {
		case porcupine.Illegal:
			f.add(0, "%s: no order of its %d calls explains their answers: %s", service, len(calls), culprit(calls))
		case porcupine.Unknown:
			f.add(0, "%s: no order of its %d calls was found in %s", service, len(calls), searchLimit)
		case porcupine.Ok:
		}
	}
	return f.all
}

// Private

// callsOf are the operations of each service.
func callsOf(r *history.Record) map[string][]porcupine.Operation {
	calls := map[string][]porcupine.Operation{}
	outcomes := outcomesOf(r)
	unheard := map[string]history.Op{} // the first call of a trigger that nobody answered, by key
	for _, op := range r.Ops {
		key := keyPrefix + op.Service + ":" + op.ID
		switch {
		case op.Verb == history.Trigger && op.Unknown:
			if first, ok := unheard[key]; !ok || op.Called < first.Called {
				unheard[key] = op
			}
		case op.Verb == history.Trigger:
			calls[op.Service] = append(calls[op.Service], triggerCall(r, op, answerOf(op, outcomes[key].answer)))
		case op.Verb == history.Look:
			calls[op.Service] = append(calls[op.Service], operation(op, asked{verb: history.Look}, said{seen: op.Seen}))
		case !op.Unknown && !op.Reply.OK:
			in := asked{verb: op.Verb, rollout: op.Rollout, full: op.Full, host: op.Host}
			calls[op.Service] = append(calls[op.Service], operation(op, in, said{refused: op.Reply.Code}))
		}
	}
	// Repetitions change nothing, so one call stands for all that were not
	// answered; one that not even the log knows of was none.
	for key, op := range unheard {
		if outcome, ok := outcomes[key]; ok {
			call := triggerCall(r, op, outcome.answer)
			call.Return = max(int64(outcome.at), call.Call)
			calls[op.Service] = append(calls[op.Service], call)
		}
	}
	all := stories(r)
	commands := commandsOf(r)
	for _, s := range all {
		calls[s.service] = append(calls[s.service], turns(r, s, commands)...)
	}
	for service, released := range releases(r, commands) {
		calls[service] = append(calls[service], released...)
	}
	return calls
}

// outcome is what the log says of a trigger, and when that was seen.
type outcome struct {
	answer
	at time.Duration
}

// outcomesOf are those of all triggers, by their keys.
func outcomesOf(r *history.Record) map[string]outcome {
	outcomes := map[string]outcome{}
	for _, e := range seen(r) {
		switch {
		case e.Key == "":
		case e.Kind == rollout.KindSubmitted:
			outcomes[e.Key] = outcome{answer{began, e.Rollout}, e.At}
		case e.Refusal != nil:
			outcomes[e.Key] = outcome{told(string(e.Refusal.Code), e.Refusal.Rollout), e.At}
		}
	}
	return outcomes
}

// told makes comparable what says the same: which rollout runs is a matter of a
// conflict alone.
func told(kind, rolloutID string) answer {
	if kind != conflict {
		rolloutID = ""
	}
	return answer{kind, rolloutID}
}

// operation is a call that was answered.
func operation(op history.Op, in asked, out said) porcupine.Operation {
	return porcupine.Operation{ClientId: op.Client, Call: int64(op.Called), Return: int64(op.Back), Input: in, Output: out}
}

func triggerCall(r *history.Record, op history.Op, a answer) porcupine.Operation {
	in := asked{verb: history.Trigger, id: op.ID, version: op.Version, replace: op.Replace}
	in.approvals = planOf(r, keyPrefix+op.Service+":"+op.ID).Approvals
	return operation(op, in, said{answer: a})
}

// answerOf reads a reply. One that says that nothing changed, of a trigger that
// began a rollout earlier, repeats that.
func answerOf(op history.Op, logged answer) answer {
	switch {
	case op.Reply.OK && op.Reply.Unchanged && logged.kind == began && logged.rollout == op.Reply.Rollout:
		return logged
	case op.Reply.OK && op.Reply.Unchanged:
		return told(unchanged, "")
	case op.Reply.OK:
		return answer{began, op.Reply.Rollout}
	default:
		return told(string(op.Reply.Code), op.Reply.Rollout)
	}
}

// turns are what moved a rollout, by itself or by a command: each after the call that
// began it, and before it was seen.
func turns(r *history.Record, s story, commands map[string]history.Op) []porcupine.Operation {
	earliest := s.asked(r)
	var all []porcupine.Operation
	for _, entry := range entries(s.events) {
		in := asked{verb: turned, rollout: s.rollout, turn: len(all) + 1, fleet: len(r.Hosts)}
		for _, e := range entry {
			if e.Kind != rollout.KindSubmitted { // the trigger's, or the end of what ran before
				in.moves = append(in.moves, move{e.Kind, e.Phase, e.Step, e.Steps, e.Fleet, e.Cause, e.Host})
			}
		}
		if len(in.moves) > 0 {
			all = append(all, inTime(in, entry[0], earliest, commands))
		}
	}
	return all
}

// releases are the hosts that were let go, by service.
func releases(r *history.Record, commands map[string]history.Op) map[string][]porcupine.Operation {
	all := map[string][]porcupine.Operation{}
	for _, e := range seen(r) {
		if e.Kind == rollout.KindReleased {
			all[e.Service] = append(all[e.Service], inTime(asked{verb: history.Release, host: e.Host}, e, 0, commands))
		}
	}
	return all
}

// inTime is an entry of the log as an operation: between its command and the answer to
// that if it has one, and anyway before it was seen.
func inTime(in asked, e history.Event, earliest time.Duration, commands map[string]history.Op) porcupine.Operation {
	client, latest := fleetClient, max(e.At, earliest)
	if op, ok := commands[e.By]; ok {
		client, in.verb, in.full, earliest = op.Client, op.Verb, op.Full, max(op.Called, earliest)
		latest = max(e.At, earliest)
		if acknowledged(op) {
			latest = max(min(latest, op.Back), earliest)
		}
	}
	return porcupine.Operation{ClientId: client, Call: int64(earliest), Return: int64(latest), Input: in, Output: said{}}
}

// fleetClient is who does what nobody called for.
const fleetClient = -1

// culprit names the shortest beginning of the calls, in the order of their answers,
// that has no explanation even with the first of what was under way.
func culprit(calls []porcupine.Operation) string {
	slices.SortFunc(calls, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	for n := 1; n <= len(calls); n++ {
		if begun := begunBy(calls[n:], calls[n-1].Return); !explained(calls[:n], begun) {
			return describe(n, calls[n-1], begun)
		}
	}
	return "all of them together"
}

// explained tells whether calls have an order together with some of what was begun, of
// which the last may not have come to anything yet.
func explained(calls, begun []porcupine.Operation) bool {
	for n := len(begun); n >= 0; n-- {
		if porcupine.CheckOperationsTimeout(model(), slices.Concat(calls, begun[:n]), time.Second) != porcupine.Illegal {
			return true
		}
	}
	return false
}

func describe(n int, last porcupine.Operation, begun []porcupine.Operation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "the last of the first %d is %+v -> %+v, called at %s, answered at %s",
		n, last.Input, last.Output, time.Duration(last.Call), time.Duration(last.Return))
	for _, c := range begun {
		fmt.Fprintf(&b, "; under way since %s: %+v -> %+v", time.Duration(c.Call), c.Input, c.Output)
	}
	return b.String()
}

// begunBy are the calls that were under way at some time and may have changed
// something by then: their answers are as late as can be.
func begunBy(calls []porcupine.Operation, at int64) []porcupine.Operation {
	var all []porcupine.Operation
	for _, c := range calls {
		in, out := c.Input.(asked), c.Output.(said) //nolint:forcetypeassert // they are ours
		if c.Call <= at && (len(in.moves) > 0 || in.verb == history.Release && out.refused == "" || out.answer.kind == began) {
			c.Return = math.MaxInt64
			all = append(all, c)
		}
	}
	return all
}
