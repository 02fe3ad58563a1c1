package replica

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/statefile"
)

// frozen is a state on its way to a snapshot. States are immutable once they
// are published, so that it can be written while others are applied.
type frozen struct{ state *rollout.State }

// Persist writes the snapshot.
func (f frozen) Persist(sink raft.SnapshotSink) error {
	data, err := statefile.Encode(f.state)
	if err == nil {
		_, err = sink.Write(data)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write snapshot: %w", err), sink.Cancel())
	}
	return sink.Close()
}

// Release does nothing: a published state belongs to nobody.
func (frozen) Release() {}
