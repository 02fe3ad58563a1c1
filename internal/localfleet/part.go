package localfleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// ErrNotRunning means that a part of a fleet has not been started, or has ended.
var ErrNotRunning = errors.New("does not run")

// part is one program of the fleet, which may run several times.
type part struct {
	name, program string
	args          []string
	log           string // file

	mu      sync.Mutex
	command *exec.Cmd     // of the last run; nil before the first
	ended   chan struct{} // closed when that run has ended
	asked   bool          // it was told to end, or killed
}

// Start runs a part, again if it has ended.
func (f *Fleet) Start(name string) error {
	p, err := f.part(name)
	if err != nil {
		return err
	}
	return p.start(filepath.Join(f.Bin, p.program))
}

// Signal sends a signal to a part that runs. The part may end by it.
func (f *Fleet) Signal(name string, signal syscall.Signal) error {
	p, err := f.part(name)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.runs() {
		return fmt.Errorf("signal %s: it %w", name, ErrNotRunning)
	}
	err = p.command.Process.Signal(signal)
	if errors.Is(err, os.ErrProcessDone) {
		<-p.ended // at once: now it can be started again
		return fmt.Errorf("signal %s: it %w", name, ErrNotRunning)
	}
	if err != nil {
		return fmt.Errorf("signal %s: %w", name, err)
	}
	p.asked = true
	return nil
}

// Kill ends a part as kill -9 does, and waits until it is gone.
func (f *Fleet) Kill(ctx context.Context, name string) error {
	return f.endPart(ctx, name, syscall.SIGKILL)
}

// Stop asks a part to end, and waits until it is gone. One that does not end well
// is an error.
func (f *Fleet) Stop(ctx context.Context, name string) error {
	if err := f.endPart(ctx, name, syscall.SIGTERM); err != nil {
		return err
	}
	p, err := f.part(name)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if state := p.command.ProcessState; !state.Success() {
		return fmt.Errorf("%s (%s) was asked to end: %s", p.name, p.program, state)
	}
	return nil
}

// Private

func (f *Fleet) endPart(ctx context.Context, name string, signal syscall.Signal) error {
	if err := f.Signal(name, signal); err != nil {
		return err
	}
	p, err := f.part(name)
	if err != nil {
		return err
	}
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the end of %s: %w", name, ctx.Err())
	}
}

func (f *Fleet) part(name string) (*part, error) {
	for _, p := range f.allParts() {
		if p.name == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%s is no part of %s", name, f.Name)
}

func (f *Fleet) allParts() []*part {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.parts)
}

func (f *Fleet) addPart(name, program string, args ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.parts = append(f.parts, &part{name: name, program: program, args: args, log: f.path(name + ".log")})
}

// start runs the program with its output in a log file. It is in a session of
// its own: Ctrl-C at the terminal reaches the fleet's maker alone.
func (p *part) start(program string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.runs() {
		return fmt.Errorf("start %s: it runs already", p.name)
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	defer func() { _ = log.Close() }()
	command := exec.Command(program, p.args...) //nolint:noctx // the sweeper ends it
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	ended := make(chan struct{})
	p.command, p.ended, p.asked = command, ended, false
	go func() {
		_ = command.Wait() // its state is in the command
		close(ended)
	}()
	return nil
}

// runs reports whether the last run goes on; p.mu is held.
func (p *part) runs() bool {
	if p.command == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// failed says that the part has ended although nobody asked it to.
func (p *part) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.command == nil || p.runs() || p.asked {
		return nil
	}
	return fmt.Errorf("%s (%s) has ended by itself: %s", p.name, p.program, p.command.ProcessState)
}
