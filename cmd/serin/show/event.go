package show

import (
	"fmt"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Event renders an event as one line:
//
//	23:55:02 checkout-7 step 3/6  10% on 3 of 12 hosts  5xx 0.41% vs 0.39%
func (o Options) Event(e rollout.Event) string {
	line := o.clock(e.Wall) + " " + o.Sentence(e)
	if o.Wide {
		line = fmt.Sprintf("%6d %s  by %s", e.Seq, line, e.By)
	}
	return line
}

// Sentence is Event without the time.
func (o Options) Sentence(e rollout.Event) string { return Subject(e) + " " + o.eventText(e) }

// Subject names what an event is about: a rollout, or the service whose trigger
// came to nothing.
func Subject(e rollout.Event) string {
	if event.Of(e, e.Rollout) {
		return e.Rollout
	}
	return e.Service
}

// Status renders where a rollout stands as one line, without a time.
func (o Options) Status(s api.RolloutStatus) string {
	var parts []string
	switch {
	case s.Phase.Final():
		parts = append(parts, o.Palette.Phase(s.Phase, outcomeWords(s)))
	case s.Phase == rollout.Progressing, s.Phase == rollout.Paused:
		parts = append(parts, o.Palette.Phase(s.Phase, fmt.Sprintf("step %d/%d", s.Step, s.Steps)))
		parts = append(parts, Reach(s))
	default:
		parts = append(parts, o.Palette.Phase(s.Phase, strings.ToLower(PhaseWords(s.Phase))))
	}
	if v := s.Verdict; v != nil && v.Canary.Requests > 0 {
		parts = append(parts, rates(v.Canary.Errors, v.Canary.Requests, v.Stable.Errors, v.Stable.Requests))
	}
	if l := s.Latency; l != nil && l.Canary.P99 > 0 {
		parts = append(parts, "p99 "+Slowest(l))
	}
	if s.Waiting != "" {
		parts = append(parts, FirstLine(s.Waiting))
	}
	return s.ID + " " + strings.Join(parts, "  ")
}

// End renders the end of a rollout that no event told of as one line.
func (o Options) End(s api.RolloutStatus) string { return o.clock(s.Ended) + " " + o.Status(s) }

// Slowest renders the 99th percentiles: 182ms vs 180ms; "-" is not known.
func Slowest(l *api.Latency) string {
	return l.Canary.P99.String() + " vs " + l.Stable.P99.String()
}

// Reach says what part of the traffic goes to the canary, and on how many hosts:
// 20% on 3 of 12 hosts.
func Reach(s api.RolloutStatus) string {
	return share(s.Weight, s.From == "") + fmt.Sprintf("on %d of %d hosts", s.Reached, s.Fleet)
}

// PhaseWords is a phase in the words for people.
func PhaseWords(p rollout.Phase) string {
	switch p {
	case rollout.RollingBack:
		return "Rolling back"
	case rollout.RolledBack:
		return "Rolled back"
	case rollout.Succeeded:
		return "Promoted"
	case rollout.Preparing, rollout.Progressing, rollout.Paused, rollout.Promoting, rollout.Aborted:
	}
	return string(p)
}

// FirstLine is a text up to its first line break.
func FirstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// Private

func (o Options) clock(unixMilli int64) string {
	return time.UnixMilli(unixMilli).In(o.Now.Location()).Format(time.TimeOnly)
}

func (o Options) eventText(e rollout.Event) string {
	switch e.Kind {
	case rollout.KindStep:
		head := fmt.Sprintf("step %d/%d", e.Step, e.Steps)
		text := o.Palette.paint(cyan, head) + "  " + share(e.Weight, e.From == "") + fmt.Sprintf("on %d of %d hosts", e.Hosts, e.Fleet)
		return text + eventRates(e.Verdict) + byPerson(e)
	case rollout.KindSucceeded:
		return o.Palette.paint(green, "promoted") + ": " + e.Text
	case rollout.KindRolledBack, rollout.KindAborted, rollout.KindRollingBack, rollout.KindRefused:
		text := FirstLine(e.Text)
		if e.Kind == rollout.KindRefused {
			text = "refused: " + text
		}
		return o.Palette.paint(red, text) + took(e)
	case rollout.KindUnchanged:
		return "nothing to do: " + FirstLine(e.Text)
	case rollout.KindPaused, rollout.KindExcluded, rollout.KindLost:
		return o.Palette.paint(yellow, FirstLine(e.Text)) + eventRates(e.Verdict)
	default: // of this release or a later one
		return FirstLine(e.Text)
	}
}

// byPerson says who took a step past the evidence, and why: no verdict stands
// in its place.
func byPerson(e rollout.Event) string {
	if _, who, found := strings.Cut(e.Text, " hosts: by "); found && e.Verdict == nil {
		return "  by " + FirstLine(who)
	}
	return ""
}

// took says how long it was from the verdict to weight 0 everywhere.
func took(e rollout.Event) string {
	if e.ZeroMillis <= 0 {
		return ""
	}
	return fmt.Sprintf(" (no traffic on it after %s)", Milli(e.ZeroMillis))
}

func eventRates(v *analysis.Verdict) string {
	if v == nil || v.Canary.Requests == 0 {
		return ""
	}
	return "  " + rates(v.Canary.Errors, v.Canary.Requests, v.Stable.Errors, v.Stable.Requests)
}

func rates(canaryErrors, canaryRequests, stableErrors, stableRequests int64) string {
	return "5xx " + rate(canaryErrors, canaryRequests) + " vs " + rate(stableErrors, stableRequests)
}

// share renders a weight with a blank behind it; an install has none to split.
func share(weight int, install bool) string {
	if install {
		return ""
	}
	return rollout.Percent(weight) + " "
}

// outcomeWords says how a rollout ended: "rolled back at step 3 of 6: ...".
func outcomeWords(s api.RolloutStatus) string {
	words := strings.ToLower(PhaseWords(s.Phase))
	if s.Phase == rollout.Succeeded {
		return words + ": " + s.To + " is stable"
	}
	words += fmt.Sprintf(" at step %d of %d", s.Step, s.Steps)
	if s.Text != "" {
		words += ": " + FirstLine(s.Text)
	}
	return words
}
