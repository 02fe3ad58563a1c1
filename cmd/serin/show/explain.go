package show

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Explain writes why a rollout stands where it does, and every decision with
// its numbers.
func (o Options) Explain(out io.Writer, d api.RolloutDetail) error {
	b := &strings.Builder{}
	text := d.Explanation
	if text == "" {
		text = o.Status(d.RolloutStatus)
	}
	fmt.Fprintln(b, text)
	o.gates(b, d.Verdict)
	if len(d.Decisions) > 0 {
		b.WriteString("\n")
	}
	for _, e := range d.Decisions {
		o.decision(b, e.Event)
	}
	switch {
	case WaitsForYou(d.RolloutStatus):
		fmt.Fprintf(b, "\nnext: serin promote %s, or serin abort %s\n", d.ID, d.ID)
	case d.Phase == rollout.Paused:
		fmt.Fprintf(b, "\nnext: serin resume %s, or serin abort %s\n", d.ID, d.ID)
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("write explanation: %w", err)
	}
	return nil
}

// Wrapped breaks text between words into lines of that many characters at most.
func Wrapped(text string, width int) []string {
	var lines []string
	line, length := "", 0
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		if line != "" && length+1+n > width {
			lines = append(lines, line)
			line, length = "", 0
		}
		if line != "" {
			line, length = line+" ", length+1
		}
		line, length = line+word, length+n
	}
	return append(lines, line)
}

// Private

// decision writes one event, and below it what it rests on.
func (o Options) decision(b *strings.Builder, e rollout.Event) {
	fmt.Fprintln(b, o.Event(e))
	for _, text := range api.NumbersOf(e, o.Wide) {
		for i, line := range Wrapped(text, lineWidth-len(under)-2) {
			if i > 0 {
				line = "  " + line
			}
			fmt.Fprintln(b, under+line)
		}
	}
}
