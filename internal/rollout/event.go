package rollout

import (
	"fmt"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
)

// Kind says what happened.
type Kind string

// The kinds of events.
const (
	KindRefused     Kind = "refused"   // a trigger that was not accepted
	KindUnchanged   Kind = "unchanged" // a trigger that found nothing to do
	KindSubmitted   Kind = "submitted"
	KindStep        Kind = "step"
	KindApproved    Kind = "approved"
	KindPaused      Kind = "paused"
	KindResumed     Kind = "resumed"
	KindRenewed     Kind = "renewed"  // the evidence begins anew
	KindExcluded    Kind = "excluded" // the rollout goes on without a host
	KindReleased    Kind = "released" // a host that was excluded follows again
	KindLost        Kind = "lost"     // the rollout goes on without silent hosts
	KindFrozen      Kind = "frozen"   // no rollout begins from here on
	KindThawed      Kind = "thawed"
	KindPromoting   Kind = "promoting"
	KindRollingBack Kind = "rollingback"
	KindSucceeded   Kind = "succeeded"
	KindRolledBack  Kind = "rolledback"
	KindAborted     Kind = "aborted"
)

// Event is what observers see of one transition. Its Text is the sentence about
// it for people, in one line: whoever tells of the event uses these words.
type Event struct {
	Seq     uint64 `json:"seq"`   // without gaps, from 1
	Index   uint64 `json:"index"` // of the entry that caused it
	Wall    int64  `json:"wall"`  // Unix milliseconds
	Kind    Kind   `json:"kind"`
	Service string `json:"service"`
	Rollout string `json:"rollout,omitempty"`

	Phase  Phase  `json:"phase,omitempty"`
	From   string `json:"from,omitempty"` // version that was stable
	To     string `json:"to,omitempty"`   // version that is rolled out
	Image  string `json:"image,omitempty"`
	Step   int    `json:"step,omitempty"` // from 1
	Steps  int    `json:"steps,omitempty"`
	Hosts  int    `json:"hosts,omitempty"`  // that have the canary
	Fleet  int    `json:"fleet,omitempty"`  // hosts of the rollout
	Weight int    `json:"weight,omitempty"` // basis points on each of Hosts
	Host   string `json:"host,omitempty"`   // that was excluded or released

	Cause      Cause             `json:"cause,omitempty"`
	By         string            `json:"by,omitempty"`
	Text       string            `json:"text"` // the sentence for people, in one line: log, explain and console say the same
	Verdict    *analysis.Verdict `json:"verdict,omitempty"`
	Blame      []string          `json:"blame,omitempty"` // hosts that gave the reason
	Refusal    *Refusal          `json:"refusal,omitempty"`
	Key        string            `json:"key,omitempty"`  // of the trigger
	Lost       []string          `json:"lost,omitempty"` // hosts that have not followed, or are silent
	ZeroMillis int64             `json:"zero_millis,omitempty"`
}

// Private

// emit appends an event about r to the outbox.
func (a *applier) emit(kind Kind, r *Rollout, e Event) {
	e.Kind, e.Service, e.Rollout, e.Phase = kind, r.Service, r.ID, r.Phase
	e.To, e.Image = r.To.Version(), r.To.Image
	if r.From != nil {
		e.From = r.From.Version()
	}
	e.Step, e.Steps, e.Fleet = r.Step+1, len(r.Spec.Steps), len(r.Hosts)
	switch r.Phase {
	case Progressing, Paused:
		e.Hosts, e.Weight = r.Wave(), r.Weight()
	case Promoting, Succeeded:
		e.Hosts, e.Weight = len(r.Hosts), Full
	case Preparing, RollingBack, RolledBack, Aborted:
	}
	a.append(e)
}

func (a *applier) append(e Event) {
	s := a.state
	s.EventSeq++
	e.Text = oneLine(e.Text)
	e.Seq, e.Index, e.Wall = s.EventSeq, a.index, a.stamp.Wall
	if e.By == "" {
		e.By = a.stamp.By
	}
	s.Outbox = append(s.Outbox, e)
	a.result.Events = append(a.result.Events, e)
}

// describe renders where a step stands: "step 2 of 4: 25% on 3 of 12 hosts".
// An install gives each host all of its traffic.
func describe(r *Rollout) string {
	if r.Install() {
		return fmt.Sprintf("step %d of %d: on %d of %s", r.Step+1, len(r.Spec.Steps), r.Wave(), hosts(len(r.Hosts)))
	}
	return fmt.Sprintf("step %d of %d: %s on %d of %s",
		r.Step+1, len(r.Spec.Steps), Percent(r.Weight()), r.Wave(), hosts(len(r.Hosts)))
}

// left tells what an ended rollout leaves, and how soon the way back had taken the
// traffic from the canary. behind is how many hosts have not followed.
func (r *Rollout) left(c Finish, behind int) string {
	var text string
	if c.ZeroMillis > 0 && r.Phase != Succeeded {
		text += "; no traffic on it after " + (time.Duration(c.ZeroMillis) * time.Millisecond).String()
	}
	switch {
	case behind == 1:
		text += "; 1 host has not followed yet"
	case behind > 1:
		text += "; " + hosts(behind) + " have not followed yet"
	}
	if n := len(r.Excluded); n > 0 && r.Phase == Succeeded {
		text += fmt.Sprintf("; excluded, and left at what they had: %d of %s", n, hosts(n+len(r.Hosts)))
	}
	return text
}

// sentence joins a head with an optional reason.
func sentence(head, why string) string {
	if why == "" {
		return head
	}
	return head + ": " + why
}

// oneLine joins the lines of a text, as of what a container has said last.
func oneLine(text string) string {
	if !strings.ContainsAny(text, "\r\n") {
		return text
	}
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\r' || r == '\n' })
	return strings.Join(lines, " | ")
}

// hosts counts them: 1 host, 2 hosts.
func hosts(n int) string {
	if n == 1 {
		return "1 host"
	}
	return fmt.Sprintf("%d hosts", n)
}
