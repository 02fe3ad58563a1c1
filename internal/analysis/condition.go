package analysis

import (
	"fmt"
	"time"
)

// defaultFailures is how many times running a condition has to be false.
const defaultFailures = 3

// ConditionGate is a gate that somebody else decides, again and again: see Panel.Tell.
type ConditionGate struct {
	Conduct

	// Failures is how many times running the condition has to be false to fail the gate;
	// default 3.
	Failures int
}

// Told is what a condition came to once.
type Told struct {
	At   time.Duration // on the fleet's clock
	Held bool
	Text string // what was read, and what was asked of it, in one line
}

// Tell takes in what the named gate's condition came to. One that could not be evaluated, for want
// of data, is not told.
func (p *Panel) Tell(gate string, told Told) {
	for _, s := range p.seats {
		if j, ok := s.judge.(*conditionJudge); ok && s.Name == gate {
			j.tell(told)
			s.heard = max(s.heard, told.At)
		}
	}
}

// Unasked takes in that whoever tells this panel has asked no condition until now: the canary did not
// serve, or somebody else has asked. Their silence, if they are silent, begins here; what they came to
// before is not of now, and failures running are counted from none. What has failed has failed.
func (p *Panel) Unasked(now time.Duration) {
	for _, s := range p.seats {
		if j, ok := s.judge.(*conditionJudge); ok {
			s.began = max(s.began, now)
			j.forget()
			j.failed = 0
		}
	}
}

// Unanswered notes why the named gate's condition had no answer when it was asked at the leader's
// time now. That is silence, told in words.
func (p *Panel) Unanswered(gate, why string, now time.Duration) {
	for _, s := range p.seats {
		if j, ok := s.judge.(*conditionJudge); ok && s.Name == gate {
			j.miss(why, now)
		}
	}
}

// conditionJudge counts. Nothing is claimed about chance: the condition is the user's own.
type conditionJudge struct {
	name    string // of the gate: what was read and asked does not tell which one it is
	most    int    // failures in a row that are too many
	failed  int    // in a row, over steps too
	held    bool
	heard   bool // in this step
	asked   bool // in this step, perhaps in vain
	last    Told
	latched bool          // failed for good
	missing string        // why it had no answer when it was last asked; "" if it had one
	since   time.Duration // when it first had none; of use with missing
}

func newConditionJudge(g ConditionGate) *conditionJudge {
	most := g.Failures
	if most <= 0 {
		most = defaultFailures
	}
	return &conditionJudge{name: g.Name, most: most}
}

func (j *conditionJudge) tell(t Told) {
	if t.At < j.last.At {
		return
	}
	j.last, j.heard, j.asked, j.held, j.missing = t, true, true, t.Held, ""
	if t.Held {
		j.failed = 0
		return
	}
	j.failed++
	j.latched = j.latched || j.failed >= j.most
}

func (j *conditionJudge) miss(why string, now time.Duration) {
	if j.missing == "" {
		j.since = now
	}
	j.missing, j.asked = why, true
}

// observe takes nothing from reports: what they hold reaches the condition through its readings.
func (*conditionJudge) observe(Report) bool { return false }

func (j *conditionJudge) restart(time.Duration, Step) { j.forget() }

// forget makes it wait until it is asked again.
func (j *conditionJudge) forget() { j.heard, j.asked, j.missing = false, false, "" }

func (j *conditionJudge) finding(now time.Duration) Finding {
	f := Finding{At: now, Reason: j.name + " has not been evaluated in this step yet"}
	switch {
	case j.latched:
		f.Outcome = Fail
		f.Reason = fmt.Sprintf("%s was false %s running: %s", j.name, plural(j.most, "time"), j.last.Text)
	case !j.heard && j.missing != "":
		f.Reason = j.name + " has " + j.lack(now)
	case !j.heard:
	case j.held:
		f.Outcome = Pass
		f.Reason = j.name + " holds: " + j.last.Text
	default:
		f.Reason = fmt.Sprintf("%s is false, %d of %s running: %s", j.name, j.failed, plural(j.most, "time"), j.last.Text)
	}
	if j.heard && !j.latched && j.missing != "" {
		f.Reason += "; since then " + j.lack(now)
	}
	return f
}

// lack says why there is no answer, and for how long there has been none.
func (j *conditionJudge) lack(now time.Duration) string {
	if long := (now - j.since).Round(time.Second); long > 0 {
		return "no answer for " + long.String() + ": " + j.missing
	}
	return "no answer: " + j.missing
}
