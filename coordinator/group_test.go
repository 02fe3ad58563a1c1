package coordinator

import (
	"context"
	"errors"
	"sync"

	"github.com/serin-rollouts/serin/coordinator/replica"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// group stands for Raft: one log, and members of which one leads.
type group struct {
	mu      sync.Mutex
	state   *rollout.State
	entries []rollout.Entry
	leader  string
	members map[string]*member
}

// member is one replica's ledger. Cut off, it keeps the state that it has and
// can neither propose nor verify.
type member struct {
	group   *group
	id      string
	cut     bool
	state   *rollout.State
	changed chan struct{}
}

func newGroup(ids ...string) *group {
	g := &group{state: rollout.NewState(), leader: ids[0], members: map[string]*member{}}
	for _, id := range ids {
		g.members[id] = &member{group: g, id: id, state: g.state.Clone(), changed: make(chan struct{})}
	}
	return g
}

// elect makes id the leader.
func (g *group) elect(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leader = id
}

// isolate cuts a member off without telling it.
func (g *group) isolate(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members[id].cut = true
}

// log returns the entries so far.
func (g *group) log() []rollout.Entry {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]rollout.Entry(nil), g.entries...)
}

func (m *member) State() *rollout.State {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	return m.state
}

func (m *member) Changed() <-chan struct{} {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	return m.changed
}

func (m *member) Propose(_ context.Context, e rollout.Entry) (rollout.Result, error) {
	g := m.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if m.cut {
		return rollout.Result{}, replica.ErrUnknown
	}
	if g.leader != m.id {
		return rollout.Result{}, &replica.NotLeaderError{ID: g.leader}
	}
	g.entries = append(g.entries, e)
	result := g.state.Apply(uint64(len(g.entries)), e)
	for _, other := range g.members {
		if other.cut {
			continue
		}
		other.state = g.state.Clone()
		close(other.changed)
		other.changed = make(chan struct{})
	}
	return result, nil
}

func (m *member) Verify(context.Context) error {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	if m.cut || m.group.leader != m.id {
		return replica.ErrNotLeader
	}
	return nil
}

// noCluster is a cluster that cannot be changed.
type noCluster struct{}

var errFixed = errors.New("the members are fixed")

func (noCluster) Status() (api.ClusterStatus, error) {
	return api.ClusterStatus{Members: []api.ClusterMember{{ID: "c1", Voter: true}}}, nil
}
func (noCluster) Backup(*rollout.State) ([]byte, error)     { return nil, errFixed }
func (noCluster) Add(context.Context, string, string) error { return errFixed }
func (noCluster) Remove(context.Context, string) error      { return errFixed }
func (noCluster) Transfer(context.Context, string) error    { return errFixed }
