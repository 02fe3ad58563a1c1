package packagetest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/needtest"
)

const (
	// patience bounds every wait for something that comes soon.
	patience = 5 * time.Minute
	look     = 200 * time.Millisecond
)

// machine is one that is made of namespaces: this one's files, with its own
// changes to them, its own processes, and its own loopback network.
type machine struct {
	dir string
	pid int
}

// newMachine starts a machine that sees packages in /mnt, and has it end with
// the test.
func newMachine(t *testing.T, packages string) *machine {
	t.Helper()
	needMachine(t)
	systemctl, err := filepath.Abs("testdata/systemctl.sh")
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{dir: t.TempDir()}
	cmd := exec.CommandContext(t.Context(), "testdata/machine.sh", m.dir, packages, systemctl, dockerSocket())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
	}
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait() // the kernel ends all that runs there
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the machine says %q: %v", line, err)
	}
	m.pid = cmd.Process.Pid
	return m
}

// try runs a line there and returns what it prints.
func (m *machine) try(t *testing.T, line string) (string, error) {
	t.Helper()
	out, err := m.enter(t, "chroot", filepath.Join(m.dir, "root"), "/usr/bin/env", "-i",
		"HOME=/root", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "/bin/sh", "-ec", "cd /; "+line).CombinedOutput()
	return string(out), err
}

// run wants the line to succeed.
func (m *machine) run(t *testing.T, line string) string {
	t.Helper()
	out, err := m.try(t, line)
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return out
}

// eventually runs a line until it succeeds.
func (m *machine) eventually(t *testing.T, line string) {
	t.Helper()
	eventually(t, func() error {
		out, err := m.try(t, line)
		if err != nil {
			logs, _ := m.try(t, "tail -n 20 /run/services/*.log")
			err = fmt.Errorf("%s: %w\n%s\n%s", line, err, out, logs)
		}
		return err
	})
}

// changes are the paths, without the first slash, that are there and not on the
// machine below, or other than there; a directory only if it is new.
func (m *machine) changes(t *testing.T) []string {
	t.Helper()
	out, err := m.enter(t, "find", filepath.Join(m.dir, "changes"), "-mindepth", "1", "-printf", `%y%P\n`).Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(out)) {
		kind, path := line[0], strings.TrimSpace(line[1:])
		if _, err := os.Lstat("/" + path); kind != 'd' || err != nil {
			all = append(all, path)
		}
	}
	slices.Sort(all)
	return all
}

// enter is a command in the machine's namespaces, with this machine's files.
func (m *machine) enter(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	args = append([]string{"--target", strconv.Itoa(m.pid), "--mount", "--pid", "--net", "--ipc", "--uts", "--"}, args...)
	return exec.CommandContext(t.Context(), "nsenter", args...)
}

// needMachine skips the test, or fails it in CI, where no machine can be made.
func needMachine(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		needtest.Need(t, "root", os.ErrPermission)
	}
	for _, program := range []string{"nsenter", "ip", "curl", "systemctl", "systemd-analyze", "setpriv", "haproxy"} {
		_, err := exec.LookPath(program)
		needtest.Need(t, program, err)
	}
	_, err := os.Stat(dockerSocket())
	needtest.Need(t, "Docker's socket", err)
}

func dockerSocket() string {
	if path, ok := strings.CutPrefix(os.Getenv("DOCKER_HOST"), "unix://"); ok {
		return path
	}
	return "/var/run/docker.sock"
}
