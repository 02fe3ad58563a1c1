package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/daemon"
)

type settings struct {
	Name string     `yaml:"name" doc:"whatever"`
	Log  daemon.Log `yaml:"log"`
}

func TestRun(t *testing.T) {
	for name, c := range map[string]struct {
		args            []string
		code            int
		says, complains string
	}{
		"nothing":     {nil, 0, "ran a", ""},
		"run":         {[]string{"run", "--name", "b"}, 0, "ran b", ""},
		"fails":       {[]string{"fail"}, daemon.ExitFailed, "", "thing: broken"},
		"version":     {[]string{"--version"}, 0, "1.2.3", ""},
		"print":       {[]string{"--print-config"}, 0, "name: a", ""},
		"help":        {[]string{"--help"}, 0, "", "usage of thing"},
		"flag":        {[]string{"--nonsense"}, daemon.ExitUsage, "", "nonsense"},
		"verb":        {[]string{"walk"}, daemon.ExitUsage, "", `thing: unknown verb "walk", known are fail and run`},
		"verbs":       {[]string{"run", "run"}, daemon.ExitUsage, "", "one verb"},
		"level":       {[]string{"--log-level", "loud"}, daemon.ExitUsage, "", "flag --log-level"},
		"not allowed": {[]string{"--name", "bad"}, daemon.ExitUsage, "", "flag --name"},
	} {
		s := settings{Name: "a", Log: daemon.Log{Level: "info"}}
		p := daemon.Program{
			Name: "thing", Usage: "usage of thing\n", Version: "v1.2.3", Settings: &s, Log: &s.Log,
			Validate: func(log zerolog.Logger) error {
				if log.GetLevel() != zerolog.InfoLevel {
					t.Errorf("%s: the log has level %s", name, log.GetLevel())
				}
				if s.Name == "bad" {
					return errors.New("name: is bad")
				}
				return nil
			},
			Verbs: map[string]func(context.Context, io.Writer) error{
				"run": func(_ context.Context, out io.Writer) error {
					_, err := fmt.Fprintln(out, "ran", s.Name)
					return err
				},
				"fail": func(context.Context, io.Writer) error { return errors.New("broken") },
			},
		}
		var stdout, stderr bytes.Buffer
		code := p.Run(t.Context(), c.args, &stdout, &stderr)
		if code != c.code || !strings.Contains(stdout.String(), c.says) || !strings.Contains(stderr.String(), c.complains) {
			t.Errorf("%s: exit %d, said %q, complained %q", name, code, stdout.String(), stderr.String())
		}
		if c.complains == "" && stderr.Len() > 0 {
			t.Errorf("%s: complained %q", name, stderr.String())
		}
	}
}
