package live

import (
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/api"
)

// TestKeysSteer: each verb asks first, and does what was asked for.
func TestKeysSteer(t *testing.T) {
	paused := running()
	paused.Verbs[3].Why = ""
	for _, x := range []struct {
		key    string
		reason string
		want   Action
	}{
		{"p", "", Action{Verb: api.Promote}},
		{"F", "hotfix", Action{Verb: api.Promote, Full: true, Reason: "hotfix"}},
		{"s", "q?A", Action{Verb: api.Pause, Reason: "q?A"}}, // keys are letters now
		{"r", "", Action{Verb: api.Resume}},
		{"A", "two words", Action{Verb: api.Abort, Reason: "two words"}},
		{"B", "back", Action{Verb: api.Rollback, Reason: "back"}},
	} {
		var done []Action
		w, _ := send(t, shown(t, 80, 24, func(a Action) Done {
			done = append(done, a)
			return Done{Text: "it is done"}
		}), Stands{paused, at(95)}, press(x.key))
		if len(done) > 0 || !strings.Contains(w.Picture(), "enter: do it") {
			t.Fatalf("%s: is not asked:\n%s", x.key, w.Picture())
		}
		for _, letter := range x.reason {
			w, _ = send(t, w, press(string(letter)))
		}
		w, cmd := send(t, w, press("enter"))
		if cmd == nil {
			t.Fatalf("%s: nothing comes of it:\n%s", x.key, w.Picture())
		}
		w, _ = send(t, w, cmd())
		x.want.Service, x.want.Rollout = "checkout", "checkout-7"
		if diff := cmp.Diff([]Action{x.want}, done); diff != "" {
			t.Errorf("%s: %s", x.key, diff)
		}
		if !strings.Contains(w.Picture(), "it is done") {
			t.Errorf("%s: does not say what came of it:\n%s", x.key, w.Picture())
		}
	}
}

// TestNothingIsDoneUnasked: without --operate, without a yes, without a reason for
// what is grave, and not for another thing than was asked.
func TestNothingIsDoneUnasked(t *testing.T) {
	moved := running()
	moved.Verbs[0].Does = "makes 1.4.0 stable, without the rest of the hold"
	impossible := running()
	impossible.Verbs[4].Why = "checkout-7 is on its way back"
	act := func(Action) Done { panic("done") }
	for name, x := range map[string]struct {
		act  func(Action) Done
		msgs []tea.Msg
		want string
	}{
		"only shown":        {nil, []tea.Msg{press("A")}, "start it with --operate"},
		"not possible":      {act, []tea.Msg{press("r")}, "resume: not now: checkout-7 is not paused"},
		"no":                {act, []tea.Msg{press("p"), press("esc"), press("enter")}, ""},
		"no reason":         {act, []tea.Msg{press("A"), press(" "), press("enter")}, "say why first"},
		"moved on":          {act, []tea.Msg{press("p"), Stands{moved, at(96)}, press("enter")}, ""},
		"moved on, told":    {act, []tea.Msg{press("p"), Stands{moved, at(96)}}, "the rollout has moved on"},
		"not possible more": {act, []tea.Msg{press("A"), press("x"), Stands{impossible, at(96)}}, "abort: not any more: checkout-7 is on its way back"},
		"nothing known":     {act, []tea.Msg{Stands{api.RolloutDetail{}, at(96)}, press("p")}, "promote: not now: not known yet"},
	} {
		w, cmd := send(t, shown(t, 100, 24, x.act), x.msgs...)
		if cmd != nil {
			t.Errorf("%s: something comes of it", name)
		}
		if !strings.Contains(w.Picture(), x.want) {
			t.Errorf("%s: does not say %q:\n%s", name, x.want, w.Picture())
		}
	}
}

func TestReasonIsTyped(t *testing.T) {
	w, _ := send(t, shown(t, 80, 24, nothing), press("s"), press("ö"), press("x"), press("backspace"), press("y"), press("tab"))
	if !strings.Contains(w.Picture(), "why: öy_") {
		t.Error(w.Picture())
	}
	for range 2 * mostReason {
		w, _ = send(t, w, press("z"))
	}
	if n := len([]rune(w.ask.reason)); n != mostReason {
		t.Errorf("%d characters", n)
	}
	if w, _ = send(t, w, press("esc")); !strings.Contains(w.Picture(), "nothing was done") {
		t.Error(w.Picture())
	}
}

func TestKeysLeave(t *testing.T) {
	for _, keys := range [][]tea.Msg{{press("q")}, {press("ctrl+c")}, {press("A"), press("ctrl+c")}, {press("?"), press("q")}} {
		_, cmd := send(t, shown(t, 80, 24, nothing), keys...)
		if cmd == nil {
			t.Fatalf("%v: stays", keys)
		}
		if _, ok := cmd().(tea.QuitMsg); !ok {
			t.Errorf("%v: stays", keys)
		}
	}
	_, cmd := send(t, shown(t, 80, 24, nothing), press("ctrl+z"))
	if _, ok := cmd().(tea.SuspendMsg); !ok {
		t.Error("ctrl+z does not give the terminal back")
	}
}
