package demo

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

// hostLabel is the label by which agents mark their containers.
const hostLabel = "serin.host"

// imageName is the demo app's repository in the demo's registry.
const imageName = "serin-demo"

// keepWord on the sweeper's standard input makes it leave everything running.
const keepWord = "keep\n"

// sweeper is the process that cleans up after the demo. It waits for the end of
// its standard input, which the kernel closes however the demo ends.
type sweeper struct {
	command *exec.Cmd
	stdin   io.WriteCloser
}

func (r *run) startSweeper() error {
	args := []string{"demo", "sweep", "--dir", r.dir, "--images", r.registry + "/" + imageName}
	for _, h := range r.hosts {
		args = append(args, "--host", h.name)
	}
	command := exec.Command(filepath.Join(r.bin, "serin"), args...) //nolint:noctx // it outlives the demo on purpose
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	command.Stderr = r.Err
	stdin, err := command.StdinPipe()
	if err != nil {
		return fmt.Errorf("start the sweeper: %w", err)
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("start the sweeper: %w", err)
	}
	r.sweeper = &sweeper{command: command, stdin: stdin}
	return nil
}

// end has everything swept away, or kept, and waits until that is done.
func (r *run) end(keep bool) error {
	if r.sweeper == nil {
		return nil
	}
	if keep {
		if _, err := io.WriteString(r.sweeper.stdin, keepWord); err != nil {
			return fmt.Errorf("keep the fleet: %w", err)
		}
	} else {
		r.say("removing the fleet")
	}
	_ = r.sweeper.stdin.Close()
	if err := r.sweeper.command.Wait(); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	return nil
}

// Sweep waits for the end of in, then ends every process that names dir on its
// command line, removes the hosts' containers, the images of that repository,
// and dir itself.
func Sweep(ctx context.Context, in io.Reader, dir string, hosts []string, images string) error {
	word, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("wait for the demo's end: %w", err)
	}
	if string(word) == keepWord {
		return nil
	}
	if !strings.HasPrefix(filepath.Base(dir), "serin-demo-") {
		return fmt.Errorf("%s is no demo's directory", dir)
	}
	stopErr := endProcesses(ctx, dir)
	dockerErr := removeContainers(ctx, hosts, images)
	return errors.Join(stopErr, dockerErr, os.RemoveAll(dir))
}

// Private

// endProcesses asks all processes of the demo to stop, and kills those that do
// not. It looks again each time: a process may have been starting another.
func endProcesses(ctx context.Context, dir string) error {
	const patience = 10 * time.Second
	began := time.Now()
	for {
		pids, err := processesOf(dir)
		if err != nil || len(pids) == 0 {
			return err
		}
		signal := syscall.SIGTERM
		if time.Since(began) > patience {
			signal = syscall.SIGKILL
		}
		for _, pid := range pids {
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

// processesOf finds the processes with dir on their command line, but for this
// one. Zombies have no command line any more.
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
		if slices.ContainsFunc(bytes.Split(line, []byte{0}), func(arg []byte) bool { return within(string(arg), dir) }) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// within reports whether an argument is dir or a path below it.
func within(arg, dir string) bool {
	return arg == dir || strings.HasPrefix(arg, dir+string(filepath.Separator))
}

func removeContainers(ctx context.Context, hosts []string, images string) error {
	engine, err := docker.Open(ctx, docker.Config{})
	if err != nil {
		return fmt.Errorf("remove the demo's containers: %w", err)
	}
	defer func() { _ = engine.Close() }()
	var errs []error
	for _, host := range hosts {
		containers, err := engine.List(ctx, map[string]string{hostLabel: host})
		errs = append(errs, err)
		for _, c := range containers {
			errs = append(errs, engine.Remove(ctx, c.ID))
		}
	}
	return errors.Join(append(errs, engine.RemoveImages(ctx, images))...)
}
