package notify

import (
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// The templates, if none are given.
const (
	DefaultTitle = "{{.Service}}: {{.What}}"
	DefaultBody  = "{{.Line}}"
)

// Message is what people read. Not every target shows a title.
type Message struct {
	Title string `json:"title"`
	Body  string `json:"message"`
}

// Notice is what a template is filled with: an event.
type Notice struct {
	Kind    string // rolledback, see the kinds of events
	What    string // the same in words: rolled back
	Line    string // one line that says it all: checkout-7 rolled back: ...
	Service string
	Rollout string // checkout-7; empty where a trigger made none
	Phase   string
	From    string // version that was stable
	To      string // version that is rolled out
	Image   string
	Step    int // from 1
	Steps   int
	Weight  string // 5%
	Hosts   int    // that have the canary
	Fleet   int    // hosts of the rollout
	Host    string // that was excluded or released
	Blame   []string
	Lost    []string
	Cause   string
	By      string // who asked
	Text    string // the reason, all lines of it
	Time    time.Time
	Seq     uint64
}

// Template renders events.
type Template struct{ title, body *template.Template }

// NewTemplate reads two of Go's text templates, of a Notice; empty ones are the
// defaults. A field that there is not is an error here, not at the first event.
func NewTemplate(title, body string) (*Template, error) {
	t := &Template{}
	for _, part := range []struct {
		into       **template.Template
		name, text string
		fallback   string
	}{{&t.title, "title", title, DefaultTitle}, {&t.body, "template", body, DefaultBody}} {
		text := part.text
		if text == "" {
			text = part.fallback
		}
		parsed, err := template.New(part.name).Option("missingkey=error").Funcs(template.FuncMap{
			"upper": strings.ToUpper, "lower": strings.ToLower, "join": strings.Join,
		}).Parse(text)
		if err != nil {
			return nil, err
		}
		*part.into = parsed
	}
	_, err := t.Render(Example())
	return t, err
}

// Render fills the templates.
func (t *Template) Render(e rollout.Event) (Message, error) {
	n := notice(e)
	var title, body strings.Builder
	if err := t.title.Execute(&title, n); err != nil {
		return Message{}, err
	}
	if err := t.body.Execute(&body, n); err != nil {
		return Message{}, err
	}
	if strings.TrimSpace(body.String()) == "" {
		return Message{}, fmt.Errorf("template: makes nothing of event %d (%s)", e.Seq, e.Kind)
	}
	return Message{Title: title.String(), Body: body.String()}, nil
}

// Example is an event to try templates and targets with.
func Example() rollout.Event {
	return rollout.Event{
		Seq: 4711, Wall: time.Date(2026, 11, 22, 23, 56, 42, 0, time.UTC).UnixMilli(), Kind: rollout.KindRolledBack,
		Service: "example", Rollout: "example-7", Phase: rollout.RolledBack, From: "1.3.2", To: "1.4.0",
		Image: "registry.example.com/example:1.4.0", Step: 3, Steps: 6, Fleet: 12, Cause: rollout.CauseGate, By: "serin",
		Text: "rolled back: this is a test: nothing was rolled back",
	}
}

// Private

func notice(e rollout.Event) Notice {
	return Notice{
		Kind: string(e.Kind), What: what(e.Kind), Line: show.Options{Now: time.UnixMilli(e.Wall)}.Sentence(e),
		Service: e.Service, Rollout: e.Rollout, Phase: string(e.Phase), From: e.From, To: e.To, Image: e.Image,
		Step: e.Step, Steps: e.Steps, Weight: rollout.Percent(e.Weight), Hosts: e.Hosts, Fleet: e.Fleet, Host: e.Host,
		Blame: e.Blame, Lost: e.Lost, Cause: string(e.Cause), By: e.By, Text: e.Text, Time: time.UnixMilli(e.Wall).UTC(), Seq: e.Seq,
	}
}

// what names a kind in words.
func what(kind rollout.Kind) string {
	switch kind {
	case rollout.KindSubmitted:
		return "started"
	case rollout.KindExcluded:
		return "goes on without a host"
	case rollout.KindReleased:
		return "host follows again"
	case rollout.KindLost:
		return "goes on without silent hosts"
	case rollout.KindRenewed:
		return "evidence begins anew"
	case rollout.KindRollingBack:
		return "rolling back"
	case rollout.KindRolledBack:
		return "rolled back"
	case rollout.KindSucceeded:
		return "promoted"
	case rollout.KindUnchanged:
		return "nothing to do"
	case rollout.KindRefused, rollout.KindStep, rollout.KindApproved, rollout.KindPaused, rollout.KindResumed,
		rollout.KindPromoting, rollout.KindAborted, rollout.KindFrozen, rollout.KindThawed:
	}
	return string(kind)
}
