package show

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/serin-rollouts/serin/internal/api"
)

const (
	lineWidth = 80 // of what is to be read beside other things
	leastNote = 23 // of a line's last column, even where that is too wide then
)

// Service writes one service: what freezes it, its row, what each gate of its rollout says, and
// the hosts that it has gone on without.
func (o Options) Service(out io.Writer, s api.ServiceStatus) error {
	row := s
	if s.Rollout != nil {
		r := *s.Rollout
		r.Waiting = Waiting(r)
		row.Rollout = &r
	}
	if err := o.frozen(out, []api.ServiceStatus{s}); err != nil {
		return err
	}
	if err := o.rows(out, []api.ServiceStatus{row}); err != nil {
		return err
	}
	b := &strings.Builder{}
	if r := s.Rollout; r != nil {
		o.gates(b, r.Verdict)
		for _, x := range r.Excluded {
			fmt.Fprintf(b, "\n%s goes on without %s: %s\n", r.ID, x.Host, FirstLine(x.Why))
		}
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("write service: %w", err)
	}
	return o.held(out, []api.ServiceStatus{s})
}

// Waiting is what a rollout waits for, without what the lines of its gates say.
func Waiting(r api.RolloutStatus) string {
	if r.Verdict == nil || len(r.Verdict.Gates) == 0 || r.Verdict.Reason == "" {
		return FirstLine(r.Waiting)
	}
	return FirstLine(strings.TrimSuffix(r.Waiting, ": "+r.Verdict.Reason))
}

// Gates are a header and a line for each gate, and below it what it needs and does
// not fit, and what is to be known of its source; the last line names a host that
// alone differs. below adds lines to a gate's; nil for none. The lines are
// made for a width, though a last column may go beyond it.
func (o Options) Gates(v api.Verdict, width int, below func(api.Gate) []string) []string {
	lines := o.gateLines(v, width, below)
	if v.Outlier != "" {
		lines = append(lines, v.Outlier+" alone differs: "+v.OutlierReason)
	}
	return lines
}

// Private

// held writes one row for each host that does not follow its service.
func (o Options) held(out io.Writer, services []api.ServiceStatus) error {
	const longest = 60 // of a reason; `serin explain` has all of it
	var t table
	some := false
	for _, s := range services {
		for _, h := range s.Held {
			if !some {
				_, _ = fmt.Fprintln(out) // an error meets the table, too
				t, some = newTable(out, "HELD BACK", "SERVICE", "VERSION", "SINCE", "WHY"), true
			}
			why := FirstLine(h.Why)
			if !o.Wide {
				why = cut(why, longest)
			}
			t.row(h.Host, s.Service, h.Version, h.Rollout, why)
		}
	}
	if !some {
		return nil
	}
	return t.end()
}

// gates writes a blank line and one line for each gate, aligned; nothing where
// there is none.
func (o Options) gates(b *strings.Builder, v *api.Verdict) {
	if v == nil || len(v.Gates) == 0 {
		return
	}
	b.WriteString("\n")
	for _, line := range o.Gates(*v, lineWidth, nil) {
		b.WriteString(line + "\n")
	}
}

func (o Options) gateLines(v api.Verdict, width int, more func(api.Gate) []string) []string {
	rows := [][]string{{"GATE", "STATE", "CANARY", "STABLE", "ALLOWED", "NEEDS"}}
	for _, g := range v.Gates {
		canary, stable := compared(g)
		rows = append(rows, []string{g.Name, state(g), canary, stable, g.Bound(), lacking(g)})
	}
	last := len(rows[0]) - 1
	widths := widthsOf(rows, last)
	left := width
	for _, taken := range widths {
		left -= taken
	}
	lines := []string{padded(rows[0], rows[0], widths) + rows[0][last]}
	for i, g := range v.Gates {
		row, bare := rows[i+1], slices.Clone(rows[i+1])
		needs, below := row[last], []string{g.Note}
		if !o.Wide && utf8.RuneCountInString(needs) > max(left, leastNote) {
			needs, below = "see below", []string{needs, g.Note}
		}
		row[1] = o.Palette.paint(stateColour(g), row[1])
		lines = append(lines, padded(row, bare, widths)+needs)
		lines = append(lines, indented(below, width)...)
		if more != nil {
			lines = append(lines, more(g)...)
		}
	}
	return lines
}

// padded joins the first cells of a row, each filled up to its width. bare is the
// row without colour.
func padded(row, bare []string, widths []int) string {
	var b strings.Builder
	for c, width := range widths {
		b.WriteString(row[c] + strings.Repeat(" ", width-utf8.RuneCountInString(bare[c])))
	}
	return b.String()
}

// indented wraps texts to a width, each line behind two blanks; an empty text
// makes none.
func indented(texts []string, width int) []string {
	var lines []string
	for _, text := range texts {
		if text == "" {
			continue
		}
		for _, part := range Wrapped(text, width-2) {
			lines = append(lines, "  "+part)
		}
	}
	return lines
}

// widthsOf returns the widths of the first columns with the gap behind each.
func widthsOf(rows [][]string, columns int) []int {
	const gap = 2
	widths := make([]int, columns)
	for c := range widths {
		for _, row := range rows {
			widths[c] = max(widths[c], utf8.RuneCountInString(row[c])+gap)
		}
	}
	return widths
}

// state says in a word what a gate comes to. A word that this release does not
// know is shown as it is.
func state(g api.Gate) string {
	switch {
	case g.Observe:
		return "observed"
	case g.Outcome == api.OutcomeWait:
		return "waits"
	case g.Outcome == api.OutcomePass:
		return "passes"
	case g.Outcome == api.OutcomeFail:
		return "fails"
	case g.Outcome == api.OutcomeSkip:
		return "no data"
	}
	return dash(g.Outcome)
}

func stateColour(g api.Gate) string {
	switch {
	case g.Observe:
		return plain
	case g.Outcome == api.OutcomeWait:
		return yellow
	case g.Outcome == api.OutcomePass:
		return green
	case g.Outcome == api.OutcomeFail:
		return red
	}
	return plain
}

// compared are the two sides in short.
func compared(g api.Gate) (canary, stable string) {
	switch g.Kind {
	case api.KindLatency:
		return g.CanaryTime.String(), g.StableTime.String()
	case api.KindSaturation:
		return memory(g.CanaryMemory), memory(g.StableMemory)
	}
	return badPart(g.Canary), badPart(g.Stable)
}

// badPart is the share of bad events.
func badPart(c *api.Counts) string {
	if c == nil || c.Requests == 0 {
		return "-"
	}
	return rate(c.Errors, c.Requests)
}

func memory(bytes int64) string {
	if bytes <= 0 {
		return "-"
	}
	return fmt.Sprintf("%d MiB", (bytes+1<<19)>>20)
}

// lacking says what a gate still needs; a gate that has decided needs nothing.
func lacking(g api.Gate) string {
	switch {
	case g.Observe && g.Outcome == api.OutcomeFail:
		return "would fail the rollout"
	case g.Observe || g.Outcome != api.OutcomeWait:
		return "-"
	case g.Needed > 0 && g.Kind == api.KindRate:
		return "about " + forecast(g.Needed) + " more"
	case g.Needed == 1:
		return "about 1 more request"
	case g.Needed > 0:
		return "about " + forecast(g.Needed) + " more requests"
	}
	// What follows from the numbers stands behind what is allowed.
	if _, after, found := strings.Cut(g.Reason, "allowed"); found {
		if _, after, found = strings.Cut(after, "; "); found {
			return FirstLine(after)
		}
	}
	return dash(FirstLine(g.Reason))
}

// forecast rounds up to two leading digits, as a gate's own words do.
func forecast(n int64) string {
	unit := int64(1)
	for n/unit >= 100 {
		unit *= 10
	}
	return strconv.FormatInt((n+unit-1)/unit*unit, 10)
}

// cut shortens text to a number of characters.
func cut(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return strings.TrimRight(string([]rune(text)[:most-3]), " ,;:") + "..."
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
