package live

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/goldentest"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const began = 1700000000000 // Unix ms

func at(seconds int) time.Time {
	return time.UnixMilli(began).Add(time.Duration(seconds) * time.Second).UTC()
}

// running is a rollout of twelve hosts at its second step, of which three have the
// canary.
func running() api.RolloutDetail {
	d := api.RolloutDetail{
		RolloutStatus: api.RolloutStatus{
			ID: "checkout-7", Service: "checkout", Phase: rollout.Progressing, From: "1.3.2", To: "1.4.0",
			Step: 2, Steps: 3, Weight: 2000, Reached: 3, Fleet: 12, Started: began,
			Waiting: "waits for evidence: errors: undecided",
			Latency: &api.Latency{Canary: api.Times{P99: 182_400}, Stable: api.Times{P99: 180_100}},
			Verdict: &api.Verdict{
				Outcome: api.OutcomeWait, Gate: "errors", Reason: "errors: undecided",
				Canary: api.Counts{Requests: 2468, Errors: 10}, Stable: api.Counts{Requests: 24630, Errors: 96},
				Gates: []api.Gate{
					{
						Name: "errors", Kind: api.KindErrors, Outcome: api.OutcomeWait, Allowed: new(50), Needed: 338,
						Canary: &api.Counts{Requests: 2468, Errors: 10}, Stable: &api.Counts{Requests: 24630, Errors: 96},
						Odds: &api.Odds{Value: 1040, Low: 410, High: 2300}, Evidence: &api.Evidence{Fail: 300, FailLimit: 5900, Safe: 2400, SafeLimit: 4600},
						Reason: "5xx 0.41% on canary (10 of 2468), 0.39% on stable (96 of 24630); allowed +0.5 points; about 340 more requests",
					},
					{
						Name: "latency-p99", Kind: api.KindLatency, Outcome: api.OutcomePass, Allowed: new(2000),
						CanaryTime: 182_400, StableTime: 180_100, Threshold: 216_000, Quantile: 9900,
						Canary: &api.Counts{Requests: 2400, Errors: 11}, Stable: &api.Counts{Requests: 24000, Errors: 240},
						Odds: &api.Odds{Value: 450, Low: 200, High: 900}, Evidence: &api.Evidence{Fail: -100, FailLimit: 6000, Safe: 4700, SafeLimit: 4600},
						Reason: "p99 182 ms on canary, 180 ms on stable",
					},
				},
			},
		},
		Path: []api.StepStatus{
			{Hosts: 1, Weight: 500, State: "done"},
			{Hosts: 3, Weight: 2000, Hold: 60_000, State: "now"},
			{Hosts: 12, Weight: 10_000, Approve: true, State: "ahead"},
		},
		HoldLeft: 12_000, DeadlineLeft: 3_506_000,
		Verbs: []api.Verb{
			{Name: api.Promote, Does: "takes step 3 of 3 now, without the rest of the hold and without evidence"},
			{Name: api.FullPromote, Does: "makes 1.4.0 stable on all hosts at once; no gate looks any more"},
			{Name: api.Pause, Does: "holds the rollout at its step; the gates watch on"},
			{Name: api.Resume, Does: "lets the rollout go on", Why: "checkout-7 is not paused"},
			{Name: api.Abort, Does: "takes all traffic back from 1.4.0 at once"},
		},
	}
	for i := range 12 {
		d.Hosts = append(d.Hosts, api.RolloutHost{Host: fmt.Sprintf("web-%02d", i+1), Heard: true})
	}
	d.Hosts[0] = api.RolloutHost{Host: "web-01", Reached: true, Heard: true, Settled: true, Weight: 2000}
	d.Hosts[1] = api.RolloutHost{Host: "web-02", Reached: true, Heard: true, Weight: 500, Doing: "waits until web-02-c1 is ready"}
	d.Hosts[2] = api.RolloutHost{Host: "web-03", Reached: true, Heard: true, Problem: "cannot pull: no such image\nmore"}
	return d
}

func stepped(step int) rollout.Event {
	return rollout.Event{
		Wall: began + int64(step)*4000, Kind: rollout.KindStep, Service: "checkout", Rollout: "checkout-7", Phase: rollout.Progressing,
		From: "1.3.2", To: "1.4.0", Step: step, Steps: 3, Weight: 500 * step, Hosts: step, Fleet: 12,
	}
}

func ended() rollout.Event {
	return rollout.Event{
		Wall: began + 100_000, Kind: rollout.KindRolledBack, Service: "checkout", Rollout: "checkout-7", Phase: rollout.RolledBack,
		From: "1.3.2", To: "1.4.0", Step: 2, Steps: 3, Fleet: 12, Text: "rolled back: 5xx 2.31% on canary; no traffic on it after 812ms", ZeroMillis: 812,
	}
}

func plainly() show.Options { return show.Options{Now: at(0)} }

func send(t *testing.T, m tea.Model, all ...tea.Msg) (Watch, tea.Cmd) {
	t.Helper()
	var cmd tea.Cmd
	for _, msg := range all {
		m, cmd = m.Update(msg)
	}
	w, ok := m.(Watch)
	if !ok {
		t.Fatalf("became %T", m)
	}
	return w, cmd
}

// press is a key as a terminal sends it.
func press(key string) tea.KeyPressMsg {
	special := map[string]tea.Key{
		"enter": {Code: tea.KeyEnter}, "esc": {Code: tea.KeyEscape}, "tab": {Code: tea.KeyTab}, "backspace": {Code: tea.KeyBackspace},
		"down": {Code: tea.KeyDown}, "up": {Code: tea.KeyUp}, "pgdown": {Code: tea.KeyPgDown}, "end": {Code: tea.KeyEnd}, "home": {Code: tea.KeyHome},
		"ctrl+c": {Code: 'c', Mod: tea.ModCtrl}, "ctrl+z": {Code: 'z', Mod: tea.ModCtrl},
	}
	if k, ok := special[key]; ok {
		return tea.KeyPressMsg(k)
	}
	r, _ := utf8.DecodeRuneInString(key)
	return tea.KeyPressMsg{Code: r, Text: key}
}

func shown(t *testing.T, width, height int, act func(Action) Done) Watch {
	t.Helper()
	w, _ := send(t, NewWatch(plainly(), act), tea.WindowSizeMsg{Width: width, Height: height},
		Happened{stepped(1)}, Happened{stepped(2)}, Stands{running(), at(94)})
	return w
}

func nothing(Action) Done { return Done{} }

func TestWatchPictures(t *testing.T) {
	many := running()
	many.Path = nil
	for i := range 12 {
		state := "ahead"
		switch {
		case i < 6:
			state = "done"
		case i == 6:
			state = "now"
		}
		many.Path = append(many.Path, api.StepStatus{Hosts: i + 1, Weight: 500 * (i + 1), State: state})
	}
	for name, x := range map[string]struct {
		width, height int
		act           func(Action) Done
		more          []tea.Msg
	}{
		"wide":      {120, 40, nil, nil},
		"usual":     {80, 24, nothing, nil},
		"narrow":    {40, 12, nothing, nil},
		"tiny":      {20, 5, nothing, nil},
		"gates":     {80, 24, nil, []tea.Msg{press("2")}},
		"hosts":     {80, 14, nil, []tea.Msg{press("3"), press("end")}},
		"events":    {80, 24, nil, []tea.Msg{press("4")}},
		"help":      {80, 30, nothing, []tea.Msg{press("?")}},
		"asked":     {80, 24, nothing, []tea.Msg{press("A"), press("b"), press("a"), press("d")}},
		"refused":   {80, 24, nothing, []tea.Msg{press("r")}},
		"only seen": {80, 24, nil, []tea.Msg{press("p")}},
		"cut off":   {80, 24, nil, []tea.Msg{Remark{"checkout-7 no leader answers just now; hosts go on as they were told", at(99)}}},
		"many":      {80, 24, nil, []tea.Msg{Stands{many, at(95)}}},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := send(t, shown(t, x.width, x.height, x.act), x.more...)
			got := w.Picture()
			goldentest.Compare(t, "watch-"+strings.ReplaceAll(name, " ", "-")+".txt", got+"\n")
			fits(t, got, x.width, x.height)
		})
	}
}

// TestWatchFits: whatever the size, no line is too wide, and no picture too high.
func TestWatchFits(t *testing.T) {
	for width := 1; width < 130; width += 13 {
		for height := 1; height < 50; height += 7 {
			for page := range 4 {
				w, _ := send(t, shown(t, width, height, nothing), press(strconv.Itoa(page+1)), press("end"))
				fits(t, w.Picture(), width, height)
			}
		}
	}
}

func fits(t *testing.T, picture string, width, height int) {
	t.Helper()
	lines := strings.Split(picture, "\n")
	if len(lines) > height {
		t.Errorf("%d lines on %d:\n%s", len(lines), height, picture)
	}
	for _, line := range lines {
		if n := ansi.StringWidth(line); n > width {
			t.Errorf("%d columns on %d: %q", n, width, line)
		}
	}
}

// TestWatchSaysAllWithoutColour: with colour it is the same text.
func TestWatchSaysAllWithoutColour(t *testing.T) {
	colourful := plainly()
	colourful.Palette.On = true
	w, _ := send(t, NewWatch(colourful, nothing), tea.WindowSizeMsg{Width: 80, Height: 24},
		Happened{stepped(1)}, Happened{stepped(2)}, Stands{running(), at(94)})
	if !strings.Contains(w.Picture(), "\x1b[") {
		t.Error("there is no colour")
	}
	if diff := cmp.Diff(shown(t, 80, 24, nothing).Picture(), ansi.Strip(w.Picture())); diff != "" {
		t.Error(diff)
	}
}

func TestWatchLeavesItsLastPicture(t *testing.T) {
	over := running()
	over.Phase, over.Ended, over.Text = rollout.RolledBack, began+100_000, "5xx 2.31% on canary"
	over.Weight, over.Reached, over.Verdict, over.Latency, over.Hosts, over.Verbs, over.HoldLeft, over.DeadlineLeft, over.Waiting = 0, 0, nil, nil, nil, nil, 0, 0, ""
	w, cmd := send(t, shown(t, 80, 10, nil), press("3"), Happened{ended()}, Stands{over, at(100)}, Over{})
	if cmd == nil {
		t.Fatal("goes on")
	}
	if _, ok := cmd().(tea.QuitMsg); !ok {
		t.Error("goes on")
	}
	goldentest.Compare(t, "watch-last.txt", w.Last()+"\n")

	untold, _ := send(t, shown(t, 80, 24, nil), Ended{over.RolloutStatus})
	if !strings.Contains(untold.Last(), "22:15:00 checkout-7 rolled back at step 2 of 3: 5xx 2.31% on canary") {
		t.Error("hides an end that no event told of:\n" + untold.Last())
	}
}

// TestHoldRunsDown: also while nobody answers.
func TestHoldRunsDown(t *testing.T) {
	w := shown(t, 80, 24, nil)
	for seconds, want := range map[int]string{0: "1m at least (12s left)", 5: "1m at least (7s left)", 12: "1m at least\n", 900: "1m at least\n"} {
		w, _ := send(t, w, Remark{"no leader", at(94 + seconds)})
		if !strings.Contains(w.Picture(), want) {
			t.Errorf("after %d s there is no %q:\n%s", seconds, want, w.Picture())
		}
	}
}

// TestNewsTakeARemarkAway: once there is an answer again.
func TestNewsTakeARemarkAway(t *testing.T) {
	w, _ := send(t, shown(t, 80, 24, nil), Remark{"no leader", at(95)})
	if !strings.Contains(w.Picture(), "! heard last at 22:14:54: no leader") {
		t.Error("hides that nobody answers:\n" + w.Picture())
	}
	w, _ = send(t, w, Stands{running(), at(96)})
	if strings.Contains(w.Picture(), "no leader") {
		t.Error("still says so:\n" + w.Picture())
	}
}

func TestScrollingStaysWithin(t *testing.T) {
	w := shown(t, 80, 10, nil)
	top := w.Picture()
	for _, key := range []string{"pgdown", "pgdown", "pgdown", "pgdown", "pgdown", "pgdown", "down"} {
		w, _ = send(t, w, press(key))
	}
	low := w.Picture()
	if low == top || !strings.Contains(low, "checkout-7 step 2/3") {
		t.Error("the end is not to be seen:\n" + low)
	}
	w, _ = send(t, w, press("down"))
	if w.Picture() != low {
		t.Error("goes beyond the end:\n" + w.Picture())
	}
	if w, _ = send(t, w, press("home"), press("up")); w.Picture() != top {
		t.Error("does not come back:\n" + w.Picture())
	}
	if w, _ = send(t, w, press("end"), tea.WindowSizeMsg{Width: 80, Height: 60}); w.scroll != 0 {
		t.Error("stays scrolled on a screen that holds all")
	}
}

func TestPagesTurn(t *testing.T) {
	w := shown(t, 80, 24, nil)
	for _, x := range []struct{ key, want string }{
		{"tab", "[gates]"}, {"tab", "[hosts]"}, {"tab", "[events]"}, {"tab", "[overview]"}, {"3", "[hosts]"}, {"left", "[gates]"}, {"9", "[gates]"},
	} {
		key := press(x.key)
		if x.key == "left" {
			key = tea.KeyPressMsg{Code: tea.KeyLeft}
		}
		if w, _ = send(t, w, key); !strings.Contains(w.Picture(), x.want) {
			t.Errorf("%s does not lead to %s:\n%s", x.key, x.want, w.Picture())
		}
	}
}
