package live

import (
	"slices"
	"strings"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"github.com/serin-rollouts/serin/internal/api"
)

// Action is what a person has asked for and confirmed.
type Action struct {
	Service, Rollout string
	Verb             string // of package api
	Full             bool   // promote on every host at once
	Reason           string // for the record; may be empty
}

// verbKeys are the keys of what may be asked of a rollout. What cannot be undone
// wants a capital.
//
//nolint:gochecknoglobals // a table
var verbKeys = map[string]string{
	"p": api.Promote, "F": api.FullPromote, "s": api.Pause, "r": api.Resume, "A": api.Abort, "B": api.Rollback,
}

// verbOrder is how they are listed.
//
//nolint:gochecknoglobals // a table
var verbOrder = []struct{ key, verb, label string }{
	{"p", api.Promote, "promote"},
	{"F", api.FullPromote, "promote fully"},
	{"s", api.Pause, "pause"},
	{"r", api.Resume, "resume"},
	{"A", api.Abort, "abort"},
	{"B", api.Rollback, "roll back"},
}

// mostReason bounds what is typed, in characters.
const mostReason = 200

// steering is what a person may ask for, is being asked, and was told.
type steering struct {
	act  func(Action) Done // nil: only shown
	ask  *question
	said string
	bad  bool // said is of something that failed
}

// question is a verb that waits to be confirmed.
type question struct {
	verb   api.Verb
	reason string
}

// verbsOf lists what may be asked of a rollout: what the coordinator says, and the
// roll-back, which while it runs is an abort.
func verbsOf(d api.RolloutDetail) []api.Verb {
	verbs := slices.Clone(d.Verbs)
	if k := slices.IndexFunc(verbs, func(v api.Verb) bool { return v.Name == api.Abort }); k >= 0 {
		back := verbs[k]
		back.Name = api.Rollback
		verbs = append(verbs, back)
	}
	return verbs
}

// verbOf finds one of them; its Why says why it is not possible.
func verbOf(d api.RolloutDetail, name string) api.Verb {
	verbs := verbsOf(d)
	if k := slices.IndexFunc(verbs, func(v api.Verb) bool { return v.Name == name }); k >= 0 {
		return verbs[k]
	}
	why := "not known yet"
	if d.Phase.Final() {
		why = d.ID + " has ended"
	}
	return api.Verb{Name: name, Why: why}
}

// asked is what a verb's key leads to: a question, or why there is none.
func (s steering) asked(name string, d api.RolloutDetail) steering {
	v := verbOf(d, name)
	switch {
	case s.act == nil:
		s.said, s.bad = "nothing is changed from here: start it with --operate", true
	case v.Why != "":
		s.said, s.bad = label(name)+": not now: "+v.Why, true
	default:
		s.ask = &question{verb: v}
	}
	return s
}

// revised takes a question back that means another thing than when it was put:
// the person has not seen that.
func (s steering) revised(d api.RolloutDetail) steering {
	if s.ask == nil {
		return s
	}
	switch now := verbOf(d, s.ask.verb.Name); {
	case now.Why != "":
		s.said, s.bad, s.ask = label(now.Name)+": not any more: "+now.Why, true, nil
	case now.Does != s.ask.verb.Does:
		s.said, s.bad, s.ask = label(now.Name)+": the rollout has moved on; look, and ask again", true, nil
	}
	return s
}

// answered takes a key while a question is open.
func (s steering) answered(k tea.KeyPressMsg, r api.RolloutStatus) (steering, tea.Cmd) {
	q := *s.ask
	s.said, s.bad = "", false
	switch {
	case k.String() == "esc":
		s.ask, s.said = nil, "nothing was done"
		return s, nil
	case k.String() == "enter" && grave(q.verb.Name) && strings.TrimSpace(q.reason) == "":
		s.said, s.bad = "say why first, for the record", true
		return s, nil
	case k.String() == "enter":
		s.ask, s.said = nil, label(q.verb.Name)+": asked for"
		return s, s.do(actionOf(q, r))
	case k.String() == "backspace":
		_, size := utf8.DecodeLastRuneInString(q.reason)
		q.reason = q.reason[:len(q.reason)-size]
	case k.Text != "" && utf8.RuneCountInString(q.reason+k.Text) <= mostReason:
		q.reason += k.Text
	}
	s.ask = &q
	return s, nil
}

func (s steering) do(a Action) tea.Cmd { return func() tea.Msg { return s.act(a) } }

func actionOf(q question, r api.RolloutStatus) Action {
	a := Action{Service: r.Service, Rollout: r.ID, Verb: q.verb.Name, Reason: strings.TrimSpace(q.reason)}
	if a.Verb == api.FullPromote {
		a.Verb, a.Full = api.Promote, true
	}
	return a
}

// grave reports whether a verb wants a reason: it takes all traffic at once.
func grave(name string) bool {
	return name == api.Abort || name == api.FullPromote || name == api.Rollback
}

func label(name string) string {
	for _, v := range verbOrder {
		if v.verb == name {
			return v.label
		}
	}
	return name
}
