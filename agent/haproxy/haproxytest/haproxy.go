// Package haproxytest is a HAProxy for tests: it speaks the Runtime API of 2.6
// over net.Pipe, reads the files that the agent renders, and routes made-up
// traffic by them. It has no process, no sockets and no clock of its own, so
// many fit into one test process and into a synctest bubble.
//
//	h := haproxytest.New()
//	cfg.Dial, cfg.Listen, cfg.Launch, cfg.Exec, cfg.Signal = h.Dial, h.Listen, h.Launch, h.Exec, h.Signal
package haproxytest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// HAProxy is one fake HAProxy: a master, a worker, and what they have read.
type HAProxy struct {
	mu       sync.Mutex
	version  string
	cfgPath  string // "" for a HAProxy made by NewExisting
	running  bool
	orphaned bool // the master is dead, the worker lives
	nextPid  int
	master   int
	worker   int
	old      []int // workers that linger after a reload
	linger   bool
	reloads  int
	failed   int
	started  time.Time
	conf     config
	existing config
	reject   error
	refused  map[string]bool // addresses that do not accept
	busy     map[string]bool // ports that somebody else has
	apps     map[string]*behaviour
	faults   []fault
	commands []string

	ringMu    sync.Mutex
	listeners map[string]*listener
	ring      net.Conn
}

type fault int

const (
	faultRefuse fault = iota // the connection is closed before an answer
	faultHang                // no answer
	faultCut                 // half an answer
)

// New returns a HAProxy for managed mode. Nothing runs before Launch.
func New() *HAProxy {
	return &HAProxy{
		version: "2.6.12-1+deb12u4", nextPid: 1000,
		refused: map[string]bool{}, busy: map[string]bool{}, apps: map[string]*behaviour{}, listeners: map[string]*listener{},
	}
}

// NewExisting returns a running HAProxy whose owner has declared these backends,
// each with empty slots a1..aN and b1..bN.
func NewExisting(slots int, backends ...string) *HAProxy {
	h := New()
	for _, name := range backends {
		b := newBackend(name)
		for _, bank := range []string{"a", "b"} {
			for i := 1; i <= slots; i++ {
				b.add(fmt.Sprintf("%s%d", bank, i), "127.0.0.1", 1, 1, true)
			}
		}
		h.existing.backends = append(h.existing.backends, b)
	}
	h.conf = h.existing.clone()
	h.boot()
	return h
}

// SetVersion changes what "show info" and -v say.
func (h *HAProxy) SetVersion(version string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.version = version
}

// RejectConfig makes -c fail with err, until it is called with nil.
func (h *HAProxy) RejectConfig(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reject = err
}

// Occupy gives a listen address (":80", "127.0.0.1:80") to somebody else.
func (h *HAProxy) Occupy(addr string, busy bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy[addr] = busy
}

// LingerAfterReload makes every reload leave an old worker, until it is called
// with false, which ends those that linger.
func (h *HAProxy) LingerAfterReload(linger bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.linger = linger
	if !linger {
		h.old = nil
	}
}

// FailNext closes the next n connections without an answer.
func (h *HAProxy) FailNext(n int) { h.plant(faultRefuse, n) }

// HangNext leaves the next n connections without an answer until the client
// gives up.
func (h *HAProxy) HangNext(n int) { h.plant(faultHang, n) }

// CutNext breaks the answer to the next n connections off in the middle.
func (h *HAProxy) CutNext(n int) { h.plant(faultCut, n) }

// Crash ends master and worker, as kill -9 does.
func (h *HAProxy) Crash() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running, h.orphaned, h.old = false, false, nil
}

// KillMaster leaves the worker without its master.
func (h *HAProxy) KillMaster() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.orphaned = h.running
}

// Restart is a crash and a start by a supervisor: what was only in memory is
// gone, the files (or the owner's declarations) are read again.
func (h *HAProxy) Restart() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.read(); err != nil {
		return err
	}
	h.boot()
	return nil
}

// Pid returns the worker's pid, 0 if none runs.
func (h *HAProxy) Pid() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.running {
		return 0
	}
	return h.worker
}

// Reloads returns how often a new worker has taken over.
func (h *HAProxy) Reloads() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reloads
}

// Changes returns the last commands (at most 1000) that were to change something.
func (h *HAProxy) Changes() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.commands)
}

// Launch replaces Config.Launch: it reads the file named by -f.
func (h *HAProxy) Launch(_ context.Context, _ string, args []string) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.Index(args, "-f")
	if i < 0 || i+1 >= len(args) {
		return 0, errors.New("haproxytest: launched without -f")
	}
	h.cfgPath = args[i+1]
	if err := h.read(); err != nil {
		return 0, err
	}
	h.boot()
	return h.master, nil
}

// Exec replaces Config.Exec for -v and -c.
func (h *HAProxy) Exec(_ context.Context, _ string, args []string) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if slices.Contains(args, "-v") {
		return "HAProxy version " + h.version + " 2026/01/01 - https://haproxy.org/\n", nil
	}
	if h.reject != nil {
		return h.reject.Error() + "\n", h.reject
	}
	_, err := readConfig(args[len(args)-1])
	return "", err
}

// Signal replaces Config.Signal: SIGTERM, SIGUSR1 and SIGKILL end a process.
func (h *HAProxy) Signal(pid int, sig syscall.Signal) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.running || (pid != h.worker && (pid != h.master || h.orphaned)) {
		return syscall.ESRCH
	}
	if sig != 0 {
		h.running, h.orphaned = false, false
	}
	return nil
}

// Dial replaces Config.Dial. A path that ends in master.sock is the master's.
func (h *HAProxy) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	toMaster := strings.HasSuffix(addr, "master.sock")
	if !h.running || (toMaster && h.orphaned) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	client, server := net.Pipe()
	var f *fault
	if len(h.faults) > 0 {
		f = &h.faults[0]
		h.faults = h.faults[1:]
	}
	go h.serve(server, toMaster, f)
	return client, nil
}

// Private

func (h *HAProxy) plant(f fault, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for range n {
		h.faults = append(h.faults, f)
	}
}

// read loads what a starting worker would know.
func (h *HAProxy) read() error {
	if h.cfgPath == "" {
		h.conf = h.existing.clone()
		return nil
	}
	conf, err := readConfig(h.cfgPath)
	if err != nil {
		return err
	}
	h.conf = conf
	return nil
}

// boot starts a master and a worker.
func (h *HAProxy) boot() {
	h.nextPid += 2
	h.master, h.worker = h.nextPid-1, h.nextPid
	h.running, h.orphaned, h.failed = true, false, 0
	h.started = time.Now()
	h.old = nil
	h.markRefused()
}

// reload is the master's: a new worker, or none if the file is bad.
func (h *HAProxy) reload() {
	conf, err := readConfig(h.cfgPath)
	if h.cfgPath == "" {
		conf, err = h.existing.clone(), nil
	}
	if err != nil {
		h.failed++
		return
	}
	if h.linger {
		h.old = append(h.old, h.worker)
	}
	h.conf = conf
	h.nextPid++
	h.worker = h.nextPid
	h.started = time.Now()
	h.reloads++
	h.failed = 0
	h.markRefused()
}
