package show

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Lines shows a rollout as one line an event, for pipes and logs. What a
// rollout waits for gets a line when it becomes another thing, not whenever
// its numbers move, nor when it is what it was before in the step.
type Lines struct {
	out  io.Writer
	o    Options
	note string          // that was said last
	step int             // that said is of
	said map[string]bool // kinds of waiting
}

// NewLines returns a view that writes to out.
func NewLines(out io.Writer, o Options) *Lines { return &Lines{out: out, o: o} }

// Event shows an event; raw is not looked at.
func (l *Lines) Event(e rollout.Event, _ []byte) {
	_, _ = fmt.Fprintln(l.out, l.o.Brief(e))
}

// Status shows where the rollout stands, if it waits for something else now.
func (l *Lines) Status(d api.RolloutDetail, now time.Time) {
	if l.step != d.Step {
		l.step, l.said = d.Step, map[string]bool{}
	}
	kind := waitingKind(d.RolloutStatus)
	if l.said[kind] || d.Waiting == "" {
		return
	}
	l.said[kind], l.note = true, ""
	l.say(now, l.o.Status(d.RolloutStatus))
}

// Final shows the end of a rollout that no event told of.
func (l *Lines) Final(s api.RolloutStatus) {
	_, _ = fmt.Fprintln(l.out, l.o.End(s))
}

// Note shows a remark, if it is another one than the last.
func (l *Lines) Note(text string, now time.Time) {
	if text == l.note {
		return
	}
	l.note = text
	l.say(now, text)
}

// Close does nothing: every line is complete.
func (*Lines) Close() {}

// Live shows events as lines, and below them one line that is drawn again and
// again. It is for terminals only.
type Live struct {
	lines *Lines
	below string
}

// Sequences that draw: back to the start of the line and empty it, and let
// long lines be cut at the edge instead of wrapped.
const (
	emptyLine = "\r\x1b[K"
	noWrap    = "\x1b[?7l"
	wrap      = "\x1b[?7h"
)

// NewLive returns a view that draws on out.
func NewLive(out io.Writer, o Options) *Live { return &Live{lines: NewLines(out, o)} }

// Event shows an event above the status line; raw is not looked at.
func (l *Live) Event(e rollout.Event, raw []byte) {
	l.write(emptyLine)
	l.lines.Event(e, raw)
	l.draw()
}

// Status draws the status line.
func (l *Live) Status(d api.RolloutDetail, now time.Time) {
	l.below = now.Format(time.TimeOnly) + " " + l.lines.o.Status(d.RolloutStatus)
	l.draw()
}

// Final replaces the status line by the end of the rollout.
func (l *Live) Final(s api.RolloutStatus) {
	l.Close()
	l.lines.Final(s)
}

// Note draws a remark in the place of the status.
func (l *Live) Note(text string, now time.Time) {
	l.below = now.Format(time.TimeOnly) + " " + text
	l.draw()
}

// Close takes the status line away.
func (l *Live) Close() {
	if l.below != "" {
		l.write(emptyLine)
	}
	l.below = ""
}

// Private

func (l *Lines) say(now time.Time, text string) {
	_, _ = fmt.Fprintln(l.out, now.Format(time.TimeOnly)+" "+text)
}

func (l *Live) draw() {
	if l.below != "" {
		l.write(emptyLine + noWrap + l.below + wrap)
	}
}

func (l *Live) write(text string) { _, _ = io.WriteString(l.lines.out, text) }

// waitingKind is what a rollout waits for without its numbers and names: what
// stands before the first digit or colon.
func waitingKind(s api.RolloutStatus) string {
	head := s.Waiting
	if i := strings.IndexAny(head, "0123456789:;"); i >= 0 {
		head = head[:i]
	}
	return fmt.Sprintf("%s/%d/%s", s.Phase, s.Step, head)
}
