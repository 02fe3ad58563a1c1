package fleet

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// askTimeout bounds a question to a HAProxy or a dockerd, which may be frozen.
const askTimeout = 2 * time.Second

// Share is a canary's share of a host's traffic.
type Share struct {
	Points   int    // basis points
	Revision string // whose it is; empty: nobody's yet
}

// Shares are the canaries' shares on a host, by service, as its HAProxy has them now.
func (n *Node) Shares(ctx context.Context) (map[string]Share, error) {
	lines, err := n.askHAProxy(ctx, "show map "+filepath.Join(n.State(), "haproxy", "maps", "split.map"))
	if err != nil {
		return nil, err
	}
	shares, err := parseShares(lines)
	if err != nil {
		return nil, fmt.Errorf("the HAProxy of %s: %w", n.Name, err)
	}
	return shares, nil
}

// Open are the addresses that a host's HAProxy may send requests to, by service.
func (n *Node) Open(ctx context.Context) (map[string][]string, error) {
	lines, err := n.askHAProxy(ctx, "show servers state")
	if err != nil {
		return nil, err
	}
	open := map[string][]string{}
	for _, line := range lines {
		const backend, address, admin = 1, 4, 6
		const maintenance = 0x01 | 0x02 | 0x20 | 0x40
		f := strings.Fields(line)
		if len(f) <= admin || strings.HasPrefix(f[0], "#") {
			continue
		}
		state, err := strconv.Atoi(f[admin])
		if err != nil {
			return nil, fmt.Errorf("a slot's state on %s: %w", n.Name, err)
		}
		if state&maintenance == 0 {
			open[f[backend]] = append(open[f[backend]], f[address])
		}
	}
	return open, nil
}

// Private

// parseShares reads a map's lines: "<identifier> <service> <points>:<revision>:...".
func parseShares(lines []string) (map[string]Share, error) {
	shares := map[string]Share{}
	for _, line := range lines {
		const identifier, service, rule, fields = 0, 1, 2, 3
		f := strings.Fields(line)
		if len(f) != fields || !strings.HasPrefix(f[identifier], "0x") {
			continue
		}
		text, rest, _ := strings.Cut(f[rule], ":")
		points, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("share of %s: %w", f[service], err)
		}
		revision, _, _ := strings.Cut(rest, ":")
		shares[f[service]] = Share{Points: points, Revision: strings.TrimPrefix(revision, "-")}
	}
	return shares, nil
}

func (n *Node) askHAProxy(ctx context.Context, command string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", n.HAProxySocket())
	if err != nil {
		return nil, fmt.Errorf("ask the HAProxy of %s: %w", n.Name, err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(askTimeout)) // of a socket that is open
	if _, err := conn.Write([]byte(command + "\n")); err != nil {
		return nil, fmt.Errorf("ask the HAProxy of %s: %w", n.Name, err)
	}
	var lines []string
	scanner := bufio.NewScanner(conn)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("ask the HAProxy of %s: %w", n.Name, err)
	}
	return lines, nil
}
