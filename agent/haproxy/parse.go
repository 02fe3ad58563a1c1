package haproxy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// info is what is used of "show info".
type info struct {
	pid         int
	version     string
	description string
	started     time.Time
	uptime      time.Duration
}

func parseInfo(text string) (info, error) {
	var in info
	var err error
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "Pid":
			in.pid, err = strconv.Atoi(value)
		case "Version":
			in.version = value
		case "description":
			in.description = value
		case "Uptime_sec":
			in.uptime, err = parseSeconds(value)
		case "Start_time_sec":
			var d time.Duration
			d, err = parseSeconds(value)
			in.started = time.Unix(int64(d/time.Second), 0).UTC()
		}
		if err != nil {
			return info{}, fmt.Errorf("show info: %s: %w", key, err)
		}
	}
	if in.pid == 0 || in.version == "" {
		return info{}, errors.New("show info: no Pid or Version")
	}
	return in, nil
}

func parseSeconds(value string) (time.Duration, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	return time.Duration(n) * time.Second, err
}

// checkVersion accepts 2.6 and newer, in any of HAProxy's spellings
// ("2.6.12-1+deb12u4", "3.1-dev3").
func checkVersion(version string) error {
	head, _, _ := strings.Cut(version, "-")
	parts := strings.SplitN(head, ".", 3)
	if len(parts) < 2 {
		return fmt.Errorf("%w: cannot read version %q", ErrVersion, version)
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	if err1 != nil || err2 != nil {
		return fmt.Errorf("%w: cannot read version %q", ErrVersion, version)
	}
	if major < 2 || (major == 2 && minor < 6) {
		return fmt.Errorf("%w: this is %s", ErrVersion, version)
	}
	return nil
}

// server is a row of "show servers state".
type server struct {
	addr    netip.AddrPort
	state   State
	weight  int
	stopped bool
}

// Bits of srv_admin_state. CMAINT (4, disabled in the file) is not among them:
// it stays set after "state ready".
const (
	adminMaint = 0x01 | 0x02 | 0x20 | 0x40 // forced, inherited, by DNS
	adminDrain = 0x08 | 0x10
)

// Columns of "show servers state", format 1. An address may be "-".
const (
	colBackend, colServer, colAddr       = 1, 3, 4
	colOpState, colAdminState, colWeight = 5, 6, 7
	colPort                              = 18
)

// parseServers returns backend -> server -> row.
func parseServers(text string) (map[string]map[string]server, error) {
	out := map[string]map[string]server{}
	var f []string
	for line := range strings.Lines(text) {
		f = slices.AppendSeq(f[:0], strings.FieldsSeq(line))
		if len(f) <= colPort || f[0] == "#" {
			continue
		}
		row, err := parseServer(f)
		if err != nil {
			return nil, fmt.Errorf("show servers state: %s/%s: %w", f[colBackend], f[colServer], err)
		}
		if out[f[colBackend]] == nil {
			out[f[colBackend]] = map[string]server{}
		}
		out[f[colBackend]][f[colServer]] = row
	}
	return out, nil
}

func parseServer(f []string) (server, error) {
	op, err1 := strconv.Atoi(f[colOpState])
	admin, err2 := strconv.Atoi(f[colAdminState])
	weight, err3 := strconv.Atoi(f[colWeight])
	port, err4 := strconv.ParseUint(f[colPort], 10, 16)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return server{}, err
	}
	s := server{weight: weight, stopped: op == 0, state: Ready}
	// An address that cannot be read (a slot that waits for DNS) is an empty one.
	if ip, err := netip.ParseAddr(f[colAddr]); err == nil {
		s.addr = netip.AddrPortFrom(ip, uint16(port))
	}
	switch {
	case admin&adminMaint != 0:
		s.state = Maint
	case admin&adminDrain != 0:
		s.state = Drain
	case s.stopped:
		s.state = Down
	}
	return s, nil
}

// parseMap returns the key -> values of "show map"; more than one value is a
// duplicate key.
func parseMap(text string) map[string][]string {
	out := map[string][]string{}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 3 {
			out[f[1]] = append(out[f[1]], f[2])
		}
	}
	return out
}

// processes is what is used of the master's "show proc".
type processes struct {
	master     int
	workers    []int
	oldWorkers []int
	failed     int // reloads that failed since the last good one
}

func parseProc(text string) (processes, error) {
	var p processes
	section := ""
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "# ") {
			section = strings.TrimSpace(line[2:])
			continue
		}
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		pid, err := strconv.Atoi(f[0])
		switch {
		case err != nil: // the heading
		case f[1] == "master":
			p.master = pid
			p.failed = parseFailed(line)
		case f[1] == "worker" && section == "old workers":
			p.oldWorkers = append(p.oldWorkers, pid)
		case f[1] == "worker":
			p.workers = append(p.workers, pid)
		}
	}
	if p.master == 0 {
		return p, errors.New("show proc: no master")
	}
	return p, nil
}

// parseFailed reads "[failed: 2]".
func parseFailed(line string) int {
	_, rest, _ := strings.Cut(line, "[failed: ")
	number, _, _ := strings.Cut(rest, "]")
	n, err := strconv.Atoi(number)
	if err != nil {
		return 0
	}
	return n
}
