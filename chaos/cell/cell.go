package cell

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Config says what a cell is like.
type Config struct {
	Name    string // of the host, as programs in it see
	Address string // with its prefix's length
	Log     string // file for what its init says
}

// Cell is a host that runs.
type Cell struct {
	Config

	// Wire is the other end of the cell's network device.
	Wire *os.File

	command *exec.Cmd
	client  *rpc.Client
	ended   chan struct{}
	end     sync.Once
}

// Program is what is started in a cell.
type Program struct {
	Args []string // the first is the executable's path
	Log  string   // file that its output is added to
	// Watched has the kernel ask the cell's init about the program's syncs of
	// files, for SetSync.
	Watched bool
}

// Process is a program that was started in a cell.
type Process struct {
	Pid  int // in the cell
	cell *Cell
	done chan struct{}
	how  Exit
}

// Exit is how a process ended.
type Exit struct {
	Code   int            // -1 if a signal ended it
	Signal syscall.Signal // 0 if none did
	Gone   bool           // it ended with its cell
}

// String says it in words.
func (e Exit) String() string {
	switch {
	case e.Gone:
		return "its host has gone"
	case e.Signal != 0:
		return "signal: " + e.Signal.String()
	default:
		return "exit code " + strconv.Itoa(e.Code)
	}
}

// ErrEnded means that a cell, or a process in it, has ended.
var ErrEnded = errors.New("has ended")

// startTimeout bounds the making of a cell.
const startTimeout = 30 * time.Second

// New makes a cell and starts its init.
func New(ctx context.Context, cfg Config) (*Cell, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make cell %s: %w", cfg.Name, err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer func() { _ = ours.Close() }()
	defer func() { _ = theirs.Close() }()
	log, err := os.OpenFile(cfg.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make cell %s: %w", cfg.Name, err)
	}
	defer func() { _ = log.Close() }()
	c := &Cell{Config: cfg, ended: make(chan struct{})}
	c.command = exec.CommandContext(context.WithoutCancel(ctx), "/proc/self/exe")
	c.command.Env = append(os.Environ(), roleVariable+"="+roleInit, nameVariable+"="+cfg.Name, addressVariable+"="+cfg.Address)
	c.command.Stdout, c.command.Stderr = log, log
	c.command.ExtraFiles = []*os.File{theirs}
	c.command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Setsid:     true,
	}
	if err := c.command.Start(); err != nil {
		return nil, fmt.Errorf("make cell %s: %w", cfg.Name, err)
	}
	go func() {
		_ = c.command.Wait() // how it ended does not matter
		close(c.ended)
	}()
	if err := c.connect(ours); err != nil {
		c.Kill()
		return nil, fmt.Errorf("make cell %s (see %s): %w", cfg.Name, cfg.Log, err)
	}
	return c, nil
}

// Start runs a program.
func (c *Cell) Start(p Program) (*Process, error) {
	var pid int
	if err := c.client.Call("Init.Start", p, &pid); err != nil {
		return nil, fmt.Errorf("start %s on %s: %w", filepath.Base(p.Args[0]), c.Name, err)
	}
	process := &Process{Pid: pid, cell: c, done: make(chan struct{})}
	go func() {
		defer close(process.done)
		if err := c.client.Call("Init.Wait", pid, &process.how); err != nil {
			process.how = Exit{Gone: true}
		}
	}()
	return process, nil
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// How tells how the process ended, once it has.
func (p *Process) How() Exit { return p.how }

// Signal sends a signal to the process; ErrEnded if there is none any more.
func (p *Process) Signal(s syscall.Signal) error {
	select {
	case <-p.done:
		return fmt.Errorf("process %d on %s %w", p.Pid, p.cell.Name, ErrEnded)
	default:
		return p.cell.Signal(p.Pid, s)
	}
}

// Signal sends a signal to a process of the cell by its number in it; ErrEnded if
// there is none of that number.
func (c *Cell) Signal(pid int, s syscall.Signal) error {
	var gone bool
	switch err := c.client.Call("Init.Signal", SignalTo{Pid: pid, Signal: s}, &gone); {
	case err != nil:
		return fmt.Errorf("signal process %d on %s: %w", pid, c.Name, err)
	case gone:
		return fmt.Errorf("process %d on %s %w", pid, c.Name, ErrEnded)
	}
	return nil
}

// Find returns the processes of the cell whose executable has that name.
func (c *Cell) Find(program string) ([]int, error) {
	var pids []int
	if err := c.client.Call("Init.Find", program, &pids); err != nil {
		return nil, fmt.Errorf("find %s on %s: %w", program, c.Name, err)
	}
	return pids, nil
}

// Path is where a path of the cell's is found from outside: a socket in /run.
func (c *Cell) Path(path string) string {
	return filepath.Join("/proc", strconv.Itoa(c.command.Process.Pid), "root", path)
}

// Kill ends the cell as a power cut ends a host, and waits until it is gone.
func (c *Cell) Kill() {
	c.end.Do(func() {
		_ = c.command.Process.Kill() // it may have ended
		<-c.ended
		if c.client != nil {
			_ = c.client.Close()
		}
		if c.Wire != nil {
			_ = c.Wire.Close()
		}
	})
}

// Private

// connect takes the network's wire from the init, then speaks with it.
func (c *Cell) connect(socket *os.File) error {
	limit := syscall.NsecToTimeval(startTimeout.Nanoseconds())
	if err := syscall.SetsockoptTimeval(int(socket.Fd()), syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &limit); err != nil {
		return fmt.Errorf("bound the start: %w", err)
	}
	wire, err := receiveFile(int(socket.Fd()), c.Name)
	if err != nil {
		return err
	}
	c.Wire = wire
	conn, err := net.FileConn(socket)
	if err != nil {
		return fmt.Errorf("speak with the init: %w", err)
	}
	c.client = rpc.NewClient(conn)
	return nil
}
