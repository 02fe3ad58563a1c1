package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/porttest"
)

// openSlots returns the addresses that a HAProxy may send requests to.
func openSlots(ctx context.Context, dir string) ([]string, error) {
	lines, err := askHAProxy(ctx, dir, "show servers state")
	if err != nil {
		return nil, err
	}
	var open []string
	for _, line := range lines {
		const server, address, admin = 3, 4, 6
		const maintenance = 0x01 | 0x02 | 0x20 | 0x40
		f := strings.Fields(line)
		if len(f) <= admin || strings.HasPrefix(f[0], "#") {
			continue
		}
		state, err := strconv.Atoi(f[admin])
		if err != nil {
			return nil, fmt.Errorf("state of %s: %w", f[server], err)
		}
		if state&maintenance == 0 {
			open = append(open, f[address])
		}
	}
	return open, nil
}

// askHAProxy gives a HAProxy of ours a command, and returns the lines that it answers.
func askHAProxy(ctx context.Context, dir, command string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, "admin.sock"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte(command + "\n")); err != nil {
		return nil, err
	}
	var said []string
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		said = append(said, lines.Text())
	}
	return said, lines.Err()
}

// startOwnHAProxy runs a HAProxy as its owner would, with a backend for serin.
func startOwnHAProxy(t *testing.T) (socket, listen string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "own") //nolint:usetesting // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	listen = porttest.Address(t)
	socket = filepath.Join(dir, "s")
	text := `global
    stats socket ` + socket + ` mode 600 level admin
defaults
    mode http
    timeout connect 1s
    timeout client 30s
    timeout server 30s
    retries 3
    option redispatch 1
    retry-on conn-failure empty-response
frontend www
    bind ` + listen + `
    use_backend the_shop if { path_beg / }
    default_backend legacy
backend legacy
    server old 127.0.0.1:9 disabled
backend the_shop
    balance roundrobin
    server-template a 1-8 127.0.0.1:1 check inter 500ms disabled
    server-template b 1-8 127.0.0.1:1 check inter 500ms disabled
`
	file := filepath.Join(dir, "c")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("haproxy", "-db", "-f", file)
	command.Stdout, command.Stderr = t.Output(), t.Output()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	eventually(t, "its admin socket", func() error {
		conn, err := new(net.Dialer).DialContext(t.Context(), "unix", socket)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	return socket, listen
}
