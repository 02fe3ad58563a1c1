package api

import (
	"fmt"
	"slices"
	"strings"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Decision is an event with the numbers that it rests on.
type Decision struct {
	rollout.Event

	// Numbers are what the event's text does not tell: a line for each gate that
	// acts or would have failed it, with the estimate and its interval, and one each
	// for the hosts that gave the reason and for those that have not followed.
	Numbers []string `json:"numbers,omitempty"`
}

// DecisionOf adds its numbers to an event.
func DecisionOf(e rollout.Event) Decision { return Decision{e, NumbersOf(e, false)} }

// NumbersOf returns the numbers of a decision, in lines. all adds gates that are only
// observed and pass. What the event's text says already is not said again.
func NumbersOf(e rollout.Event, all bool) []string {
	var lines []string
	if e.Verdict != nil {
		lines = VerdictOf(*e.Verdict).numbers(e.Text, all)
	}
	for _, named := range []struct {
		head  string
		hosts []string
	}{{"because of ", e.Blame}, {"not followed yet: ", e.Lost}} {
		if text := listed(named.hosts); unsaid(text, e.Text) {
			lines = append(lines, named.head+text)
		}
	}
	return lines
}

// Numbers tells what a gate compared, the odds with their interval, what is
// allowed, and how unlikely it is that the outcome is wrong. Where something
// else than the evidence decided, or nothing did, the gate's own words say so.
func (g Gate) Numbers() string { return g.numbers("") }

// Bound is how much worse the canary may be: "+0.5 points", or "-" where that is not
// one number.
func (g Gate) Bound() string {
	switch {
	case g.Allowed == nil:
		return "-"
	case *g.Allowed == 0:
		return "no more"
	case g.Kind == KindLatency:
		return "+" + rollout.Percent(*g.Allowed)
	case g.Kind == KindSaturation:
		return "+" + rollout.Percent(*g.Allowed) + " memory"
	}
	return "+" + strings.TrimSuffix(rollout.Percent(*g.Allowed), "%") + " points"
}

// The least and the most odds that are estimated, in thousandths.
const leastOdds, mostOdds = 10, 1_000_000

// String writes odds with their interval, if they are known at all.
func (o Odds) String() string {
	if o.Low <= leastOdds && o.High >= mostOdds {
		return "odds not known yet"
	}
	return fmt.Sprintf("odds %s (%s to %s)", ratio(o.Value), ratio(o.Low), ratio(o.High))
}

// Private

// numbers is a line for each gate that had a say. Events of a release that had one
// gate only hold its counts.
func (v Verdict) numbers(said string, all bool) []string {
	var lines []string
	for _, g := range v.Gates {
		if g.Observe && !all && g.Outcome != OutcomeFail {
			continue
		}
		name := g.Name
		if g.Observe {
			name += " (only observed)"
		}
		if text := g.numbers(said); text != "" {
			lines = append(lines, name+": "+text)
		}
	}
	if len(v.Gates) > 0 {
		return lines
	}
	lines = append(lines, "canary "+v.Canary.failed()+", stable "+v.Stable.failed())
	if unsaid(v.Reason, said) {
		lines = append(lines, v.Reason)
	}
	return lines
}

// numbers are the gate's, less what is said already.
func (g Gate) numbers(said string) string {
	if g.Evidence == nil || g.Odds == nil || g.Allowed == nil {
		return rest(said, g.Reason)
	}
	what, _, _ := strings.Cut(g.Reason, "; ")
	parts := []string{what, g.Odds.String(), "allowed " + g.Bound()}
	switch e := g.Evidence; {
	case g.Outcome == OutcomeFail && e.Fail >= e.FailLimit:
		parts = append(parts, fmt.Sprintf("beyond: 1 in %d", analysis.TwoDigits(e.Odd(e.Fail))))
		if g.Host != "" {
			parts = append(parts, "from "+g.Host)
		}
	case g.Outcome == OutcomePass && e.Safe >= e.SafeLimit:
		parts = append(parts, fmt.Sprintf("within: 1 in %d", analysis.TwoDigits(e.Odd(e.Safe))))
	default:
		parts = []string{g.Reason, g.Odds.String()}
	}
	return rest(said, parts...)
}

// rest joins what is not said already.
func rest(said string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return !unsaid(part, said) }), "; ")
}

// unsaid tells whether a text is something, and not a part of what is said.
func unsaid(text, said string) bool { return text != "" && !strings.Contains(said, text) }

// listed names a few hosts and counts the rest.
func listed(hosts []string) string {
	const most = 8
	if len(hosts) <= most {
		return strings.Join(hosts, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(hosts[:most], ", "), len(hosts)-most)
}

// failed writes counts: "2.31% (57 of 2468 failed)".
func (c Counts) failed() string {
	share := "no traffic"
	if c.Requests > 0 {
		share = fmt.Sprintf("%.2f%%", 100*float64(c.Errors)/float64(c.Requests))
	}
	return fmt.Sprintf("%s (%d of %d failed)", share, c.Errors, c.Requests)
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
