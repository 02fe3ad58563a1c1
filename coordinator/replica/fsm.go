package replica

import (
	"fmt"
	"io"
	"runtime/debug"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/statefile"
)

// machine applies the log to the state. Raft calls its methods from one
// goroutine; everybody else reads what it has published.
type machine struct {
	current atomic.Pointer[view]
	// stop ends the replica; it must not block.
	stop func(error)
	// broken is why nothing more is applied; only Raft's goroutine touches it.
	broken error
	level  int // of entries that it understands
}

// view is a published state and the channel that tells of the next one.
type view struct {
	state   *rollout.State
	changed chan struct{}
}

func newMachine(level int, stop func(error)) *machine {
	m := &machine{stop: stop, level: level}
	m.current.Store(&view{state: rollout.NewState(), changed: make(chan struct{})})
	return m
}

// Apply carries out one committed entry. It returns a rollout.Result, or the
// error that has stopped the replica.
func (m *machine) Apply(l *raft.Log) any {
	if m.broken != nil {
		return m.broken
	}
	next := m.current.Load().state.Clone()
	result, err := m.apply(next, l)
	if err != nil {
		m.broken = err
		m.stop(err)
		return err
	}
	m.publish(next)
	return result
}

// Snapshot hands out the published state.
func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	if m.broken != nil {
		return nil, m.broken // it would say that the entry had been applied
	}
	return frozen{state: m.current.Load().state}, nil
}

// Restore replaces the state by a snapshot.
func (m *machine) Restore(r io.ReadCloser) error {
	s, err := statefile.Decode(r)
	if err == nil && s.AtLevel() > m.level {
		err = fmt.Errorf("%w: it is at level %d, this release knows %d", ErrNotUnderstood, s.AtLevel(), m.level)
	}
	if err != nil {
		err = fmt.Errorf("restore snapshot: %w", err)
		m.broken = err
		m.stop(err)
		return err
	}
	m.broken = nil
	m.publish(s)
	return nil
}

// Private

func (m *machine) publish(s *rollout.State) {
	old := m.current.Swap(&view{state: s, changed: make(chan struct{})})
	close(old.changed)
}

// apply works on a copy that nobody sees if it fails half-way.
func (m *machine) apply(s *rollout.State, l *raft.Log) (result rollout.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("apply entry %d: panic: %v\n%s", l.Index, p, debug.Stack())
		}
	}()
	e, err := decodeEntry(l.Data)
	if err != nil {
		return result, fmt.Errorf("%w: entry %d: %w", ErrNotUnderstood, l.Index, err)
	}
	if need := rollout.Needs(e.Command); need > m.level {
		return result, fmt.Errorf("%w: entry %d: it has level %d, this release knows %d", ErrNotUnderstood, l.Index, need, m.level)
	}
	return s.Apply(l.Index, e), nil
}
