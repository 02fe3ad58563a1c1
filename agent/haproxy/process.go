package haproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pollEvery is how often a starting or ending HAProxy is looked at.
const pollEvery = 10 * time.Millisecond

// launchDaemon runs HAProxy with -D: the process that it starts binds all
// sockets, forks the master into a session of its own and ends, so its exit
// tells whether the start worked. What master and workers say goes to a
// file beside the pidfile.
func launchDaemon(ctx context.Context, bin string, args []string) (int, error) {
	i := slices.Index(args, "-p")
	if i < 0 || i+1 == len(args) {
		return 0, errors.New("launch: no pidfile among the arguments")
	}
	pidfile := args[i+1]
	if err := os.Remove(pidfile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("launch: %w", err)
	}
	path, err := exec.LookPath(bin)
	if err != nil {
		return 0, fmt.Errorf("launch: %w", err)
	}
	out, err := os.OpenFile(messagesPath(filepath.Dir(pidfile)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, fmt.Errorf("launch: %w", err)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := errors.Join(cmd.Run(), out.Close()); err != nil {
		return 0, fmt.Errorf("launch %s: %w", path, err)
	}
	return awaitPid(ctx, pidfile)
}

// awaitPid waits for the pidfile: the daemon writes it after its parent has ended.
func awaitPid(ctx context.Context, pidfile string) (int, error) {
	for {
		data, err := os.ReadFile(pidfile)
		if err == nil {
			if pid, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil {
				return pid, nil
			}
		}
		if perr := pause(ctx); perr != nil {
			return 0, fmt.Errorf("launch: wait for the pidfile: %w", errors.Join(perr, err))
		}
	}
}

func execForeground(ctx context.Context, bin string, args []string) (string, error) {
	out, err := exec.CommandContext(ctx, bin, args...).CombinedOutput()
	return string(out), err
}

func messagesPath(dir string) string { return filepath.Join(dir, "haproxy.log") }

// messages returns the alerts and warnings since the last forget.
func (m *Managed) messages() string {
	data, err := os.ReadFile(messagesPath(m.cfg.Dir))
	if err != nil {
		return ""
	}
	var keep []string
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, "[ALERT]") || strings.Contains(line, "[WARNING]") {
			keep = append(keep, strings.TrimSpace(line))
		}
	}
	return strings.Join(keep[max(0, len(keep)-8):], "; ")
}

// forget empties the file, which HAProxy appends to; so it stays small.
func (m *Managed) forget() {
	if err := os.Truncate(messagesPath(m.cfg.Dir), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		m.cfg.Log.Warn().Err(err).Msg("empty HAProxy's message file")
	}
}

// proc asks the master which processes there are. The master's socket does not
// close after an answer, so it is told to quit.
func (m *Managed) proc(ctx context.Context) (processes, error) {
	text, err := m.master.exchange(ctx, "show proc;quit\n")
	if err != nil {
		return processes{}, err
	}
	return parseProc(text)
}

// tellOldWorkers repeats commands to workers that a reload left behind, by way of
// the master: an idle connection of a client may bring them one more request,
// which is to go where all others go. They end soon; what they refuse is
// only logged.
func (m *Managed) tellOldWorkers(ctx context.Context, commands []string) {
	if !m.oldOnes.Load() {
		return
	}
	p, err := m.proc(ctx)
	if err != nil {
		return
	}
	m.oldOnes.Store(len(p.oldWorkers) > 0)
	for _, pid := range p.oldWorkers {
		to := fmt.Sprintf("@!%d ", pid)
		line := to + strings.Join(commands, ";"+to) + ";quit\n"
		if _, err := m.master.exchange(ctx, line); err != nil {
			m.cfg.Log.Warn().Err(err).Int("pid", pid).Msg("an old HAProxy worker was not told")
		}
	}
}

// start launches HAProxy. A worker whose master died (orphan != 0) hands its
// listening sockets over and ends its connections in its own time.
func (m *Managed) start(ctx context.Context, fingerprint string, orphan int) error {
	m.forget()
	args := []string{
		"-W", "-D", "-S", m.master.path + ",mode,600",
		"-f", m.cfgFile.path, "-p", m.path("haproxy.pid"),
	}
	if orphan != 0 {
		args = append(args, "-x", m.sock.path, "-sf", strconv.Itoa(orphan))
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	pid, err := m.cfg.Launch(ctx, m.cfg.Binary, args)
	if err != nil {
		return m.startError(err)
	}
	if err := m.await(ctx, fingerprint); err != nil {
		return m.startError(err)
	}
	m.cfg.Log.Info().Int("pid", pid).Int("orphan", orphan).Msg("HAProxy started")
	return nil
}

// startError adds HAProxy's own words and names the service whose port is taken.
func (m *Managed) startError(err error) error {
	said := m.messages()
	if said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	for name, e := range m.view.Load().services {
		if strings.Contains(said, "Starting frontend "+name+".in:") || strings.Contains(said, "[frontend "+name+".in]") {
			return &PortError{Service: name, Address: e.Listen, Err: err}
		}
	}
	return err
}

// reload has the master start a new worker that takes over the listening sockets,
// and waits until it alone answers.
func (m *Managed) reload(ctx context.Context, fingerprint string) error {
	m.forget()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	m.oldOnes.Store(true)
	answer, err := m.master.exchange(ctx, "reload\n")
	if err != nil {
		return err
	}
	if strings.Contains(answer, "Success=0") { // since 2.7; 2.6 says nothing
		return m.startError(fmt.Errorf("%w: %s", ErrInvalidConfig, strings.TrimSpace(answer)))
	}
	if err := m.await(ctx, fingerprint); err != nil {
		return m.startError(err)
	}
	m.cfg.Log.Info().Str("fingerprint", fingerprint).Msg("HAProxy reloaded")
	return nil
}

// await polls until the worker with the fingerprint has answered several times
// in a row: for an instant after a reload the old worker may still take
// connections of the admin socket, and a command that it gets is lost.
func (m *Managed) await(ctx context.Context, fingerprint string) error {
	const inARow = 3
	for seen := 0; seen < inARow; {
		l, lerr := m.look(ctx, false)
		p, perr := m.proc(ctx)
		switch {
		case perr == nil && p.failed > 0:
			return errors.New("the new worker did not start")
		case lerr == nil && perr == nil && l.info.description == fingerprint:
			seen++
		default: // the master opens its socket a little later than the worker
			seen = 0
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("wait for the new worker: %w", err)
		}
	}
	return nil
}

// Stop ends the HAProxy in Dir, with all its connections, and waits until it is
// gone. It is for an uninstall; an agent that ends leaves HAProxy running.
func (m *Managed) Stop(ctx context.Context) error {
	free, err := m.take(ctx)
	if err != nil {
		return fmt.Errorf("stop HAProxy: %w", err)
	}
	defer free()
	var pids []int
	if p, err := m.proc(ctx); err == nil {
		pids = append(pids, p.master)
	} else if l, err := m.look(ctx, false); err == nil {
		pids = append(pids, l.info.pid) // its master is dead
	}
	for _, pid := range pids {
		if err := m.cfg.Signal(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop HAProxy: signal %d: %w", pid, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		_, err1 := m.proc(ctx)
		_, err2 := m.sock.run(ctx, "show info")
		if err1 != nil && err2 != nil && ctx.Err() == nil {
			m.cfg.Log.Info().Ints("pids", pids).Msg("HAProxy stopped")
			return nil
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("stop HAProxy: %w", err)
		}
	}
}

// checkFile has HAProxy judge a file without starting.
func (m *Managed) checkFile(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	out, err := m.cfg.Exec(ctx, m.cfg.Binary, []string{"-c", "-f", path})
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w: %s", ErrInvalidConfig, err, bytes.TrimSpace([]byte(out)))
}
