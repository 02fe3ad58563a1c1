package localfleet

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/serin-rollouts/serin/agent/docker"
)

// Crash ends a host as a power cut does: its agent, its HAProxy and its
// containers. Start begins with what is on its disk.
func (f *Fleet) Crash(ctx context.Context, h *Host) error {
	if err := f.Kill(ctx, h.Name); err != nil && !errors.Is(err, ErrNotRunning) {
		return err
	}
	// The agent's own command line names its file beside this directory.
	pids, err := processesOf(f.path(h.Name))
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill HAProxy of %s: %w", h.Name, err)
		}
	}
	engine, err := docker.Open(ctx, docker.Config{CallTimeout: upLimit})
	if err != nil {
		return fmt.Errorf("kill the containers of %s: %w", h.Name, err)
	}
	defer func() { _ = engine.Close() }()
	return eachContainer(ctx, engine, h.Name, func(ctx context.Context, id string) error {
		return engine.Stop(ctx, id, 0)
	})
}
