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
		o.decision(b, e)
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

// Numbers tells what a gate compared, the odds with their interval, what is
// allowed, and how unlikely it is that the outcome is wrong. Where something
// else than the evidence decided, or nothing did, the gate's own words say so.
func Numbers(g api.Gate) string {
	if g.Evidence == nil || g.Odds == nil || g.Allowed == nil {
		return g.Reason
	}
	odds := oddsOf(*g.Odds)
	what, _, _ := strings.Cut(g.Reason, "; ")
	switch e := g.Evidence; {
	case g.Outcome == api.OutcomeFail && e.Fail >= e.FailLimit:
		said := fmt.Sprintf("%s; %s; allowed %s; beyond: 1 in %d", what, odds, allowed(g), twoDown(e.Odd(e.Fail)))
		if g.Host != "" {
			said += "; from " + g.Host
		}
		return said
	case g.Outcome == api.OutcomePass && e.Safe >= e.SafeLimit:
		return fmt.Sprintf("%s; %s; allowed %s; within: 1 in %d", what, odds, allowed(g), twoDown(e.Odd(e.Safe)))
	}
	return g.Reason + "; " + odds
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
	lines := o.evidence(e)
	if v := e.Verdict; v != nil && len(v.Findings) > 0 && v.Reason != "" {
		e.Text = strings.TrimSuffix(e.Text, ": "+v.Reason) // the gates' numbers say it
	}
	fmt.Fprintln(b, o.Event(e))
	for _, text := range lines {
		for i, line := range Wrapped(text, lineWidth-len(under)-2) {
			if i > 0 {
				line = "  " + line
			}
			fmt.Fprintln(b, under+line)
		}
	}
}

// evidence are the numbers behind a decision, and the hosts that gave it.
func (o Options) evidence(e rollout.Event) []string {
	var lines []string
	if e.Verdict != nil {
		lines = o.judgement(api.VerdictOf(*e.Verdict))
	}
	if len(e.Blame) > 0 {
		lines = append(lines, "because of "+listed(e.Blame))
	}
	if len(e.Lost) > 0 {
		lines = append(lines, "not followed yet: "+listed(e.Lost))
	}
	return lines
}

// judgement is a line for each gate that had a say. Events of a release that
// had one gate only hold its counts.
func (o Options) judgement(v api.Verdict) []string {
	var lines []string
	for _, g := range v.Gates {
		switch {
		case !g.Observe:
			lines = append(lines, g.Name+": "+Numbers(g))
		case o.Wide || g.Outcome == api.OutcomeFail:
			lines = append(lines, g.Name+" (only observed): "+Numbers(g))
		}
	}
	if len(v.Gates) == 0 {
		lines = append(lines, fmt.Sprintf("canary %s (%d of %d failed), stable %s (%d of %d failed)",
			rate(v.Canary.Errors, v.Canary.Requests), v.Canary.Errors, v.Canary.Requests,
			rate(v.Stable.Errors, v.Stable.Requests), v.Stable.Errors, v.Stable.Requests))
		if v.Reason != "" {
			lines = append(lines, v.Reason)
		}
	}
	return lines
}

// twoDown rounds down to two leading digits: no more is claimed than is so.
func twoDown(n int64) int64 {
	unit := int64(1)
	for n/unit >= 100 {
		unit *= 10
	}
	return n / unit * unit
}

// The least and the most odds that are estimated, in thousandths.
const leastOdds, mostOdds = 10, 1_000_000

// oddsOf writes odds with their interval, if they are known at all.
func oddsOf(o api.Odds) string {
	if o.Low <= leastOdds && o.High >= mostOdds {
		return "odds not known yet"
	}
	return fmt.Sprintf("odds %s (%s to %s)", ratio(o.Value), ratio(o.Low), ratio(o.High))
}

// ratio writes thousandths with two digits: 0.25, 5.0, 20.
func ratio(thousandths int64) string {
	x := float64(thousandths) / 1000
	switch {
	case thousandths <= leastOdds:
		return "0.01 or less"
	case thousandths >= mostOdds:
		return "1000 or more"
	case x < 0.995:
		return fmt.Sprintf("%.2f", x)
	case x < 9.95:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}
