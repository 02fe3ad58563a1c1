package localfleet

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/porttest"
)

// TestComplaints: of a log only what is wrong is shown; of a log the last, of a
// panic the first.
func TestComplaints(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c1.log")
	lines := []string{`{"level":"info","message":"all is well"}`, `{"level":"warn","time":"2026-11-23T04:00:00Z","message":"slow"}`}
	for range 10 {
		lines = append(lines, `{"level":"error","time":"2026-11-23T04:00:01Z","message":"away","error":"no route"}`)
	}
	lines = append(lines, "panic: index out of range", "", "goroutine 1 [running]:", "main.main()", "\tmain.go:1", "more", "and more")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	away := `04:00:01 ERR away error="no route"`
	want := []string{away, away, away, away, away, "panic: index out of range", "goroutine 1 [running]:", "main.main()", "main.go:1", "more"}
	if diff := cmp.Diff(want, complaints(file)); diff != "" {
		t.Error(diff)
	}
	if got := complaints(file + ".none"); got != nil {
		t.Errorf("of no file: %q", got)
	}
}

// TestSweepRefuses: only a fleet's directory is ever removed.
func TestSweepRefuses(t *testing.T) {
	kept := t.TempDir()
	if err := Sweep(t.Context(), strings.NewReader(""), kept, nil, "none"); err == nil {
		t.Errorf("%q was swept", kept)
	}
	for dir, want := range map[string]bool{
		"/tmp/serin-demo-1a2b3c": true, "/tmp/serin-a-b-2163557738": true, "/": false, "": false, "serin-demo-1a2b3c": false,
		"/var/lib/serin-agent": false, "/tmp/serin-1a2b3c": false, "/tmp/serin-demo-1a2b3c/..": false,
	} {
		if got := isDir(dir); got != want {
			t.Errorf("%q: is a fleet's: %v", dir, got)
		}
	}
	if err := Sweep(t.Context(), strings.NewReader(keepWord), filepath.Join(kept, "serin-x"), nil, "none"); err != nil {
		t.Errorf("told to keep: %v", err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
}

// TestStrangersProcess: a program of somebody else's that names the fleet's
// directory is not of the fleet.
func TestStrangersProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "serin-x")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	pager := exec.Command("tail", "-f", filepath.Join(dir, "c1.log"), "/dev/null")
	if err := pager.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = pager.Process.Kill()
		_ = pager.Wait()
	})
	pids, err := processesOf(dir)
	if err != nil || slices.Contains(pids, pager.Process.Pid) {
		t.Errorf("processes of the fleet: %v, %v", pids, err)
	}
}

// TestSignalOfWhatHasEnded: a part whose end has not been noted yet does not run any
// more, and once that is said it can be started again.
func TestSignalOfWhatHasEnded(t *testing.T) {
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		p := &part{name: "c1", command: gone, ended: make(chan struct{})}
		f := &Fleet{parts: []*part{p}}
		said := make(chan error, 1)
		go func() { said <- f.Signal("c1", syscall.SIGTERM) }()
		synctest.Wait()
		select {
		case err := <-said:
			t.Fatalf("its end was not waited for: %v", err)
		default:
		}
		close(p.ended)
		if err := <-said; !errors.Is(err, ErrNotRunning) {
			t.Error(err)
		}
		if p.runs() || p.failed() == nil {
			t.Error("it did not end by itself")
		}
	})
}

// TestFreePorts: no port twice, and none that the kernel gives away. Whoever has got
// one keeps it, also while nobody listens there, and nobody else looks at it.
func TestFreePorts(t *testing.T) {
	ports, err := FreePorts(t.Context(), 20)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ports)
	if len(slices.Compact(ports)) != 20 || ports[0] < "15000" || ports[19] >= "32000" {
		t.Errorf("ports %v", ports)
	}
	for _, port := range ports {
		if err := reserve(t.Context(), port); err == nil || !strings.Contains(err.Error(), "reserve port") {
			t.Errorf("port %s is given again: %v", port, err)
		}
	}
}

// TestPortInUse: where somebody listens, on whatever address, is no free port.
func TestPortInUse(t *testing.T) {
	address := porttest.Address(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if err := reserve(t.Context(), port); err == nil {
		t.Errorf("port %s is free, and somebody listens there", port)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	name, err := new(net.ListenConfig).Listen(t.Context(), "unix", portName(port))
	if err != nil {
		t.Fatalf("what was no free port is reserved all the same: %v", err)
	}
	_ = name.Close()
}
