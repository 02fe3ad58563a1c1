package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/agent/haproxy/haproxytest"
	"github.com/serin-rollouts/serin/internal/bus/bustest"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestCheckAdvises: it says what the file of the user's own HAProxy lacks, of the
// backends that serin steers and of those that it could.
func TestCheckAdvises(t *testing.T) {
	bustest.Hold(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "haproxy.cfg")
	text := "defaults\n timeout connect 1s\n timeout server 1s\n option redispatch 1\n" +
		"backend plain\n server x 10.0.0.1:1\n" +
		"backend more\n server-template a 1-8 127.0.0.1:1 check disabled\n no option redispatch 1\n" +
		"backend mine\n retries 0\n default-server check\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBenchWith(t, dir, haproxytest.NewExisting(8, "mine"))
		t.Cleanup(b.end)
		a := b.want(5, b.revision("1", 1), nil, 0)
		a.Frontend = rollout.Frontend{Backend: "mine", Routing: rollout.Weighted}
		b.assign(a)
		b.settled(5)
		b.end()
		for name, want := range map[string][]string{
			file:        {`backend mine: add "retries 3": `, `backend more: add "option redispatch 1": `},
			"":          {"haproxy.file is not set: nobody has looked"},
			file + ".x": {"haproxy.file: read the existing HAProxy's file: "},
		} {
			cfg := b.config()
			cfg.HAProxy.File = name
			found, err := Check(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(found, "\n")
			if !strings.Contains(lines[0], "HAProxy existing, 1 service accepted") {
				t.Errorf("%q", lines[0])
			}
			for i, line := range lines[1:] {
				if i < len(want) && strings.HasPrefix(line, want[i]) {
					lines[1+i] = want[i]
				}
			}
			if diff := cmp.Diff(want, lines[1:]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	})
}

// TestDoctorTellsAllAtOnce: what is wrong with one thing hides nothing of the next.
func TestDoctorTellsAllAtOnce(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.end()
		cfg := b.config()
		found, err := Doctor(b.t.Context(), cfg)
		if err != nil || len(found) != 3 || !strings.Contains(found[0], "HAProxy managed, 0 services accepted") ||
			!strings.HasPrefix(found[1], "bus: ") || !strings.HasSuffix(found[2], " MiB are free under "+cfg.DataDir) {
			t.Errorf("%q, %v", found, err)
		}
		b.docker.Down()
		cfg.Bus.InProcess, cfg.Bus.URLs = nil, []string{"nats://127.0.0.1:1"}
		found, err = Doctor(b.t.Context(), cfg)
		if err == nil || len(found) != 1 || !strings.HasPrefix(found[0], "disk: ") {
			t.Fatalf("%q, %v", found, err)
		}
		for _, want := range []string{"Docker", "bus: no server of nats.urls (nats://127.0.0.1:1) answers within 5s"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v: does not tell of %s", err, want)
			}
		}
	})
}
