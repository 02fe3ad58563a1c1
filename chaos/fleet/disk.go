package fleet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/serin-rollouts/serin/chaos/cell"
)

// State is the directory of a node's own state: a replica's store, an agent's
// assignments and HAProxy's files. It is a disk of its own, of a fixed size, that
// lasts as long as the fleet.
func (n *Node) State() string { return filepath.Join(n.Dir, "state") }

// FillDisk leaves no room on the node's state.
func (n *Node) FillDisk() error {
	file, err := os.OpenFile(n.ballast(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("fill the disk of %s: %w", n.Name, err)
	}
	defer func() { _ = file.Close() }()
	const most, page = 1 << 28, 1 << 12
	end := int64(0)
	for piece := int64(most); piece >= page; {
		err := syscall.Fallocate(int(file.Fd()), 0, end, piece)
		switch {
		case err == nil:
			end += piece
		case errors.Is(err, syscall.ENOSPC):
			piece /= 2
		case !errors.Is(err, syscall.EINTR):
			return fmt.Errorf("fill the disk of %s: %w", n.Name, err)
		}
	}
	return nil
}

// FreeDisk takes away what FillDisk has put there.
func (n *Node) FreeDisk() error {
	if err := os.Remove(n.ballast()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("free the disk of %s: %w", n.Name, err)
	}
	return nil
}

// SetSync makes the syncs of a program's files fail, or late.
func (n *Node) SetSync(name string, s cell.Sync) error {
	c, p, err := n.both(name)
	if err != nil {
		return err
	}
	return c.SetSync(p, s)
}

// Skew puts the wall clock of a program so far from the machine's, until the
// program ends.
func (n *Node) Skew(name string, by time.Duration) error {
	c, p, err := n.both(name)
	if err != nil {
		return err
	}
	return c.Skew(p, by)
}

// Private

func (n *Node) ballast() string { return filepath.Join(n.State(), "ballast") }

func (n *Node) both(name string) (*cell.Cell, *cell.Process, error) {
	c, err := n.up()
	if err != nil {
		return nil, nil, err
	}
	p, err := n.running(name)
	return c, p, err
}

// addDisk makes the node's state. It is mounted here and not on the node, so that
// it outlives a power cut there.
func (n *Node) addDisk(megabytes int) error {
	if err := os.Mkdir(n.State(), 0o700); err != nil {
		return fmt.Errorf("make the disk of %s: %w", n.Name, err)
	}
	if err := syscall.Mount("tmpfs", n.State(), "tmpfs", 0, fmt.Sprintf("size=%dm,mode=700", megabytes)); err != nil {
		return fmt.Errorf("make the disk of %s: %w", n.Name, err)
	}
	return nil
}
