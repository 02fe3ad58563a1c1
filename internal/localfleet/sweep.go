package localfleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/serin-rollouts/serin/agent/docker"
)

// HostLabel is the label by which agents mark their containers.
const HostLabel = "serin.host"

// keepWord on the sweeper's standard input makes it leave everything running.
const keepWord = "keep\n"

// Remains is what stays of a fleet if nobody sweeps it away.
type Remains struct {
	Dir    string   // of its files; its processes name it on their command line
	Hosts  []string // whose containers are the fleet's
	Images string   // the repository of its images
}

// SweepArgs are the arguments by which the serin program removes all of that
// once its standard input ends.
func (r Remains) SweepArgs() []string {
	args := []string{"demo", "sweep", "--dir", r.Dir, "--images", r.Images}
	for _, h := range r.Hosts {
		args = append(args, "--host", h)
	}
	return args
}

// Sweeper is the process that cleans up after a fleet. It waits for the end of
// its standard input, which the kernel closes however the fleet's maker ends.
type Sweeper struct {
	command *exec.Cmd
	stdin   io.WriteCloser
}

// StartSweeper starts the sweeper, which is the serin program in bin, before
// there is anything to sweep. What it complains about goes to complaints.
func StartSweeper(bin string, r Remains, complaints io.Writer) (*Sweeper, error) {
	command := exec.Command(filepath.Join(bin, "serin"), r.SweepArgs()...) //nolint:noctx // it outlives this process on purpose
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	command.Stderr = complaints
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the sweeper: %w", err)
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start the sweeper: %w", err)
	}
	return &Sweeper{command: command, stdin: stdin}, nil
}

// End has the sweeper remove everything, and returns when that is done.
func (s *Sweeper) End() error {
	_ = s.stdin.Close()
	if err := s.command.Wait(); err != nil {
		return fmt.Errorf("remove the fleet: %w", err)
	}
	return nil
}

// End removes everything, and returns when that is done.
func (f *Fleet) End() error {
	if f.sweeper == nil {
		return nil
	}
	return f.sweeper.End()
}

// Keep leaves everything running; SweepArgs tells how to end it later.
func (f *Fleet) Keep() error {
	if _, err := io.WriteString(f.sweeper.stdin, keepWord); err != nil {
		return fmt.Errorf("keep the fleet: %w", err)
	}
	return f.End()
}

// SweepArgs are the arguments by which the serin program removes the fleet once
// its standard input ends.
func (f *Fleet) SweepArgs() []string { return f.remains().SweepArgs() }

// Sweep waits for the end of in, then ends every process of a fleet that names
// dir on its command line, removes the hosts' containers, the images of that
// repository, and dir itself.
func Sweep(ctx context.Context, in io.Reader, dir string, hosts []string, images string) error {
	word, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("wait for the fleet's end: %w", err)
	}
	if string(word) == keepWord {
		return nil
	}
	if !isDir(dir) {
		return fmt.Errorf("%s is no fleet's directory", dir)
	}
	stopErr := endProcesses(ctx, dir)
	dockerErr := removeContainers(ctx, hosts, images)
	return errors.Join(stopErr, dockerErr, os.RemoveAll(dir))
}

// Private

func (f *Fleet) remains() Remains {
	r := Remains{Dir: f.Dir, Images: f.images()}
	for _, h := range f.Hosts {
		r.Hosts = append(r.Hosts, h.Name)
	}
	return r
}

// endProcesses asks all processes of the fleet to stop, each once, since a
// second signal ends a program at once, and kills those that do not. It looks
// again each time: a process may have been starting another.
func endProcesses(ctx context.Context, dir string) error {
	const patience = 10 * time.Second
	began := time.Now()
	sent := map[int]syscall.Signal{}
	for {
		pids, err := processesOf(dir)
		if err != nil || len(pids) == 0 {
			return err
		}
		signal := syscall.SIGTERM
		if time.Since(began) > patience {
			signal = syscall.SIGKILL
		}
		pids = slices.DeleteFunc(pids, func(pid int) bool { return sent[pid] == signal })
		for _, pid := range pids {
			sent[pid] = signal
			if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("end process %d: %w", pid, err)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// processesOf finds the fleet's programs with dir on their command line, but for
// this one. A pager on one of its logs is not the fleet's. Zombies have no
// command line any more.
func processesOf(dir string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err != nil {
			continue // it has ended
		}
		if !ours(entry.Name()) {
			continue
		}
		if slices.ContainsFunc(bytes.Split(line, []byte{0}), func(arg []byte) bool { return within(string(arg), dir) }) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// ours reports whether a process runs one of the programs that make up a fleet, or
// that watch it in tests.
func ours(pid string) bool {
	program, err := os.Readlink(filepath.Join("/proc", pid, "exe"))
	if err != nil {
		return false // it has ended
	}
	switch filepath.Base(strings.TrimSuffix(program, " (deleted)")) {
	case "serin", "serin-coordinator", "serin-agent", "haproxy", "prometheus":
		return true
	}
	return false
}

// within reports whether an argument is dir or a path below it.
func within(arg, dir string) bool {
	return arg == dir || strings.HasPrefix(arg, dir+string(filepath.Separator))
}

func removeContainers(ctx context.Context, hosts []string, images string) error {
	engine, err := docker.Open(ctx, docker.Config{})
	if err != nil {
		return fmt.Errorf("remove the fleet's containers: %w", err)
	}
	defer func() { _ = engine.Close() }()
	remove := func() error {
		var errs []error
		for _, host := range hosts {
			errs = append(errs, eachContainer(ctx, engine, host, engine.Remove))
		}
		return errors.Join(errs...)
	}
	// Twice: an agent that was killed may have left Docker making one more.
	return errors.Join(remove(), engine.RemoveImages(ctx, images), remove())
}

func eachContainer(ctx context.Context, engine *docker.Engine, host string, do func(context.Context, string) error) error {
	containers, err := engine.List(ctx, map[string]string{HostLabel: host})
	errs := []error{err}
	for _, c := range containers {
		errs = append(errs, do(ctx, c.ID))
	}
	return errors.Join(errs...)
}
