package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/serin-rollouts/serin/chaos/cell"
)

// Programs of nodes, by their names.
const (
	Coordinator = "serin-coordinator"
	Agent       = "serin-agent"
	Dockerd     = "dockerd"
	Containerd  = "containerd"
	Registry    = "registry"
	NATS        = "nats-server"
)

// restartAfter is how long a program that ended by itself stays down.
const restartAfter = time.Second

// Node is a host: a cell and the programs that belong on it.
type Node struct {
	Name, Address string // Address has no prefix's length
	Dir           string // of its files

	fleet *Fleet

	mu       sync.Mutex
	cell     *cell.Cell // nil while the host is down
	programs []*program // in the order in which they are started
}

// program is one that belongs on a node.
type program struct {
	name    string
	args    []string
	watched bool                        // its syncs can be made bad
	ready   func(context.Context) error // waits until it can be used; nil: at once

	process *cell.Process // of the last run
	wanted  bool          // it is to be up
}

// Crash is an end of a program that nobody asked for.
type Crash struct {
	Node, Program, How string
	At                 time.Time
}

// PowerOff ends the host as a power cut does.
func (n *Node) PowerOff() {
	n.mu.Lock()
	c := n.cell
	n.cell = nil
	for _, p := range n.programs {
		p.wanted = false
	}
	n.mu.Unlock()
	if c != nil {
		c.Kill()
	}
}

// PowerOn boots the host: its network, and all of its programs.
func (n *Node) PowerOn(ctx context.Context) error {
	c, err := cell.New(ctx, cell.Config{Name: n.Name, Address: n.Address + prefixLength, Log: filepath.Join(n.Dir, "init.log")})
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.cell = c
	n.mu.Unlock()
	n.fleet.LAN.Attach(n.Name, c.Wire)
	for _, p := range n.programs {
		if err := n.Start(p.name); err != nil {
			return err
		}
		if p.ready == nil {
			continue
		}
		if err := p.ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Start starts a program of the node, unless it runs.
func (n *Node) Start(name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, err := n.find(name)
	if err != nil {
		return err
	}
	if n.cell == nil {
		return fmt.Errorf("start %s on %s: the host is down", name, n.Name)
	}
	if p.wanted && p.process != nil && !ended(p.process) {
		return nil
	}
	p.process, err = n.cell.Start(cell.Program{Args: p.args, Log: filepath.Join(n.Dir, name+".log"), Watched: p.watched})
	if err != nil {
		return err
	}
	p.wanted = true
	go n.keepUp(p, p.process)
	return nil
}

// Kill ends a program by kill -9, and keeps it down.
func (n *Node) Kill(name string) error { return n.end(name, syscall.SIGKILL) }

// Stop asks a program to end, and keeps it down.
func (n *Node) Stop(name string) error { return n.end(name, syscall.SIGTERM) }

// Signal sends a program a signal by which it does not end: SIGSTOP, SIGCONT.
func (n *Node) Signal(name string, s syscall.Signal) error {
	p, err := n.running(name)
	if err != nil {
		return err
	}
	return p.Signal(s)
}

// SignalAll sends a signal to every process on the node that runs an executable
// of that name, such as HAProxy, which is the agent's to keep up. It returns how
// many got it: one that ends meanwhile does not.
func (n *Node) SignalAll(executable string, s syscall.Signal) (int, error) {
	c, err := n.up()
	if err != nil {
		return 0, err
	}
	pids, err := c.Find(executable)
	errs := []error{err}
	sent := 0
	for _, pid := range pids {
		switch err := c.Signal(pid, s); {
		case err == nil:
			sent++
		case !errors.Is(err, cell.ErrEnded):
			errs = append(errs, err)
		}
	}
	return sent, errors.Join(errs...)
}

// Up tells whether the host runs.
func (n *Node) Up() bool {
	_, err := n.up()
	return err == nil
}

// Path is where a path on the host is found from outside.
func (n *Node) Path(path string) (string, error) {
	c, err := n.up()
	if err != nil {
		return "", err
	}
	return c.Path(path), nil
}

// Private

func (n *Node) add(name string, args ...string) {
	n.programs = append(n.programs, &program{name: name, args: args})
}

func (n *Node) find(name string) (*program, error) {
	for _, p := range n.programs {
		if p.name == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%s has no %s", n.Name, name)
}

func (n *Node) up() (*cell.Cell, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cell == nil {
		return nil, fmt.Errorf("%s is down: it %w", n.Name, cell.ErrEnded)
	}
	return n.cell, nil
}

func (n *Node) running(name string) (*cell.Process, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, err := n.find(name)
	if err != nil {
		return nil, err
	}
	if p.process == nil || ended(p.process) {
		return nil, fmt.Errorf("%s on %s %w", name, n.Name, cell.ErrEnded)
	}
	return p.process, nil
}

// end ends a program for good and waits until it is gone.
func (n *Node) end(name string, s syscall.Signal) error {
	n.mu.Lock()
	p, err := n.find(name)
	if err == nil {
		p.wanted = false
	}
	n.mu.Unlock()
	if err != nil {
		return err
	}
	process, err := n.running(name)
	if err != nil {
		return err
	}
	if err := process.Signal(s); err != nil && !errors.Is(err, cell.ErrEnded) {
		return err
	}
	<-process.Done()
	return nil
}

// keepUp starts a program again that has ended by itself.
func (n *Node) keepUp(p *program, process *cell.Process) {
	<-process.Done()
	n.mu.Lock()
	asked := !p.wanted || p.process != process || process.How().Gone
	n.mu.Unlock()
	if asked || n.fleet.ending() {
		return
	}
	n.fleet.crashed(Crash{Node: n.Name, Program: p.name, How: process.How().String(), At: time.Now()})
	time.Sleep(restartAfter)
	n.mu.Lock()
	still := p.wanted && p.process == process
	n.mu.Unlock()
	if still {
		_ = n.Start(p.name) // the host may have ended meanwhile
	}
}

func ended(p *cell.Process) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

// write writes one of the node's files.
func (n *Node) write(name, text string) (string, error) {
	path := filepath.Join(n.Dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("configure %s: %w", n.Name, err)
	}
	return path, nil
}
