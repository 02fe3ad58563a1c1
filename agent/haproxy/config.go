package haproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

const (
	// DefaultSlots is the number of server slots per bank.
	DefaultSlots = 8

	maxSlots = 64
	// defaultTimeout bounds one exchange on a runtime socket (p99 measured: 4 ms).
	defaultTimeout = 2 * time.Second
	// startTimeout bounds a start or a reload (measured: 0.5 s under load;
	// HAProxy itself retries a busy port for about 2 s).
	startTimeout = 15 * time.Second
	// maxSocketPath is what HAProxy leaves of a unix address for a path, since
	// it appends ".<pid>.tmp" while binding.
	maxSocketPath = 97
)

// Config is what both kinds of HAProxy need. The function fields are seams for
// tests; nil means the real thing.
type Config struct {
	// Dir is the state directory (haproxy.cfg, maps/, haproxy.pid, sockets),
	// made with mode 0700. Managed needs it; Existing keeps the requested
	// splits in it if it is set, so that they survive an agent restart.
	Dir string
	// Binary is the HAProxy executable, "haproxy" if empty. Managed only.
	Binary string
	// Socket is the admin socket of the HAProxy that Existing steers.
	Socket string
	// File is the configuration of that HAProxy, which is looked at for what canaries
	// need beyond what the socket tells, and never changed; empty: nobody looks.
	File string
	// Slots is the number of server slots per bank, DefaultSlots if 0.
	Slots int
	// LogAddr is where HAProxy's log ring connects to: "host:port" for TCP,
	// port 0 to pick one outside the ephemeral range and remember it in Dir,
	// "unix" for a socket in Dir (which no other user of the host can write to),
	// "" for no log lines at all. Managed only.
	LogAddr string
	// Timeout bounds one exchange on a runtime socket, 2 s if 0.
	Timeout time.Duration
	// Dial connects to a runtime socket.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Listen opens the listener of the log ring and probes whether a service's
	// port is free.
	Listen func(ctx context.Context, network, addr string) (net.Listener, error)
	// Launch starts HAProxy as a daemon in its own session and returns the pid
	// of its master process once the daemon has bound its sockets.
	Launch func(ctx context.Context, bin string, args []string) (pid int, err error)
	// Exec runs HAProxy in the foreground (-v, -c) and returns what it printed.
	Exec func(ctx context.Context, bin string, args []string) (output string, err error)
	// Signal sends a signal to a process that a socket in Dir has named.
	Signal func(pid int, sig syscall.Signal) error
	// Residents tells which containers run, in which slots' places. It is asked by
	// Evict, and before each launch of a managed HAProxy: a slot of the file whose
	// address is not its own container's starts empty. On its error nothing is
	// launched. nil: whoever has an address is right.
	Residents func(ctx context.Context) ([]Resident, error)
	// Observe is told of each exchange on a runtime socket: its first command,
	// without arguments, and what it came to. nil: nobody is.
	Observe func(command string, took time.Duration, err error)
	// Log gets the transitions: starts, reloads, adoptions.
	Log zerolog.Logger
}

// plainPath holds what may stand in a command and in haproxy.cfg unquoted.
var plainPath = regexp.MustCompile(`^/[A-Za-z0-9._/+@:-]+$`)

func (c *Config) setDefaults() {
	if c.Binary == "" {
		c.Binary = "haproxy"
	}
	if c.Slots == 0 {
		c.Slots = DefaultSlots
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if c.Listen == nil {
		c.Listen = (&net.ListenConfig{}).Listen
	}
	if c.Launch == nil {
		c.Launch = launchDaemon
	}
	if c.Exec == nil {
		c.Exec = execForeground
	}
	if c.Signal == nil {
		c.Signal = syscall.Kill
	}
	if c.Observe == nil {
		c.Observe = func(string, time.Duration, error) {}
	}
}

func (c *Config) validateManaged() error {
	if err := c.validateSlots(); err != nil {
		return err
	}
	if !filepath.IsAbs(c.Dir) || !plainPath.MatchString(c.Dir) {
		return fmt.Errorf("config Dir: %q is not an absolute path of letters, digits and ._/+@:-", c.Dir)
	}
	if n := len(c.Dir) + len("/master.sock"); n > maxSocketPath {
		return fmt.Errorf("config Dir: %q is too long for unix sockets: %d of %d bytes", c.Dir, n, maxSocketPath)
	}
	if c.LogAddr == "" || c.LogAddr == logUnix {
		return nil
	}
	if _, err := net.ResolveTCPAddr("tcp", c.LogAddr); err != nil {
		return fmt.Errorf("config LogAddr: %w", err)
	}
	return nil
}

func (c *Config) validateExisting() error {
	if err := c.validateSlots(); err != nil {
		return err
	}
	if c.Socket == "" {
		return errors.New("config Socket (haproxy.socket): the admin socket of the existing HAProxy is missing")
	}
	return nil
}

func (c *Config) validateSlots() error {
	if c.Slots < 1 || c.Slots > maxSlots {
		return fmt.Errorf("config Slots: %d is not in 1..%d", c.Slots, maxSlots)
	}
	return nil
}
