package check

import (
	"cmp"
	"fmt"
	"maps"
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

// asked is a call's input; what it said, its output.
type asked struct {
	verb        history.Verb
	id, version string
	replace     bool
	ending      bool   // another rollout may have ended between the trigger's call and its answer
	rollout     string // that is meant
	turn        int    // of a turn of the rollout's: its number, from 1
	phase       rollout.Phase
}

// turned is the verb of what happens without a call: a rollout enters another
// phase. Its turns have numbers, since their events have an order.
const turned history.Verb = "turned"

// said is a call's output.
type said struct {
	answer answer
	seen   history.View
}

// answer is what a trigger was told; comparable.
type answer struct {
	kind    string // "began", "unchanged", "conflict" or another code
	rollout string
}

const (
	began      = "began"
	unchanged  = string(rollout.CodeUnchanged)
	conflict   = string(rollout.CodeConflict)
	wrongPhase = string(rollout.CodePhase)
)

// register is what a coordinator knows of one service.
type register struct {
	running, target string // rollout and its version
	turn            int    // how many turns it has taken
	phase           rollout.Phase
	last            string // rollout
	next, nextTo    string // rollout that waits to take the place of the running one, and its version
	stable          string // version
	answers         map[string]answer
}

func (s register) equal(o register) bool {
	return maps.Equal(s.answers, o.answers) && s.running == o.running && s.target == o.target && s.turn == o.turn &&
		s.phase == o.phase && s.last == o.last && s.next == o.next && s.nextTo == o.nextTo && s.stable == o.stable
}

func model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return register{} },
		Step: func(state, input, output any) (bool, any) {
			return state.(register).step(input.(asked), output.(said)) //nolint:forcetypeassert // they are ours
		},
		Equal:             func(a, b any) bool { return a.(register).equal(b.(register)) }, //nolint:forcetypeassert // they are ours
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
	}
}

// step tells whether that is possible, and what comes of it. An operator's command
// has the effect that its event tells of, a turn of its own: what is asked of its
// answer is that the rollout is as the command makes it, then.
func (s register) step(in asked, out said) (bool, register) {
	runs := s.running == in.rollout
	switch in.verb {
	case history.Trigger:
		return s.trigger(in, out.answer)
	case history.Abort:
		return runs && s.phase != rollout.Promoting, s
	case history.Pause:
		return runs && s.phase == rollout.Paused, s
	case history.Resume:
		return runs && s.phase == rollout.Progressing, s
	case history.Look:
		return s.shows(out.seen), s
	case turned:
		return runs && s.turn == in.turn-1, s.enter(in)
	}
	return false, s
}

// enter is a turn of the running rollout. When it has ended another may begin in its
// place at once.
func (s register) enter(in asked) register {
	s.turn, s.phase = in.turn, in.phase
	if !in.phase.Final() {
		return s
	}
	if in.phase == rollout.Succeeded {
		s.stable = s.target
	}
	next, to := s.next, s.nextTo
	s.running, s.target, s.next, s.nextTo = "", "", "", ""
	if next != "" {
		s = s.begin(next, to)
	}
	return s
}

func (s register) begin(id, version string) register {
	s.running, s.last, s.target, s.turn, s.phase = id, id, version, 0, rollout.Preparing
	return s
}

func (s register) trigger(in asked, a answer) (bool, register) {
	if known, ok := s.answers[in.id]; ok {
		return known == a, s
	}
	answers := maps.Clone(s.answers)
	if answers == nil {
		answers = map[string]answer{}
	}
	answers[in.id] = a
	legal, next := s.decide(in, a)
	next.answers = answers
	return legal, next
}

// decide tells whether a trigger that is new may come to that.
func (s register) decide(in asked, a answer) (bool, register) {
	under := s.target == in.version && s.phase != rollout.RollingBack && s.next == ""
	switch a.kind {
	case began:
		if s.running == "" {
			// Whether there is anything to do is judged when a trigger comes; before it is
			// decided what ran then may have ended.
			return s.last != a.rollout && (in.ending || s.stable != in.version), s.begin(a.rollout, in.version)
		}
		legal := in.replace && s.next == "" && s.phase != rollout.Promoting && s.running != a.rollout && !under
		s.next, s.nextTo = a.rollout, in.version
		return legal, s
	case unchanged:
		if s.running == "" {
			return s.stable == in.version, s
		}
		return under, s
	case conflict:
		return s.running == a.rollout && !under && (!in.replace || s.next != ""), s
	case wrongPhase:
		return s.running != "" && in.replace && s.phase == rollout.Promoting, s
	}
	return true, s // refused for what the state does not tell, such as a registry that is away
}

// shows tells whether a look may show that. While it is promoted, the new
// version may be called stable already.
func (s register) shows(v history.View) bool {
	stable := v.Stable == s.stable || s.phase == rollout.Promoting && v.Stable == s.target
	return v.Running == s.running && v.Last == s.last && v.Phase == s.phase && stable
}

// callsOf are the operations of each service.
func callsOf(r *history.Record) map[string][]porcupine.Operation {
	calls := map[string][]porcupine.Operation{}
	outcomes := outcomesOf(r)
	unheard := map[string]history.Op{} // the first call of a trigger that nobody answered, by key
	for _, op := range r.Ops {
		key := keyPrefix + op.Service + ":" + op.ID
		if op.Unknown && op.Verb == history.Trigger {
			if first, ok := unheard[key]; !ok || op.Called < first.Called {
				unheard[key] = op
			}
		} else if call, ok := callOf(op, outcomes[key].answer); ok {
			calls[op.Service] = append(calls[op.Service], call)
		}
	}
	// Repetitions change nothing, so one call stands for all that were not
	// answered; one that not even the log knows of was none.
	for key, op := range unheard {
		if outcome, ok := outcomes[key]; ok {
			call := triggerCall(op, outcome.answer)
			call.Return = max(int64(outcome.at), call.Call)
			calls[op.Service] = append(calls[op.Service], call)
		}
	}
	all := stories(r)
	for service := range calls {
		markEnding(r, service, all, calls[service])
	}
	for _, s := range all {
		calls[s.service] = append(calls[s.service], turns(r, s)...)
	}
	return calls
}

// markEnding notes at each trigger that began a rollout whether another one of the
// service was there, and may not have ended, when it was called.
func markEnding(r *history.Record, service string, all []story, calls []porcupine.Operation) {
	for i, c := range calls {
		in, a := c.Input.(asked), c.Output.(said).answer //nolint:forcetypeassert // they are ours
		in.ending = a.kind == began && slices.ContainsFunc(all, func(s story) bool {
			return s.service == service && s.rollout != a.rollout && int64(s.asked(r)) < c.Call && int64(s.ended(r.Took)) >= c.Call
		})
		calls[i].Input = in
	}
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

// callOf is the operation of a call that was answered.
func callOf(op history.Op, logged answer) (porcupine.Operation, bool) {
	call := porcupine.Operation{ClientId: op.Client, Call: int64(op.Called), Return: int64(op.Back)}
	switch op.Verb {
	case history.Look:
		call.Input, call.Output = asked{verb: history.Look}, said{seen: op.Seen}
		return call, !op.Unknown
	case history.Abort, history.Pause, history.Resume:
		call.Input, call.Output = asked{verb: op.Verb, rollout: op.Rollout}, said{}
		return call, !op.Unknown && op.Reply.OK && !op.Reply.Unchanged
	case history.Trigger:
		return triggerCall(op, answerOf(op, logged)), true
	}
	return call, false
}

func triggerCall(op history.Op, a answer) porcupine.Operation {
	return porcupine.Operation{
		ClientId: op.Client, Call: int64(op.Called), Return: int64(op.Back),
		Input: asked{verb: history.Trigger, id: op.ID, version: op.Version, replace: op.Replace}, Output: said{answer: a},
	}
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

// turns are what a rollout did by itself: each after the call that began it, and
// before it was seen.
func turns(r *history.Record, s story) []porcupine.Operation {
	earliest := s.asked(r)
	var all []porcupine.Operation
	phase := rollout.Preparing
	for _, e := range s.events {
		if e.Phase == phase {
			continue
		}
		phase = e.Phase
		all = append(all, porcupine.Operation{
			ClientId: fleetClient, Call: int64(earliest), Return: int64(max(e.At, earliest)),
			Input: asked{verb: turned, rollout: s.rollout, turn: len(all) + 1, phase: phase}, Output: said{},
		})
	}
	return all
}

// fleetClient is who does what nobody called for.
const fleetClient = -1

// culprit names the shortest beginning of the calls, in the order of their answers,
// that has no explanation even with what was under way.
func culprit(calls []porcupine.Operation) string {
	slices.SortFunc(calls, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	for n := 1; n <= len(calls); n++ {
		begun := begunBy(calls[n:], calls[n-1].Return)
		if porcupine.CheckOperationsTimeout(model(), slices.Concat(calls[:n], begun), time.Second) == porcupine.Illegal {
			return describe(n, calls[n-1], begun)
		}
	}
	return "all of them together"
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
		if c.Call <= at && (in.verb == turned || out.answer.kind == began) {
			c.Return = math.MaxInt64
			all = append(all, c)
		}
	}
	return all
}
