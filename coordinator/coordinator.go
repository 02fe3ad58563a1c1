// Package coordinator decides: it wires the replicated state to the bus, and,
// while its replica leads, runs the loop that turns the agents' reports into
// decisions and decisions into assignments. DESIGN.md beside this file says
// why it is built as it is, and what recovers from which failure.
package coordinator

import (
	"context"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/coordinator/control"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/event"
)

// parts is what a leader works with.
type parts struct {
	cfg     Config
	log     zerolog.Logger
	ledger  ledger
	bus     *bus.Conn
	cluster control.Cluster
}

// lead runs one term.
func (p parts) lead(ctx context.Context, term uint64) error {
	return newLeader(p, term).lead(ctx)
}

func (p parts) source() string { return event.Source(p.cfg.Cluster) }
