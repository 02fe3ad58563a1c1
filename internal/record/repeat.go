package record

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Repeated is a decision that was judged again by what its event carries.
type Repeated struct {
	Event rollout.Event
	// Judged is what came out; Differs says in which respect it is not what the event says, "" if
	// it is the same in every number.
	Judged  analysis.Verdict
	Differs string
	// Left are gates whose findings were taken as they are.
	Left []string
}

// Repeat judges the decisions of events again, as `serin events -o json` prints them, one a line,
// and hands on each that carries a verdict. It returns how many events there were without one, or
// with one that decided nothing: what was known when a deadline ended a rollout.
func Repeat(in io.Reader, each func(Repeated)) (others int, err error) {
	lines := NewLines(in)
	for {
		text, err := lines.Raw()
		if errors.Is(err, io.EOF) {
			return others, nil
		}
		if err != nil {
			return others, err
		}
		e, err := event.Decode(text)
		if err != nil {
			return others, &LineError{lines.Line(), err}
		}
		if e.Verdict == nil || e.Verdict.Outcome == analysis.Wait && !carries(*e.Verdict) {
			others++
			continue
		}
		again, err := e.Verdict.Repeat()
		if err != nil {
			return others, &LineError{lines.Line(), err}
		}
		each(Repeated{Event: e, Judged: again, Differs: Differs(*e.Verdict, again), Left: e.Verdict.Left()})
	}
}

// Differs says in which respect a verdict is not what another is; "" if they are equal in every
// number and word.
func Differs(was, is analysis.Verdict) string {
	if reflect.DeepEqual(was, is) {
		return ""
	}
	if was.Outcome != is.Outcome || was.Gate != is.Gate {
		return fmt.Sprintf("%s%s, not %s%s", is.Outcome, by(is.Gate), was.Outcome, by(was.Gate))
	}
	for k, f := range was.Findings {
		if k >= len(is.Findings) || is.Findings[k].Gate != f.Gate {
			return "the gates are other ones"
		}
		g := is.Findings[k]
		if !reflect.DeepEqual(f, g) {
			return fmt.Sprintf("%s: %s", f.Gate, fieldsOf(f, g))
		}
	}
	return fmt.Sprintf("%s, not %s", is.Reason, was.Reason)
}

// Private

// carries tells whether there is anything that a verdict follows from.
func carries(v analysis.Verdict) bool {
	return slices.ContainsFunc(v.Findings, func(f analysis.Finding) bool { return f.Sums != nil })
}

func by(gate string) string {
	if gate == "" {
		return ""
	}
	return " (" + gate + ")"
}

// fieldsOf names the first field in which findings differ.
func fieldsOf(was, is analysis.Finding) string {
	a, b := reflect.ValueOf(was), reflect.ValueOf(is)
	for k := range a.NumField() {
		x, y := a.Field(k).Interface(), b.Field(k).Interface()
		if name := a.Type().Field(k).Name; !reflect.DeepEqual(x, y) && name != "Sums" {
			return fmt.Sprintf("%s is %v, not %v", name, y, x)
		}
	}
	return "the sums are other ones"
}
