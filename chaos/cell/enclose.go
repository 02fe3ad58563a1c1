package cell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// What a program is, of those that one executable is here: by its environment.
const (
	roleVariable = "SERIN_CHAOS_ROLE"
	roleRun      = "run"
	roleInit     = "init"
	roleWatched  = "watched"
)

// firstFile is the descriptor of the first of exec.Cmd's ExtraFiles.
const firstFile = 3

// Enclose runs this program again with the same arguments, in namespaces of its
// own, waits for its end, and returns its exit code. In the inner program it
// returns inside. An interrupt is passed on; if the outer program ends in any
// way the inner ends, too, and all that it started.
func Enclose(ctx context.Context, env ...string) (inside bool, code int, err error) {
	if os.Getenv(roleVariable) == roleRun {
		return true, 0, enter()
	}
	life, hold, err := os.Pipe()
	if err != nil {
		return false, 0, fmt.Errorf("enclose: %w", err)
	}
	defer func() { _ = hold.Close() }()
	self, err := os.Executable()
	if err != nil {
		return false, 0, fmt.Errorf("enclose: %w", err)
	}
	command := exec.CommandContext(context.WithoutCancel(ctx), self, os.Args[1:]...)
	command.Env = append(append(os.Environ(), env...), roleVariable+"="+roleRun)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.ExtraFiles = []*os.File{life}
	// A session of its own, so that Ctrl-C at the terminal comes once, from here.
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC, Setsid: true,
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := command.Start(); err != nil {
		return false, 0, fmt.Errorf("enclose (this needs root): %w", err)
	}
	_ = life.Close()
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = command.Process.Signal(s) // it may have ended by now
		case err := <-ended:
			if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
				return false, 0, fmt.Errorf("enclose: %w", err)
			}
			return false, command.ProcessState.ExitCode(), nil
		}
	}
}

// Private

// enter makes the inner program at home in its namespaces, and has it end with
// the outer one.
func enter() error {
	life := os.NewFile(firstFile, "life")
	syscall.CloseOnExec(firstFile)
	go func() {
		_, _ = io.Copy(io.Discard, life) // until the outer program is gone
		os.Exit(1)
	}()
	if err := ownMounts(); err != nil {
		return err
	}
	return links("lo")
}

// ownMounts keeps what is mounted from here on to this namespace, and shows its
// own processes in /proc.
func ownMounts() error {
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}

// links sets network devices up.
func links(names ...string) error {
	for _, name := range names {
		if err := ip("link", "set", name, "up"); err != nil {
			return err
		}
	}
	return nil
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput() //nolint:noctx // it asks the kernel, and ends
	if err != nil {
		return fmt.Errorf("ip %v: %w: %s", args, err, out)
	}
	return nil
}
