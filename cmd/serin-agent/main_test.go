package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/daemon"
)

func TestPrintConfigTellsOrigins(t *testing.T) {
	file := filepath.Join(t.TempDir(), "agent.yaml")
	text := "host: web-7\nlabels: {role: web}\nnats: {urls: [\"nats://nats:4222\"]}\nhaproxy: {mode: existing, socket: /run/haproxy.sock}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"run", "--config", file, "--print-config", "--log-level", "debug"}, &out, &errs); code != 0 {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	for _, want := range []string{"web-7", "/run/haproxy.sock", "flag --log-level", "default"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

func TestUsageErrors(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"walk"}, `unknown verb "walk"`},
		{[]string{"run", "check"}, "one verb is enough"},
		{[]string{"--log-level", "loud"}, "flag --log-level"},
		{[]string{"--nonsense"}, "nonsense"},
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), tc.args, &out, &errs); code != daemon.ExitUsage || !strings.Contains(errs.String(), tc.want) {
			t.Errorf("%v: exit %d: %s", tc.args, code, errs.String())
		}
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"--host", "no spaces please"}, &out, &errs); code != daemon.ExitUsage || !strings.Contains(errs.String(), "--host") {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}

// TestLinksNoServers: a host needs neither consensus nor a NATS server.
func TestLinksNoServers(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list -deps: %v", err)
	}
	for dep := range strings.Lines(string(out)) {
		for _, banned := range []string{"github.com/hashicorp/raft", "github.com/nats-io/nats-server", "serin/coordinator", "go.etcd.io/bbolt"} {
			if strings.Contains(dep, banned) {
				t.Errorf("serin-agent links %s", strings.TrimSpace(dep))
			}
		}
	}
}

// TestWhereRequestsAreLogged: by a socket unless the file says otherwise, and
// never where HAProxy is not ours.
func TestWhereRequestsAreLogged(t *testing.T) {
	for want, change := range map[string]func(*haproxySettings){
		"unix":            func(*haproxySettings) {},
		"":                func(h *haproxySettings) { h.Log = "off" },
		"127.0.0.1:20001": func(h *haproxySettings) { h.Log = "127.0.0.1:20001" },
	} {
		s := defaults()
		change(&s.HAProxy)
		if got := s.config(zerolog.Nop()).HAProxy.LogAddr; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		s.HAProxy.Mode = "existing"
		if got := s.config(zerolog.Nop()).HAProxy.LogAddr; got != "" {
			t.Errorf("existing: %q", got)
		}
	}
}
