package cell

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/needtest"
)

// childVariable makes the test's own program do what a test needs in a cell.
const childVariable = "child="

func TestMain(m *testing.M) {
	Init()
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], childVariable) {
		child(strings.TrimPrefix(os.Args[1], childVariable))
	}
	if os.Geteuid() != 0 {
		os.Exit(m.Run())
	}
	inside, code, err := Enclose(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if !inside {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// child says, again and again, what time it is, and whether a sync has worked.
func child(dir string) {
	file, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		panic(err)
	}
	for {
		began := time.Now()
		err := file.Sync()
		text := fmt.Sprintf("%d %d %v", time.Now().Unix(), time.Since(began).Milliseconds(), errors.Is(err, syscall.EIO))
		said := filepath.Join(dir, "said")
		if err := os.WriteFile(said+".new", []byte(text), 0o600); err != nil {
			panic(err)
		}
		if err := os.Rename(said+".new", said); err != nil {
			panic(err)
		}
		time.Sleep(time.Millisecond)
	}
}

// newCell makes a cell, or skips where that cannot be; not in CI.
func newCell(t *testing.T, address string) *Cell {
	t.Helper()
	if os.Geteuid() != 0 {
		needtest.Need(t, "root, for cells", os.ErrPermission)
	}
	c, err := New(t.Context(), Config{Name: "here", Address: address, Log: filepath.Join(t.TempDir(), "log")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Kill)
	return c
}

// eventually waits until that is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it is not so: %s", what)
		}
	}
}

// TestPrograms: programs of a cell run, end, are found and are signalled; nothing
// of it is left when it ends, not even a process that nobody waits for.
func TestPrograms(t *testing.T) {
	c := newCell(t, "10.78.0.1/24")
	log := filepath.Join(t.TempDir(), "log")
	shell := func(command string) *Process {
		p, err := c.Start(Program{Args: []string{"/bin/sh", "-c", command}, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := shell("hostname; ip -o addr show eth0; exit 3")
	<-p.Done()
	if got := p.How(); got != (Exit{Code: 3}) {
		t.Errorf("it ended by %v", got)
	}
	said, err := os.ReadFile(log)
	if err != nil || !strings.HasPrefix(string(said), "here\n") || !strings.Contains(string(said), "10.78.0.1/24") {
		t.Errorf("it said %q (%v)", said, err)
	}
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, ErrEnded) {
		t.Errorf("signal after the end: %v", err)
	}
	if err := c.Signal(p.Pid, syscall.SIGTERM); !errors.Is(err, ErrEnded) {
		t.Errorf("signal to a number that nobody has any more: %v", err)
	}
	if err := c.Signal(1, syscall.SIGTERM); err == nil || errors.Is(err, ErrEnded) {
		t.Errorf("signal to the init: %v", err)
	}
	p = shell("sleep 1000 & exec sleep 1001")
	eventually(t, "two sleep", func() bool {
		pids, err := c.Find("sleep")
		return err == nil && len(pids) == 2
	})
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if got := p.How(); got.Signal != syscall.SIGTERM {
		t.Errorf("it ended by %v", got)
	}
	last := shell("exec sleep 1002")
	c.Kill()
	<-last.Done()
	if got := last.How(); !got.Gone {
		t.Errorf("it ended by %v", got)
	}
	var left []int
	if err := new(keeper).Find("sleep", &left); err != nil || len(left) > 0 {
		t.Errorf("still there: %v (%v)", left, err)
	}
}

// TestOneProcessClockAndSyncs: the clock and the syncs of one process are made
// wrong and right again, and nobody else's.
func TestOneProcessClockAndSyncs(t *testing.T) {
	c := newCell(t, "10.78.0.2/24")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	start := func() (*Process, func() (clock time.Duration, late int, fails bool)) {
		dir := t.TempDir()
		p, err := c.Start(Program{Args: []string{self, childVariable + dir}, Log: filepath.Join(dir, "log"), Watched: true})
		if err != nil {
			t.Fatal(err)
		}
		return p, func() (time.Duration, int, bool) {
			said, _ := os.ReadFile(filepath.Join(dir, "said"))
			f := strings.Fields(string(said))
			if len(f) != 3 {
				return -1, 0, false
			}
			unix, _ := strconv.ParseInt(f[0], 10, 64)
			late, _ := strconv.Atoi(f[1])
			return time.Until(time.Unix(unix, 0)).Round(time.Hour), late, f[2] == "true"
		}
	}
	p, say := start()
	_, sayOther := start()
	for _, said := range []func() (time.Duration, int, bool){say, sayOther} {
		eventually(t, "both have begun", func() bool { clock, _, _ := said(); return clock == 0 })
	}
	for _, by := range []time.Duration{30 * time.Hour, -time.Hour, 0} {
		if err := c.Skew(p, by); err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("its clock is %s ahead", by), func() bool { clock, _, _ := say(); return clock == by })
		if clock, _, _ := sayOther(); clock != 0 {
			t.Errorf("another's clock is %s ahead", clock)
		}
	}
	for _, s := range []Sync{{Fails: true}, {}, {Late: 100 * time.Millisecond}, {}} {
		if err := c.SetSync(p, s); err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("its syncs are %+v", s), func() bool {
			_, late, fails := say()
			return fails == s.Fails && (late >= 100) == (s.Late > 0)
		})
		if _, _, fails := sayOther(); fails {
			t.Error("another's syncs fail")
		}
	}
}
