package docker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/internal/needtest"
)

// daemon is a Docker Engine of this test's own, which may be killed. It runs in
// a network namespace of its own: dockerd, even without networks, removes and
// makes bridges and rules of the machine that it finds itself on.
type daemon struct {
	dir  string
	proc *exec.Cmd
}

// startProcess runs a program until the test ends, with its output in a file.
func (d *daemon) startProcess(t *testing.T, program string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(program)
	needtest.Need(t, program, err)
	out, err := os.OpenFile(filepath.Join(d.dir, program+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), path, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Cloneflags: syscall.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// end stops a process in good order, or at last by force. It may have ended,
// or never begun.
func end(cmd *exec.Cmd) {
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(syscall.SIGCONT)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	_ = cmd.Wait()
}

func newDaemon(t *testing.T) *daemon {
	t.Helper()
	needDocker(t)
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOTHING TESTED: only root may run a Docker Engine of its own")
	}
	//nolint:usetesting // the path of a socket must be short, and t.TempDir has the test's name in it.
	dir, err := os.MkdirTemp("", "serin-dockerd")
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{dir: dir}
	t.Cleanup(func() {
		_ = syscall.Unmount(filepath.Join(dir, "data"), 0)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	config := `version = 2
root = "` + dir + `/ctd/root"
state = "` + dir + `/ctd/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "` + dir + `/ctd.sock"
`
	for name, text := range map[string]string{"containerd.toml": config, "daemon.json": "{}"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	containerd := d.startProcess(t, "containerd", "-c", filepath.Join(dir, "containerd.toml"))
	t.Cleanup(func() { end(containerd) })
	d.awaitSocket(t, "ctd.sock")
	t.Cleanup(func() { end(d.proc) })
	d.start(t)
	return d
}

func (d *daemon) start(t *testing.T) {
	t.Helper()
	_ = os.Remove(filepath.Join(d.dir, "docker.pid"))
	d.proc = d.startProcess(t, "dockerd", "--config-file", filepath.Join(d.dir, "daemon.json"),
		"--containerd", filepath.Join(d.dir, "ctd.sock"), "--data-root", filepath.Join(d.dir, "data"),
		"--exec-root", filepath.Join(d.dir, "exec"), "--pidfile", filepath.Join(d.dir, "docker.pid"),
		"-H", d.host(), "--bridge", "none", "--iptables=false", "--ip-forward=false", "--live-restore")
	d.awaitSocket(t, "docker.sock")
}

func (d *daemon) host() string { return "unix://" + d.dir + "/docker.sock" }

func (d *daemon) awaitSocket(t *testing.T, name string) {
	t.Helper()
	eventually(t, name+" accepts connections", func() bool {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "unix", filepath.Join(d.dir, name))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func (d *daemon) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := d.proc.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	if s != syscall.SIGSTOP {
		return
	}
	// A thread that runs on another processor stops a moment after the signal was sent.
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if d.stopped(t) {
			return
		}
		if time.Now().After(end) {
			t.Fatal("dockerd does not stop")
		}
	}
}

// stopped reports whether all threads of the daemon stand still (state T of proc(5)).
func (d *daemon) stopped(t *testing.T) bool {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", d.proc.Process.Pid))
	if err != nil || len(files) == 0 {
		t.Fatalf("threads of dockerd: %v, %v", files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return false // it has ended meanwhile
		}
		if _, state, ok := strings.Cut(string(text), ") "); !ok || !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return true
}

// world opens the daemon as a world of its own.
func (d *daemon) world(t *testing.T) *world {
	t.Helper()
	engine, err := docker.Open(t.Context(), docker.Config{Host: d.host(), CallTimeout: patience, Log: logTo(t)})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := client.NewClientWithOpts(client.WithHost(d.host()), client.WithVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, Engine: engine, raw: raw, id: "aaaabbbbcccc"}
	t.Cleanup(func() {
		_ = engine.Close()
		_ = raw.Close()
	})
	t.Cleanup(func() { w.sweep(t) })
	return w
}

// What happens to a real daemon that is stopped, killed and started again, to
// its calls and to its Watch.
func TestDaemonStoppedAndKilled(t *testing.T) {
	d := newDaemon(t)
	w := d.world(t)
	ctx := t.Context()
	loadImage(t, w.raw, "app:v1", appImage(t, w.id))
	r := w.watch(t)
	c := w.run(t, w.spec("a", "app:v1"))
	r.await(t, c.ID, "start", 1)

	hasty, err := docker.Open(ctx, docker.Config{Host: d.host(), CallTimeout: 5 * time.Second, Log: logTo(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hasty.Close() }()
	d.signal(t, syscall.SIGSTOP)
	if _, err := hasty.List(ctx, w.labels()); !errors.Is(err, docker.ErrUnavailable) {
		t.Errorf("list while it is stopped: %v", err)
	}
	d.signal(t, syscall.SIGCONT)
	if now := w.find(t, c.ID); now.State != docker.StateRunning {
		t.Errorf("after SIGCONT: %+v", now)
	}

	d.signal(t, syscall.SIGKILL)
	_ = d.proc.Wait()
	if err := w.Start(ctx, c.ID); !errors.Is(err, docker.ErrUnavailable) || !strings.Contains(err.Error(), "systemctl start docker") {
		t.Errorf("start while it is dead: %v", err)
	}
	d.start(t)
	r.await(t, "", docker.ActionResync, 2)
	if now := w.find(t, c.ID); now.State != docker.StateRunning {
		t.Errorf("live-restore: after the crash: %+v", now)
	}
	if err := w.raw.ContainerKill(ctx, c.ID, "KILL"); err != nil {
		t.Fatal(err)
	}
	r.await(t, c.ID, "die", 1)
	if got := strings.Join(r.said(c.ID), " "); !strings.HasPrefix(got, "resync create start resync") || r.count(c.ID, "start") != 1 {
		t.Errorf("got %s", got)
	}
}
