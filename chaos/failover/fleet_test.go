package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestAwait: what was lacking is told when the time is up, and nothing of it when
// somebody ends the run.
func TestAwait(t *testing.T) {
	lacking := errors.New("no rollout is in the middle")
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		found, err := await(t.Context(), time.Minute, func(context.Context) (string, error) {
			if looks++; looks == 3 {
				return "c2", nil
			}
			return "", lacking
		})
		if found != "c2" || err != nil {
			t.Errorf("the third look finds c2; got %q, %v", found, err)
		}
		never := func(context.Context) (string, error) { return "", lacking }
		if _, err := await(t.Context(), time.Minute, never); !errors.Is(err, lacking) || !strings.Contains(err.Error(), "1m0s") {
			t.Errorf("after a minute: %v", err)
		}
		ctx, end := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, end)
		if _, err := await(ctx, time.Minute, never); !errors.Is(err, context.Canceled) || errors.Is(err, lacking) {
			t.Errorf("the run was ended: %v", err)
		}
	})
}

// TestRefused: what will never start a rollout is told apart from what has, and from
// what nobody has decided.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		reply api.Reply
		want  bool
	}{
		"it began":              {api.Reply{OK: true, Rollout: "demo-3"}, false},
		"it began before":       {api.Reply{OK: true, Unchanged: true, Rollout: "demo-3"}, false},
		"its version is stable": {api.Reply{OK: true, Unchanged: true}, true},
		"no answer":             {api.Reply{}, false},
		"nobody leads":          {api.Reply{Code: rollout.CodeBusy}, false},
		"another one runs":      {api.Reply{Code: rollout.CodeConflict, Rollout: "demo-2"}, true},
		"its image is unknown":  {api.Reply{Code: rollout.CodeImage}, true},
	} {
		if got := refused(c.reply); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestCopyLogs: the logs are kept, and nothing else is.
func TestCopyLogs(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	from := t.TempDir()
	for name, text := range map[string]string{"c1.log": "a warning", "h1.log": "another", "c1.key": "secret"} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	to, err := copyLogs(from)
	if err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadDir(to)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(to, "c1.log"))
	if err != nil || string(text) != "a warning" || len(all) != 2 {
		t.Errorf("%d files, the log of c1 is %q (%v)", len(all), text, err)
	}
}
