package check

import (
	"fmt"
	"maps"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// asked is a call's input; what it said, its output.
type asked struct {
	verb        history.Verb
	id, version string
	replace     bool
	approvals   []int  // steps of a trigger's rollout that wait for a person
	rollout     string // that is meant
	full        bool   // a promotion on all hosts at once
	host        string // that is released
	// turn numbers the entries of the log that moved the rollout, from 1; moves are what
	// this one did, all at once. A refused command did nothing.
	turn  int
	moves []move
	fleet int // hosts that there are
}

// move is one event of an entry.
type move struct {
	kind        rollout.Kind
	phase       rollout.Phase
	step, steps int
	fleet       int // hosts of the rollout
	cause       rollout.Cause
	host        string // that is excluded
}

// turned is the verb of what happens without a call.
const turned history.Verb = "turned"

// said is a call's output.
type said struct {
	answer  answer
	refused rollout.Code // of a command; empty: it was carried out
	seen    history.View
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
	course         // of the rollout that runs, or else the last one
	running string // rollout
	last    string // rollout
	next    course // that waits to take the place of the running one; nextID names it
	nextID  string
	stable  string // version
	// held are the hosts that keep an older version; false: they may, or not.
	held    map[string]bool
	answers map[string]answer
}

// course is where a rollout stands.
type course struct {
	target    string // version
	approvals []int  // steps that wait for a person
	turn      int    // how many turns it has taken
	phase     rollout.Phase
	step      int // that it is on, or that comes first
	approved  bool
	waits     bool     // for the approval of the step, and nothing else
	excluded  []string // hosts that it goes on without
}

func (s register) equal(o register) bool {
	return s.running == o.running && s.last == o.last && s.nextID == o.nextID && s.stable == o.stable &&
		s.course.equal(o.course) && s.next.equal(o.next) && maps.Equal(s.held, o.held) && maps.Equal(s.answers, o.answers)
}

func (c course) equal(o course) bool {
	return c.target == o.target && c.turn == o.turn && c.phase == o.phase && c.step == o.step && c.approved == o.approved && c.waits == o.waits &&
		slices.Equal(c.approvals, o.approvals) && slices.Equal(c.excluded, o.excluded)
}

func model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return register{} },
		Step: func(state, input, output any) (bool, any) {
			return state.(register).take(input.(asked), output.(said)) //nolint:forcetypeassert // they are ours
		},
		Equal:             func(a, b any) bool { return a.(register).equal(b.(register)) }, //nolint:forcetypeassert // they are ours
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
	}
}

// take tells whether that is possible, and what comes of it.
func (s register) take(in asked, out said) (bool, register) {
	switch {
	case out.refused != "":
		return s.refuses(in, out.refused), s
	case in.verb == history.Trigger:
		return s.trigger(in, out.answer)
	case in.verb == history.Look:
		return s.shows(out.seen)
	case in.verb == history.Release:
		_, held := s.held[in.host]
		s.held = maps.Clone(s.held)
		delete(s.held, in.host)
		return held, s
	}
	return s.turns(in)
}

// turns carries out an entry that moves the running rollout.
func (s register) turns(in asked) (legal bool, next register) {
	if s.running != in.rollout || s.turn != in.turn-1 {
		return false, s
	}
	s.turn = in.turn
	for _, m := range in.moves {
		if !s.may(in, m) {
			return false, s
		}
		s = s.moved(in, m)
	}
	return !s.waits || !s.approved, s // what lacked an approval alone goes on with it
}

// moved is what comes of a move.
func (s register) moved(in asked, m move) register {
	switch m.kind { //nolint:exhaustive // all others change the phase alone
	case rollout.KindStep:
		s.approved = false // it was for the step before
	case rollout.KindApproved:
		s.approved = true
	case rollout.KindPromoting:
		s = s.promoted(in, m)
	case rollout.KindExcluded:
		s.excluded = append(slices.Clone(s.excluded), m.host)
	}
	s.waits = m.phase == rollout.Paused && (s.waits || m.cause == rollout.CauseApproval)
	s.phase, s.step = m.phase, m.step
	if m.phase.Final() {
		s = s.ended()
	}
	return s
}

// may tells what internal/rollout's manual lets a rollout do, and whose command it takes.
func (c course) may(in asked, m move) bool {
	going, leaves, stays := c.going(), c.leaves(), m.step == c.step
	switch m.kind {
	case rollout.KindStep:
		return c.steps(m.step)
	case rollout.KindApproved:
		return stays && going && !leaves && in.verb == history.Promote && !in.full
	case rollout.KindPaused:
		return stays && c.phase == rollout.Progressing && (m.cause != rollout.CauseApproval || !leaves)
	case rollout.KindResumed:
		return stays && c.phase == rollout.Paused && in.verb == history.Resume
	case rollout.KindPromoting:
		return going && (in.full || c.step == m.steps && leaves)
	case rollout.KindRollingBack:
		return stays && (going || c.phase == rollout.Preparing)
	case rollout.KindExcluded, rollout.KindRenewed:
		return stays && going
	case rollout.KindLost:
		return stays
	case rollout.KindSucceeded:
		return stays && c.phase == rollout.Promoting
	case rollout.KindRolledBack, rollout.KindAborted:
		return stays && c.phase == rollout.RollingBack
	case rollout.KindRefused, rollout.KindUnchanged, rollout.KindSubmitted, rollout.KindReleased,
		rollout.KindFrozen, rollout.KindThawed: // no moves
	}
	return false
}

// going tells whether the rollout may take a step.
func (c course) going() bool { return c.phase == rollout.Progressing || c.phase == rollout.Paused }

// steps tells whether a step may be taken: the first one, or the next.
func (c course) steps(to int) bool {
	if c.phase == rollout.Preparing {
		return to == 1
	}
	return c.going() && to == c.step+1 && c.leaves()
}

// leaves tells whether the step may be left: nobody has to approve it, or somebody has.
func (c course) leaves() bool { return c.approved || !slices.Contains(c.approvals, c.step) }

// promoted makes the new version stable, but for hosts that were excluded. What is not
// told is which hosts the rollout had: one that was held back may still be, if it was
// not there when the rollout began.
func (s register) promoted(in asked, m move) register {
	held := map[string]bool{}
	for host, sure := range s.held {
		if slices.Contains(s.excluded, host) {
			held[host] = sure
		} else if m.fleet+len(s.excluded) < in.fleet {
			held[host] = false
		}
	}
	for _, host := range s.excluded {
		if _, known := held[host]; !known {
			held[host] = true
		}
	}
	s.stable, s.held = s.target, held
	return s
}

// ended makes room for the rollout that waits, which begins at once.
func (s register) ended() register {
	s.running = ""
	if s.nextID != "" {
		s = s.begin(s.nextID, s.next)
		s.next, s.nextID = course{}, ""
	}
	return s
}

func (s register) begin(id string, c course) register {
	s.running, s.last, s.course = id, id, c
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
	under := s.target == in.version && s.phase != rollout.RollingBack && s.nextID == ""
	fresh := course{target: in.version, approvals: in.approvals, phase: rollout.Preparing, step: 1}
	switch a.kind {
	case began:
		if s.running == "" {
			return s.last != a.rollout && s.stable != in.version, s.begin(a.rollout, fresh)
		}
		legal := in.replace && s.nextID == "" && s.phase != rollout.Promoting && s.running != a.rollout && !under
		s.nextID, s.next = a.rollout, fresh
		return legal, s
	case unchanged:
		if s.running == "" {
			return s.stable == in.version, s
		}
		return under, s
	case conflict:
		return s.running == a.rollout && !under && (!in.replace || s.nextID != ""), s
	case wrongPhase:
		return s.running != "" && in.replace && s.phase == rollout.Promoting, s
	}
	return true, s // refused for what the state does not tell, such as a registry that is away
}

// refuses tells whether a command may be refused so. Somebody else may have come first
// (CodeStale), and a host may not have taken a step that is to be left by hand.
func (s register) refuses(in asked, code rollout.Code) bool {
	runs := s.running == in.rollout
	switch {
	case in.verb == history.Release:
		sure := s.held[in.host]
		excluded := s.running != "" && slices.Contains(s.excluded, in.host)
		return !sure && (code == rollout.CodeUnknown || code == rollout.CodePhase && excluded)
	case code == rollout.CodeStale:
		return true
	case code != rollout.CodePhase:
		return false
	case in.verb == history.Pause:
		return !runs || s.phase != rollout.Progressing
	case in.verb == history.Resume:
		return !runs || s.phase != rollout.Paused
	case in.verb == history.Abort:
		return !runs || !s.going() && s.phase != rollout.Preparing
	}
	return !runs || !s.going() || !in.full && s.leaves()
}

// shows tells whether a look may show that, and what is then known.
func (s register) shows(v history.View) (bool, register) {
	step, needs := 0, s.running != "" && s.going() && !s.leaves()
	if s.last != "" {
		step = s.step
	}
	legal := v.Running == s.running && v.Last == s.last && v.To == s.target && v.Phase == s.phase && v.Step == step && v.NeedsApproval == needs && v.Stable == s.stable
	held := map[string]bool{}
	for _, host := range v.Held {
		_, may := s.held[host]
		legal = legal && may
		held[host] = true
	}
	for host, sure := range s.held {
		legal = legal && (!sure || held[host])
	}
	if len(s.held) > 0 {
		s.held = held
	}
	return legal, s
}
