package trace

import (
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Span is a part of a trace that has ended.
type Span struct {
	Name string
	// At is its place. One without a span's id is given one when it is exported.
	At Context
	// Parent is where it belongs; no place for the first of a trace.
	Parent     Context
	Start, End int64 // Unix microseconds, for display
	Attributes []Attribute
	Notes      []Note
	// Outcome says whether what was to be done was; Text says why it was not.
	Outcome Outcome
	Text    string
	// Seq is the event that ended it; 0 where there is none.
	Seq uint64
}

// Outcome is what the work of a span came to.
type Outcome int

// The outcomes.
const (
	Unset  Outcome = iota // neither, as when a person ended it
	Done                  // it was done
	Failed                // it was not
)

// Attribute is a fact about a span: a string, int64 or float64.
type Attribute struct {
	Key   string
	Value any
}

// Note is something that happened within a span.
type Note struct {
	Name       string
	Wall       int64 // Unix microseconds, for display
	Attributes []Attribute
}

// Spans makes spans of a rollout's events, in their order, and returns those that
// have ended. Events of other rollouts are left out. It only looks back: more
// events add spans and change none.
func (s Scope) Spans(events []rollout.Event) []Span {
	b := book{scope: s}
	for _, e := range events {
		if e.Phase != "" { // else it is of a trigger that the rollout was in the way of
			b.add(e)
		}
	}
	return b.ended
}

// Private

// book is the fold over a rollout's events.
type book struct {
	scope Scope
	phase *Span // that is open; nil before the first and after the last
	ended []Span
}

func (b *book) add(e rollout.Event) {
	name := nameOf(e.Phase, e.Step)
	if b.phase != nil && b.phase.Name == name {
		b.phase.Notes = append(b.phase.Notes, note(e))
		return
	}
	b.close(e)
	if name == "" {
		b.end(e)
		return
	}
	b.phase = &Span{
		Name: name, At: b.scope.child(name), Parent: b.scope.root, Start: micros(e.Wall), Attributes: append(about(e), stepOf(e)...),
	}
}

// close ends the open phase by the event that begins another.
func (b *book) close(e rollout.Event) {
	if b.phase == nil {
		return
	}
	x := *b.phase
	b.phase = nil
	x.End, x.Seq, x.Outcome = max(x.Start, micros(e.Wall)), e.Seq, Done
	x.Attributes = append(x.Attributes, verdictOf(e)...)
	if e.Phase == rollout.RollingBack {
		x.Outcome = Unset
		if !asked(e.Cause) {
			x.Outcome, x.Text = Failed, e.Text
		}
	}
	b.ended = append(b.ended, x)
}

// end ends the rollout.
func (b *book) end(e rollout.Event) {
	root := Span{
		Name: nameRollout, At: b.scope.root, Parent: b.scope.parent, Seq: e.Seq,
		Start: micros(b.scope.started), End: micros(max(b.scope.started, e.Wall)),
		Attributes: append(about(e), texts(
			keyFrom, e.From, keyTo, e.To, keyImage, e.Image, keyOutcome, string(e.Kind), keyCause, string(e.Cause),
		)...),
	}
	root.Attributes = append(root.Attributes, Attribute{keySteps, int64(e.Steps)}, Attribute{keyHosts, int64(e.Fleet)})
	if e.Kind != rollout.KindSucceeded && e.ZeroMillis > 0 {
		root.Attributes = append(root.Attributes, Attribute{keyZero, float64(e.ZeroMillis) / 1000})
	}
	switch e.Kind {
	case rollout.KindSucceeded:
		root.Outcome = Done
	case rollout.KindRolledBack:
		root.Outcome, root.Text = Failed, e.Text
	default: // a person ended it
	}
	b.ended = append(b.ended, root)
}

// asked reports whether a return was a person's will.
func asked(c rollout.Cause) bool { return c == rollout.CauseOperator || c == rollout.CauseReplaced }

func micros(millis int64) int64 { return millis * 1000 }
