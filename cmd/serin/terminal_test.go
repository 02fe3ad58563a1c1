package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/ptytest"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const terminalBegan = 1700000000000 // Unix ms

func onTerminal(t *testing.T) (*fake, func(columns, rows int, env string, args ...string) *ptytest.Terminal) {
	t.Helper()
	f, err := startFake(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.stop(); err != nil {
			t.Errorf("stop fake: %v", err)
		}
	})
	return f, func(columns, rows int, env string, args ...string) *ptytest.Terminal {
		command := exec.CommandContext(t.Context(), "serin", args...) // TestMain puts it there
		command.Env = append(os.Environ(), "SERIN_SERVER="+f.server.URL(), "TZ=UTC", "USER=ann", "TERM=xterm-256color", "GORACE=atexit_sleep_ms=0", "CLICOLOR_FORCE=", "NO_COLOR=", env)
		return ptytest.Start(t, command, columns, rows)
	}
}

func okWith(t *testing.T, data any) []byte {
	t.Helper()
	answer, err := json.Marshal(api.Answer[any]{Reply: api.Reply{OK: true}, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func tells(t *testing.T, f *fake, subject string, answers ...any) {
	t.Helper()
	var all [][]byte
	for _, data := range answers {
		if data == nil {
			all = append(all, nil) // no answer
			continue
		}
		all = append(all, okWith(t, data))
	}
	if err := f.answer(subject, all...); err != nil {
		t.Fatal(err)
	}
}

func progressing() api.RolloutDetail {
	return api.RolloutDetail{
		RolloutStatus: api.RolloutStatus{
			ID: "checkout-7", Service: "checkout", Phase: rollout.Progressing, From: "1.3.2", To: "1.4.0", Step: 1, Steps: 2,
			Weight: 500, Reached: 1, Fleet: 2, Waiting: "holds for 58s more", Started: terminalBegan,
		},
		Path:  []api.StepStatus{{Hosts: 1, Weight: 500, Hold: 60_000, State: "now"}, {Hosts: 2, Weight: 10_000, State: "ahead"}},
		Hosts: []api.RolloutHost{{Host: "web-01", Reached: true, Heard: true, Settled: true, Weight: 500}, {Host: "web-02", Heard: true}},
		Verbs: []api.Verb{{Name: api.Pause, Does: "holds the rollout at its step"}, {Name: api.Resume, Does: "lets it go on", Why: "checkout-7 is not paused"}},
	}
}

func over(phase rollout.Phase, text string) (api.RolloutDetail, rollout.Event) {
	d := progressing()
	d.Phase, d.Text, d.Ended, d.Waiting, d.Hosts, d.Verbs = phase, text, terminalBegan+94_000, "", nil, nil
	kind := rollout.KindRolledBack
	if phase == rollout.Succeeded {
		kind = rollout.KindSucceeded
	}
	return d, rollout.Event{
		Wall: d.Ended, Kind: kind, Service: d.Service, Rollout: d.ID, Phase: phase, From: d.From, To: d.To,
		Step: 1, Steps: 2, Hosts: 1, Fleet: 2, Text: text,
	}
}

// altScreen is how a program takes the whole screen, and gives it back.
const altScreen, mainScreen = "\x1b[?1049h", "\x1b[?1049l"

// left is what stands on a terminal behind the picture.
func left(t *testing.T, raw string) string {
	t.Helper()
	before, after, found := strings.Cut(raw, mainScreen)
	if !found || !strings.Contains(before, altScreen) {
		t.Fatalf("did not take the screen and give it back: %q", raw)
	}
	return strings.ReplaceAll(ansi.Strip(after), "\r", "")
}

// TestWatchOnATerminal: it is drawn, steered, resized, cut off and resumed, and
// leaves its last picture and the verdict.
func TestWatchOnATerminal(t *testing.T) {
	f, start := onTerminal(t)
	tells(t, f, "get.rollout.checkout", progressing())
	tells(t, f, "get.rollout.checkout-7", progressing())
	tells(t, f, "cmd.pause.checkout", nil)
	if err := f.answer("cmd.pause.checkout", []byte(`{"ok":true,"rollout":"checkout-7"}`)); err != nil {
		t.Fatal(err)
	}
	term := start(80, 24, "", "watch", "checkout", "--operate", "--by", "bob")
	term.Sees("web-01")

	term.Type("r")
	term.Sees("not paused")
	term.Type("s")
	term.Sees("enter:")
	term.Type("lunch\r")
	term.Sees("done")
	f.mu.Lock()
	asked := strings.Join(f.requests["cmd.pause.checkout"], "\n")
	f.mu.Unlock()
	if want := `{"rollout":"checkout-7","by":"bob","reason":"lunch"}`; asked != want {
		t.Errorf("asked for %s, want %s", asked, want)
	}

	term.Resize(50, 11)
	term.Sees("checkout-7")
	term.Resize(100, 30)
	term.Sees("checkout-7")

	later := progressing()
	later.Waiting = "holds for 41s more"
	tells(t, f, "get.rollout.checkout-7", nil, nil, later)
	term.Sees("leader")
	term.Sees("41s")
	end, event := over(rollout.RolledBack, "5xx 2.31% on canary")
	tells(t, f, "get.rollout.checkout-7", end)
	if err := f.publish(event); err != nil {
		t.Fatal(err)
	}
	if code := term.Ends(); code != exitRolledBack {
		t.Errorf("exit code %d", code)
	}
	last := left(t, term.Raw())
	for _, want := range []string{
		"checkout-7  Rolled back  1.3.2 -> 1.4.0, took 94s\n", "> 1  5% on 1 host, 1m at least\n",
		"22:14:54 checkout-7 5xx 2.31% on canary\n", "checkout-7 was rolled back; `serin explain checkout-7` says why",
	} {
		if !strings.Contains(last, want) {
			t.Errorf("does not leave %q:\n%s", want, last)
		}
	}
}

// TestWatchIsLeft: the rollout goes on, and the exit code is no verdict.
func TestWatchIsLeft(t *testing.T) {
	for _, key := range []string{"q", "\x03"} {
		f, start := onTerminal(t)
		tells(t, f, "get.services", []api.ServiceStatus{{Service: "checkout", Running: true, Rollout: new(progressing().RolloutStatus)}})
		tells(t, f, "get.rollout.checkout-7", progressing())
		term := start(80, 24, "NO_COLOR=1", "watch")
		term.Sees("web-01")
		term.Type(key)
		if code := term.Ends(); code != exitInterrupted {
			t.Errorf("exit code %d", code)
		}
		last := left(t, term.Raw())
		if !strings.Contains(last, "checkout-7 goes on (Progressing, step 1 of 2): `serin watch checkout-7`") {
			t.Errorf("does not say that it goes on:\n%s", last)
		}
		if colours.MatchString(term.Raw()) {
			t.Errorf("there is colour: %q", term.Raw())
		}
	}
}

// TestWatchOnADumbTerminal: lines.
func TestWatchOnADumbTerminal(t *testing.T) {
	f, start := onTerminal(t)
	end, event := over(rollout.Succeeded, "1.4.0 is stable")
	tells(t, f, "get.rollout.checkout-7", progressing(), progressing(), end)
	term := start(80, 24, "TERM=dumb", "watch", "checkout-7")
	term.Sees("5% on 1 of 2 hosts  holds for 58s more")
	if err := f.publish(event); err != nil {
		t.Fatal(err)
	}
	if code := term.Ends(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(term.Raw(), "\x1b") {
		t.Errorf("draws: %q", term.Raw())
	}
}

// colours are sequences that colour text.
var colours = regexp.MustCompile(`\x1b\[(3[1-7]|9[0-7]|38)[;m]`)

// TestTopOnATerminal: it is drawn, turned over and left.
func TestTopOnATerminal(t *testing.T) {
	f, start := onTerminal(t)
	tells(t, f, "get.services", []api.ServiceStatus{{Service: "checkout", Running: true, Rollout: new(progressing().RolloutStatus)}})
	tells(t, f, "get.hosts", []api.HostStatus{{Host: "web-01", Live: true, Version: "0.9.0", Services: []api.HostService{{Service: "checkout", Stable: "r1", StableVersion: "1.3.2"}}}})
	term := start(80, 24, "", "top", "--interval", "200ms")
	term.Sees("1.3.2")
	term.Type("2")
	term.Sees("web-01")
	term.Type("q")
	if code := term.Ends(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}
