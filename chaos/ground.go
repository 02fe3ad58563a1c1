package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/serin-rollouts/serin/chaos/cell"
	"github.com/serin-rollouts/serin/chaos/fleet"
	"github.com/serin-rollouts/serin/chaos/history"
)

// Ground is what a run stands on: a directory of its own, and the programs.
type Ground struct{ Dir, Bin string }

// A run's directory, in the system's directory for such, begins with dirPrefix;
// the run holds a lock on lockName in it.
const (
	dirPrefix = "serin-chaos-"
	lockName  = "lock"

	dirVariable = "SERIN_CHAOS_DIR"
	binVariable = "SERIN_CHAOS_BIN"
)

// Private

// enclose runs this program in namespaces of its own; in the inner program it
// returns inside. When the outer returns nothing of the run is left.
func enclose(ctx context.Context, bin, save string) (g Ground, inside bool, code int, err error) {
	if dir := os.Getenv(dirVariable); dir != "" {
		inside, code, err = cell.Enclose(ctx)
		return Ground{Dir: dir, Bin: os.Getenv(binVariable)}, inside, code, err
	}
	if err := sweep(); err != nil {
		return g, false, 0, err
	}
	g, lock, err := newGround()
	if err != nil {
		return g, false, 0, err
	}
	defer func() { _ = lock.Close() }()
	defer func() { err = errors.Join(err, g.leave(save)) }()
	if g.Bin, err = filepath.Abs(bin); bin == "" {
		g.Bin = filepath.Join(g.Dir, "bin")
		err = build(ctx, g.Bin)
	}
	if err != nil {
		return g, false, 0, err
	}
	_, code, err = cell.Enclose(ctx, dirVariable+"="+g.Dir, binVariable+"="+g.Bin)
	return g, false, code, err
}

func newGround() (Ground, *os.File, error) {
	id := make([]byte, 3)
	_, _ = rand.Read(id) // never fails
	g := Ground{Dir: filepath.Join(os.TempDir(), dirPrefix+hex.EncodeToString(id))}
	if err := os.Mkdir(g.Dir, 0o700); err != nil {
		return g, nil, fmt.Errorf("make the run's directory: %w", err)
	}
	lock, err := os.Create(filepath.Join(g.Dir, lockName))
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		return g, nil, fmt.Errorf("lock the run's directory: %w", err)
	}
	return g, lock, nil
}

// build makes the programs as they are delivered, from the module in which this
// one was started.
func build(ctx context.Context, dir string) error {
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", dir+"/",
		"github.com/serin-rollouts/serin/cmd/...", "github.com/nats-io/nats-server/v2")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("build the programs: %w", err)
	}
	return nil
}

// leave removes all that is left of a run whose processes have ended. Its logs
// go to save, if that is named.
func (g Ground) leave(save string) error {
	var errs []error
	if save != "" {
		logs, _ := filepath.Glob(filepath.Join(g.Dir, "*", "*.log"))
		for _, log := range logs {
			errs = append(errs, copyFile(log, filepath.Join(save, filepath.Base(filepath.Dir(log))+"-"+filepath.Base(log))))
		}
	}
	return errors.Join(append(errs, removeGroups(g.Dir), os.RemoveAll(g.Dir))...)
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o700)
	}
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keep a log: %w", err)
	}
	return nil
}

// sweep removes what is left of runs that were killed: those that hold their
// lock no more.
func sweep() error {
	const making = time.Minute // a run has made its lock by then
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	var errs []error
	for _, dir := range dirs {
		lock, err := os.Open(filepath.Join(dir, lockName))
		if err != nil {
			if info, serr := os.Stat(dir); serr == nil && time.Since(info.ModTime()) > making {
				errs = append(errs, Ground{Dir: dir}.leave(""))
			}
			continue
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			errs = append(errs, Ground{Dir: dir}.leave(""))
		}
		_ = lock.Close()
	}
	return errors.Join(errs...)
}

// removeGroups removes the cgroups of a run's containers, the inner ones first.
func removeGroups(dir string) error {
	tops, _ := filepath.Glob(filepath.Join("/sys/fs/cgroup", "*", fleet.CgroupName(dir)+"-*"))
	var errs []error
	for _, top := range tops {
		var all []string
		_ = filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				all = append(all, path)
			}
			return nil // one that has gone is not in the way
		})
		for _, group := range slices.Backward(all) {
			if err := os.Remove(group); err != nil && !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, fmt.Errorf("remove a cgroup: %w", err))
			}
		}
	}
	return errors.Join(errs...)
}

// keep saves the history, if that is wanted.
func (o options) keep(record *history.Record) error {
	if o.save == "" {
		return nil
	}
	data, err := json.Marshal(record)
	if err == nil {
		err = os.MkdirAll(o.save, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(o.save, "history.json"), data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keep the history: %w", err)
	}
	return nil
}

// missing names what a run needs and this machine has not.
func missing() error {
	if os.Geteuid() != 0 {
		return errors.New("chaos needs root, for namespaces")
	}
	var none []string
	for _, program := range []string{"ip", "haproxy", "dockerd", "containerd"} {
		if _, err := exec.LookPath(program); err != nil {
			none = append(none, program)
		}
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		none = append(none, "/dev/net/tun")
	}
	if len(none) > 0 {
		return fmt.Errorf("chaos needs %s; `make setup` installs what Debian has", strings.Join(none, ", "))
	}
	return nil
}
