package e2e

import (
	"errors"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/ptytest"
)

const exitAborted = 4

// watched: a person sees a rollout on a terminal, and takes it back from there.
func (w *world) watched() {
	w.publish("watched", w.ungated("v1", "[{weight: 20%, approve: true}, {weight: 100%}]"))
	eventually(w.t, "the rollout runs", func() error {
		if !ask[api.ServiceStatus](w, api.GetService, service).Running {
			return errors.New("it does not")
		}
		return nil
	})
	command := w.command("watch", "--operate")
	command.Env = append(command.Env, "TERM=xterm-256color", "NO_COLOR=1")
	term := ptytest.Start(w.t, command, 90, 30)
	for _, want := range []string{w.Hosts[0].Name, "you:"} { // a host, and that it waits for a person
		term.Sees(want)
	}
	term.Type("A")
	term.Sees("enter:")
	term.Type("seen enough\r")
	if code := term.Ends(); code != exitAborted {
		w.t.Errorf("exit code %d", code)
	}
	picture := ansi.Strip(term.Raw())
	for _, want := range []string{"Aborted", "seen enough", "was aborted; `serin history " + service + "`"} {
		if !strings.Contains(picture, want) {
			w.t.Errorf("leaves no %q:\n%s", want, picture)
		}
	}
	w.wantTidy("v2")
}
