package main

import (
	"bytes"
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/daemon"
)

func TestRunSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
		want string // in what it says
	}{
		"version":        {[]string{"--version"}, 0, ""},
		"print":          {[]string{"--print-config", "--id", "c1"}, 0, "id: c1"},
		"unknown flag":   {[]string{"--nonsense"}, daemon.ExitUsage, "nonsense"},
		"log level":      {[]string{"--id", "c1", "--log-level", "loud"}, daemon.ExitUsage, "--log-level"},
		"id":             {[]string{"--id", "C 1"}, daemon.ExitUsage, "id"},
		"two buses":      {[]string{"--id", "c1", "--nats-urls", "nats://x:1", "--nats-routes", "x:2"}, daemon.ExitUsage, "nats.routes"},
		"lease":          {[]string{"--id", "c1", "--lease", "1ms"}, daemon.ExitUsage, "lease"},
		"check":          {[]string{"check", "--id", "c1"}, 0, "good"},
		"unknown verb":   {[]string{"chekc", "--id", "c1"}, daemon.ExitUsage, "chekc"},
		"two verbs":      {[]string{"run", "check", "--id", "c1"}, daemon.ExitUsage, "one verb"},
		"raft address":   {[]string{"check", "--id", "c1", "--raft-listen", "nonsense"}, daemon.ExitUsage, "--raft-listen"},
		"http address":   {[]string{"check", "--id", "c1", "--http-listen", "nonsense"}, daemon.ExitUsage, "--http-listen"},
		"nats address":   {[]string{"check", "--id", "c1", "--nats-listen", "nonsense"}, daemon.ExitUsage, "--nats-listen"},
		"peers":          {[]string{"--id", "c1", "--raft-peers", "c1"}, daemon.ExitUsage, "--raft-peers"},
		"half an id":     {[]string{"--id", "c1", "--tls-ca", "ca.pem"}, daemon.ExitUsage, "tls"},
		"data is a file": {[]string{"--id", "c1", "--data", "main.go", "--nats-listen", "127.0.0.1:0", "--http-listen", "off"}, daemon.ExitFailed, "main.go"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), c.args, &stdout, &stderr)
		if said := stdout.String() + stderr.String(); code != c.code || !strings.Contains(said, c.want) {
			t.Errorf("%s: exit %d, want %d; said %q, want %q in it", name, code, c.code, said, c.want)
		}
	}
}

// An address that another process has is named by its key.
func TestAddressInUse(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	address := taken.Addr().String()
	for key, args := range map[string][]string{
		"nats.listen":  {"--nats-listen", address},
		"nats.cluster": {"--nats-listen", "127.0.0.1:0", "--nats-cluster", address, "--nats-routes", "127.0.0.1:1"},
		"raft.listen":  {"--nats-listen", "127.0.0.1:0", "--raft-listen", address},
	} {
		if key != "raft.listen" {
			args = append(args, "--raft-listen", "127.0.0.1:"+freePort(t))
		}
		var said bytes.Buffer
		code := run(t.Context(), append(args, "--id", "c1", "--data", filepath.Join(t.TempDir(), "data")), &said, &said)
		if !strings.Contains(said.String(), key+": ") || !strings.Contains(said.String(), "choose another address") || code != daemon.ExitFailed {
			t.Errorf("%s: exit %d, said %s", key, code, said.String())
		}
	}
}

// A coordinator alone starts from nothing but an id, and ends when told to.
func TestRunAlone(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	out, in := net.Pipe()
	defer func() { _ = out.Close() }()
	done := make(chan int, 1)
	go func() {
		args := []string{
			"--id", "c1", "--data", filepath.Join(t.TempDir(), "data"),
			"--nats-listen", "127.0.0.1:0", "--raft-listen", "127.0.0.1:" + freePort(t),
			"--http-listen", "127.0.0.1:0",
		}
		done <- run(ctx, args, in, in)
		_ = in.Close()
	}()
	var said strings.Builder
	buffer := make([]byte, 4096)
	for {
		n, err := out.Read(buffer)
		said.Write(buffer[:n])
		if strings.Contains(said.String(), `"message":"leading"`) {
			stop()
		}
		if err != nil {
			break
		}
	}
	if code := <-done; code != 0 || !strings.Contains(said.String(), `"message":"leading"`) {
		t.Errorf("exit %d after\n%s", code, said.String())
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
