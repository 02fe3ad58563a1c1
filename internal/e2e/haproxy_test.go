package e2e

import (
	"bufio"
	"context"
	"errors"
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

// slot is a server of a HAProxy, as HAProxy itself describes it.
type slot struct {
	backend, name, address string
	open                   bool // not in maintenance
	weight                 int
}

// slots asks a HAProxy for its servers.
func slots(ctx context.Context, socket string) ([]slot, error) {
	lines, err := askHAProxy(ctx, socket, "show servers state")
	if err != nil {
		return nil, err
	}
	var all []slot
	for _, line := range lines {
		const backend, server, address, admin, weight = 1, 3, 4, 6, 7
		const maintenance = 0x01 | 0x02 | 0x20 | 0x40
		f := strings.Fields(line)
		if len(f) <= weight || strings.HasPrefix(f[0], "#") {
			continue
		}
		state, err1 := strconv.Atoi(f[admin])
		w, err2 := strconv.Atoi(f[weight])
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("state of %s: %w", f[server], err)
		}
		all = append(all, slot{backend: f[backend], name: f[server], address: f[address], open: state&maintenance == 0, weight: w})
	}
	return all, nil
}

// openSlots returns the addresses that a HAProxy of ours may send requests to.
func openSlots(ctx context.Context, dir string) ([]string, error) {
	all, err := slots(ctx, adminSocket(dir))
	var open []string
	for _, s := range all {
		if s.open {
			open = append(open, s.address)
		}
	}
	return open, err
}

// split returns what share of the users a HAProxy of ours sends to the canary of a
// service, in basis points: from its map, and beside that no slot of the canary's may
// have a weight.
func split(ctx context.Context, dir, service string) (int, error) {
	lines, err := askHAProxy(ctx, adminSocket(dir), "show map "+filepath.Join(dir, "maps", "split.map"))
	if err != nil {
		return 0, err
	}
	for _, line := range lines { // "0x55d0 demo 500:1f2e3d:b:1"
		f := strings.Fields(line)
		if len(f) != 3 || f[1] != service {
			continue
		}
		rule := strings.Split(f[2], ":")
		share, err := strconv.Atoi(rule[0])
		if err != nil || len(rule) != 4 {
			return 0, fmt.Errorf("the split is %q", f[2])
		}
		all, err := slots(ctx, adminSocket(dir))
		for _, s := range all {
			if s.backend == service && s.open && strings.HasPrefix(s.name, rule[2]) && s.weight > 0 && share < 10000 {
				return 0, fmt.Errorf("canary slot %s has weight %d beside the split %q", s.name, s.weight, f[2])
			}
		}
		return share, err
	}
	return 0, fmt.Errorf("there is no split of %s in %q", service, lines)
}

// weights returns the sum of the weights of each bank of open slots of a backend.
func weights(ctx context.Context, socket, backend string) (map[byte]int, error) {
	all, err := slots(ctx, socket)
	sums := map[byte]int{}
	for _, s := range all {
		if s.backend == backend && s.open {
			sums[s.name[0]] += s.weight
		}
	}
	return sums, err
}

func adminSocket(dir string) string { return filepath.Join(dir, "admin.sock") }

// askHAProxy gives a HAProxy a command, and returns the lines that it answers.
func askHAProxy(ctx context.Context, socket, command string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
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
