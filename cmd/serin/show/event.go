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

// Event renders an event as one line, in its own words:
//
//	23:55:02 checkout-7 step 3 of 6: 10% on 3 of 12 hosts: 5xx 0.41% (10 of 2468) on canary, ...
func (o Options) Event(e rollout.Event) string { return o.line(e, o.Sentence(e)) }

// Brief is Event for a view that goes on: of a step, the numbers alone.
//
//	23:55:02 checkout-7 step 3/6  10% on 3 of 12 hosts  5xx 0.41% vs 0.39%
func (o Options) Brief(e rollout.Event) string {
	if e.Kind != rollout.KindStep {
		return o.Event(e)
	}
	head := o.Palette.paint(cyan, fmt.Sprintf("step %d/%d", e.Step, e.Steps))
	return o.line(e, fmt.Sprintf("%s %s  %son %d of %d hosts%s%s",
		Subject(e), head, share(e.Weight, e.From == ""), e.Hosts, e.Fleet, eventRates(e.Verdict), byPerson(e)))
}

// Sentence is Event without the time: what it is about, and its text word for word,
// as the stream, the coordinator's log and the console have it.
func (o Options) Sentence(e rollout.Event) string {
	text, rest := FirstLine(e.Text), "" // of an earlier release it may have more
	if e.Kind == rollout.KindStep {
		if at := strings.Index(text, ": "); at > 0 {
			text, rest = text[:at], text[at:]
		}
	}
	return Subject(e) + " " + o.Palette.paint(eventColour(e.Kind), text) + rest
}

// Subject names what an event is about: a rollout, or the service whose trigger
// came to nothing, or the fleet.
func Subject(e rollout.Event) string {
	switch {
	case event.Of(e, e.Rollout):
		return e.Rollout
	case e.Service == rollout.Fleet:
		return "fleet"
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

// line puts the time in front of what an event comes to.
func (o Options) line(e rollout.Event, text string) string {
	line := o.clock(e.Wall) + " " + text
	if o.Wide {
		line = fmt.Sprintf("%6d %s  by %s", e.Seq, line, e.By)
	}
	return line
}

func eventColour(kind rollout.Kind) string {
	switch kind {
	case rollout.KindStep:
		return cyan
	case rollout.KindSucceeded:
		return green
	case rollout.KindRolledBack, rollout.KindAborted, rollout.KindRollingBack, rollout.KindRefused:
		return red
	case rollout.KindPaused, rollout.KindExcluded, rollout.KindLost, rollout.KindFrozen:
		return yellow
	default: // of this release or a later one
		return plain
	}
}

// byPerson says who took a step past the evidence, and why: no verdict stands
// in its place.
func byPerson(e rollout.Event) string {
	if _, who, found := strings.Cut(e.Text, ": by "); found && e.Verdict == nil {
		return "  by " + FirstLine(who)
	}
	return ""
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
