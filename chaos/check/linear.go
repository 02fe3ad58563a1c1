package check

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// searchLimit bounds the search for an order of one service's calls.
const searchLimit = 30 * time.Second

// Linear is I15, and I3 in time: there is an order of all triggers and looks,
// each between its call and its answer, in which they all say what a single
// coordinator that never fails would have said. Rollouts end by themselves; their
// ends stand in the order as well, between the trigger and when they were seen.
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
	rollout     string // that ended, or begins to be promoted
	phase       rollout.Phase
}

// Verbs of the fleet's own: what happens without a call.
const (
	ended     history.Verb = "ended"
	promoting history.Verb = "promoting"
	returning history.Verb = "returning"
)

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
	began     = "began"
	unchanged = string(rollout.CodeUnchanged)
	conflict  = string(rollout.CodeConflict)
)

// register is what a coordinator knows of one service.
type register struct {
	running, target string // rollout and its version
	last            string // rollout
	promoting       bool
	returning       bool
	stable          string // version
	answers         map[string]answer
}

func (s register) equal(o register) bool {
	return s.running == o.running && s.target == o.target && s.last == o.last && s.promoting == o.promoting && s.returning == o.returning &&
		s.stable == o.stable && maps.Equal(s.answers, o.answers)
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

func (s register) step(in asked, out said) (bool, register) {
	switch in.verb {
	case history.Trigger:
		return s.trigger(in, out.answer)
	case history.Abort:
		return s.running == in.rollout && !s.promoting, s // that it returns is an event of its own
	case history.Look:
		return s.shows(out.seen), s
	case promoting:
		next := s
		next.promoting = true
		return s.running == in.rollout && !s.promoting && !s.returning, next
	case returning:
		next := s
		next.returning = true
		return s.running == in.rollout && !s.promoting && !s.returning, next
	case ended:
		next := s
		next.running, next.promoting, next.returning = "", false, false
		good := in.phase == rollout.Succeeded
		if good {
			next.stable = s.target
		}
		return s.running == in.rollout && s.promoting == good && s.returning == !good, next
	}
	return false, s
}

func (s register) trigger(in asked, a answer) (bool, register) {
	if known, ok := s.answers[in.id]; ok {
		return known == a, s
	}
	next := s
	next.answers = maps.Clone(s.answers)
	if next.answers == nil {
		next.answers = map[string]answer{}
	}
	next.answers[in.id] = a
	switch a.kind {
	case began:
		next.running, next.last, next.target = a.rollout, a.rollout, in.version
		return s.running == "" && s.last != a.rollout && s.stable != in.version, next
	case unchanged:
		if s.running == "" {
			return s.stable == in.version, next
		}
		return s.target == in.version && !s.returning, next
	case conflict:
		return s.running == a.rollout && (s.target != in.version || s.returning), next
	}
	return true, next // refused for what the state does not tell, such as a registry that is away
}

// shows tells whether a look may show that. While it is promoted, the new
// version may be called stable already.
func (s register) shows(v history.View) bool {
	stable := v.Stable == s.stable || s.promoting && v.Stable == s.target
	phase := (v.Phase == rollout.Promoting) == s.promoting && (v.Phase == rollout.RollingBack) == s.returning
	return v.Running == s.running && v.Last == s.last && stable && phase
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
	for _, s := range stories(r) {
		if submitted, ok := s.find(rollout.KindSubmitted); ok {
			calls[s.service] = append(calls[s.service], transitions(r, s, submitted)...)
		}
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

// callOf is the operation of a call that was answered.
func callOf(op history.Op, logged answer) (porcupine.Operation, bool) {
	call := porcupine.Operation{ClientId: op.Client, Call: int64(op.Called), Return: int64(op.Back)}
	switch op.Verb {
	case history.Look:
		call.Input, call.Output = asked{verb: history.Look}, said{seen: op.Seen}
		return call, !op.Unknown
	case history.Abort:
		call.Input, call.Output = asked{verb: history.Abort, rollout: op.Rollout}, said{}
		return call, !op.Unknown && op.Reply.OK && !op.Reply.Unchanged
	case history.Trigger:
		return triggerCall(op, answerOf(op, logged)), true
	}
	return call, false
}

func triggerCall(op history.Op, a answer) porcupine.Operation {
	return porcupine.Operation{
		ClientId: op.Client, Call: int64(op.Called), Return: int64(op.Back),
		Input: asked{verb: history.Trigger, id: op.ID, version: op.Version}, Output: said{answer: a},
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

// transitions are what a rollout did by itself: each after the call that began
// it, and before it was seen.
func transitions(r *history.Record, s story, submitted history.Event) []porcupine.Operation {
	earliest := int64(0)
	if i := slices.IndexFunc(r.Ops, func(op history.Op) bool {
		return op.Verb == history.Trigger && keyPrefix+op.Service+":"+op.ID == submitted.Key
	}); i >= 0 {
		earliest = int64(r.Ops[i].Called)
		for _, op := range r.Ops[i:] {
			if op.Verb == history.Trigger && op.ID == r.Ops[i].ID && op.Service == r.Ops[i].Service {
				earliest = min(earliest, int64(op.Called))
			}
		}
	}
	var all []porcupine.Operation
	add := func(e history.Event, in asked) {
		all = append(all, porcupine.Operation{ClientId: fleetClient, Call: earliest, Return: max(int64(e.At), earliest), Input: in, Output: said{}})
	}
	if e, ok := s.find(rollout.KindPromoting); ok {
		add(e, asked{verb: promoting, rollout: s.rollout})
	}
	if e, ok := s.find(rollout.KindRollingBack); ok {
		add(e, asked{verb: returning, rollout: s.rollout})
	}
	if e, ok := s.final(); ok {
		add(e, asked{verb: ended, rollout: s.rollout, phase: e.Phase})
	}
	return all
}

// fleetClient is who does what nobody called for.
const fleetClient = -1

// culprit names the shortest beginning of the calls, in the order of their
// answers, that has no explanation.
func culprit(calls []porcupine.Operation) string {
	slices.SortFunc(calls, func(a, b porcupine.Operation) int {
		if a.Return < b.Return {
			return -1
		}
		return 1
	})
	for n := 1; n <= len(calls); n++ {
		if porcupine.CheckOperationsTimeout(model(), calls[:n], time.Second) == porcupine.Illegal {
			last := calls[n-1]
			return fmt.Sprintf("the last of the first %d is %+v -> %+v, called at %s, answered at %s",
				n, last.Input, last.Output, time.Duration(last.Call), time.Duration(last.Return))
		}
	}
	return "all of them together"
}
