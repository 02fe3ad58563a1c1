package record

import (
	"slices"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
)

const (
	// lookEvery is how often the verdict is looked at, in recorded time: a window of the analysis is
	// five times as long.
	lookEvery = time.Second
	// mostTurns bounds what is remembered of a verdict that cannot make up its mind.
	mostTurns = 1000
)

// Turn is a moment at which a gate, or all of them, came to something else than before.
type Turn struct {
	At   time.Duration
	Step int // from 1
	// Gate is the gate's name, "" for all of them together.
	Gate    string
	Outcome analysis.Outcome
	By      string // of all together: the gate that decides, "" if it takes all
	// Requests are canary's since the beginning, those of closed windows; Seen those of the step.
	Requests, Seen int64
	Host           string // that the difference comes from
	Outlier        string // of all gates together: a host whose canary alone is bad
	Reason         string
}

// Course is how a verdict developed over a record. It takes in entries and holds no more than a
// panel does, and the turns.
type Course struct {
	gates   analysis.Gates
	panel   *analysis.Panel
	began   bool
	attempt int           // which evidence this is, from 1; 0: unknown
	anew    bool          // the evidence has begun anew
	at      time.Duration // of the last entry
	from    time.Duration // of the first
	next    time.Duration // when to look again
	step    int
	heard   bool // something since the last look

	before  int64 // canary's requests in the steps before
	last    analysis.Verdict
	was     map[string]analysis.Outcome // by gate, "" for all
	outlier string

	turns   []Turn
	lost    int
	failed  *Turn
	verdict analysis.Verdict // at the failure
	checks  Checks
	full    bool
}

// Checks tells whether the verdicts that a record holds were repeated.
type Checks struct {
	// Verdicts is how many there were, Differ how many came out otherwise, First the first such.
	Verdicts, Differ int
	First            *Difference
}

// Difference is a verdict that came out otherwise.
type Difference struct {
	Line    int
	Differs string
}

// NewCourse begins to judge by these gates.
func NewCourse(gates analysis.Gates) *Course {
	return &Course{gates: gates, panel: analysis.NewPanel(gates), step: 1, was: map[string]analysis.Outcome{}}
}

// Take takes in the next entry; their times do not fall.
func (c *Course) Take(e Entry) {
	if e.Head != nil {
		c.open(*e.Head)
		return
	}
	if c.heard && e.At > c.at && e.At >= c.next {
		c.look(c.at)
		c.next = c.at + lookEvery
	}
	if !c.began {
		c.began, c.from = true, e.At
		if e.Step == nil && !e.Anew {
			c.panel.Restart(e.At, analysis.Step{})
		}
	}
	c.at = e.At
	c.heard = true
	switch {
	case e.Step != nil:
		c.restart(*e.Step)
	case e.Report != nil && e.Apart:
		c.panel.ObserveApart(*e.Report)
	case e.Report != nil:
		c.panel.Observe(*e.Report)
	case e.Told != nil:
		c.panel.Tell(e.Told.Gate, analysis.Told{At: e.At, Held: e.Told.Held, Text: e.Told.Text})
	case e.Missing != nil:
		c.panel.Unanswered(e.Missing.Gate, e.Missing.Why, e.At)
	case e.Unasked:
		c.panel.Unasked(e.At)
	case e.Exclude != "":
		c.panel.Exclude(e.Exclude)
	case e.Anew:
		c.look(e.At)
		if c.attempt > 0 {
			c.attempt++
		}
		c.panel = analysis.NewPanel(c.spend())
		c.failed, c.anew = nil, true
		c.forget()
	case e.Verdict != nil:
		c.check(e)
	case e.Full:
		c.full = true
	}
}

// End looks for the last time. After it nothing is to be taken in.
func (c *Course) End() {
	if c.began {
		c.look(c.at)
	}
}

// Result returns the verdict that decides: that of the first failure, which takes a canary back,
// or else the last one. Outliers decide nothing here: what follows from one is the rollout's choice.
func (c *Course) Result() analysis.Verdict {
	if c.failed != nil {
		return c.verdict
	}
	return c.last
}

// Decided returns the turn at which the result came about; false if it has not.
func (c *Course) Decided() (Turn, bool) {
	if c.failed != nil {
		return *c.failed, true
	}
	for _, t := range slices.Backward(c.turns) {
		if t.Gate == "" {
			return t, t.Outcome != analysis.Wait
		}
	}
	return Turn{}, false
}

// Turns returns what happened in order, and how many turns were too many to be kept.
func (c *Course) Turns() (turns []Turn, lost int) { return c.turns, c.lost }

// Span returns the time from the first entry to the last.
func (c *Course) Span() (from, to time.Duration) { return c.from, c.at }

// Step returns the step that the last entry belongs to, from 1.
func (c *Course) Step() int { return c.step }

// Requests returns canary's since the beginning, those of closed windows.
func (c *Course) Requests() int64 { return c.before + c.last.Canary.Requests }

// Checks returns what became of the verdicts that the record holds.
func (c *Course) Checks() Checks { return c.checks }

// Full reports whether the record ended because of its size.
func (c *Course) Full() bool { return c.full }

// Private

// open takes in which evidence of the rollout a record begins with.
func (c *Course) open(h Head) {
	if c.began {
		return
	}
	c.gates.Hosts = h.Hosts
	c.attempt, c.anew = max(0, h.Attempt), h.Attempt > 1
	c.panel = analysis.NewPanel(c.spend())
}

// spend returns the gates with what the evidence may spend of alpha.
func (c *Course) spend() analysis.Gates {
	if c.attempt == 0 {
		return c.gates
	}
	return c.gates.Attempt(c.attempt - 1)
}

// restart begins a step, or the first one.
func (c *Course) restart(s Step) {
	c.look(c.at)
	c.before += c.last.Canary.Requests
	c.step = s.Number
	c.panel.Restart(c.at, analysis.Step{Baseline: s.Baseline, Later: s.Number > 1 || c.anew})
	c.last = analysis.Verdict{}
	c.forget()
	c.next = c.at
}

// forget lets every gate wait, as it does at the beginning.
func (c *Course) forget() {
	clear(c.was)
	c.outlier = ""
}

// look asks for the verdict, and notes what has changed.
func (c *Course) look(now time.Duration) {
	c.heard = false
	v := c.panel.Verdict(now)
	c.last = v
	for _, f := range v.Findings {
		if f.Outcome != c.was[f.Gate] {
			c.was[f.Gate] = f.Outcome
			c.turn(Turn{Gate: f.Gate, Outcome: f.Outcome, Host: f.Host, Reason: f.Reason}, v)
		}
	}
	if v.Outcome == c.was[""] && v.Outlier == c.outlier {
		return
	}
	t := Turn{Outcome: v.Outcome, By: v.Gate, Host: v.Host, Outlier: v.Outlier, Reason: v.Reason}
	if v.Outlier != "" && v.Outlier != c.outlier && v.Outcome != analysis.Fail {
		t.Reason = v.OutlierReason
	}
	c.was[""], c.outlier = v.Outcome, v.Outlier
	t = c.turn(t, v)
	if v.Outcome == analysis.Fail && c.failed == nil {
		c.failed, c.verdict = &t, v
	}
}

func (c *Course) turn(t Turn, v analysis.Verdict) Turn {
	t.At, t.Step, t.Seen = v.At, c.step, v.Canary.Requests
	t.Requests = c.before + t.Seen
	if len(c.turns) == mostTurns {
		c.lost++
	} else {
		c.turns = append(c.turns, t)
	}
	return t
}

// check holds a recorded verdict against the one that comes out.
func (c *Course) check(e Entry) {
	c.look(e.At)
	c.checks.Verdicts++
	differs := Differs(*e.Verdict, c.last)
	if differs == "" {
		return
	}
	c.checks.Differ++
	if c.checks.First == nil {
		c.checks.First = &Difference{Line: e.Line, Differs: differs}
	}
}
