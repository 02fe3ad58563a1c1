package fleettest

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/serin-rollouts/serin/coordinator"
	"github.com/serin-rollouts/serin/coordinator/replica"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// Raft's timeouts are longer than in production, so that hours of virtual time
// have fewer heartbeats. A dead leader is replaced in 2 to 4 s.
const (
	// Heartbeat is how long a replica misses its leader before it stands for
	// election.
	Heartbeat = time.Second
	raftLease = 500 * time.Millisecond
)

// patience bounds, in virtual time, what has to happen without faults.
const patience = 5 * time.Minute

// Leader returns the index of the replica that leads, waiting for one.
func (f *Fleet) Leader() int {
	f.t.Helper()
	leader := -1
	f.eventually("a leader", patience, func() bool {
		for i, s := range f.replicas {
			if r := s.opened(); r != nil && !s.isCut() && r.Verify(f.ctx) == nil {
				leader = i
				return true
			}
		}
		return false
	})
	return leader
}

// KillLeader kills the replica that leads and returns its index.
func (f *Fleet) KillLeader() int {
	f.t.Helper()
	i := f.Leader()
	f.KillReplica(i)
	return i
}

// KillReplica takes a replica away as kill -9 does: nothing that it does
// afterwards reaches anybody. Its log stays.
func (f *Fleet) KillReplica(i int) {
	s := f.replicas[i]
	f.isolate(i)
	s.link.die()
	s.cancel()
}

// StartReplica starts a replica that was killed or stopped, or that has never
// run.
func (f *Fleet) StartReplica(i int) {
	f.t.Helper()
	f.endReplica(i)
	s := f.replicas[i]
	s.link = newLink(f.server)
	_, s.trans = raft.NewInmemTransportWithTimeout(raft.ServerAddress(s.address), Heartbeat)
	f.connect(i)
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(f.ctx)
	done := make(chan struct{})
	s.done = done
	cfg := f.coordinator(s)
	f.running.Go(func() {
		defer close(done)
		err := coordinator.Run(ctx, cfg)
		s.open(nil)
		if err != nil && ctx.Err() == nil {
			f.t.Errorf("replica %s ended: %v", s.id, err)
		}
	})
}

// RestartReplica stops a replica as SIGTERM does, and starts it again.
func (f *Fleet) RestartReplica(i int) {
	f.t.Helper()
	f.replicas[i].cancel()
	f.StartReplica(i)
}

// StopLeader stops the replica that leads as SIGTERM does. It returns its index,
// and how long it took until agents heard of another leader.
func (f *Fleet) StopLeader() (old int, gap time.Duration) {
	f.t.Helper()
	old = f.Leader()
	heard := make(chan struct{}, 1)
	s, err := f.conn.Subscribe(bus.BeatSubject, func(m bus.Msg) {
		if b, err := wire.DecodeBeat(m.Data); err == nil && b.Leader != f.replicas[old].id {
			select {
			case heard <- struct{}{}:
			default:
			}
		}
	})
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	began := time.Now()
	f.replicas[old].cancel()
	select {
	case <-heard:
	case <-time.After(patience):
		f.t.Fatalf("nobody leads %s after %s was told to stop", patience, f.replicas[old].id)
	}
	return old, time.Since(began)
}

// UpgradeReplica stops a replica as SIGTERM does, and starts this release in its
// place. See Options.Level.
func (f *Fleet) UpgradeReplica(i int) {
	f.replicas[i].level = 0
	f.RestartReplica(i)
}

// CutReplica cuts a replica off from the others and from the bus, without
// anybody being told.
func (f *Fleet) CutReplica(i int) {
	f.isolate(i)
	f.replicas[i].link.sever()
}

// HealReplica takes CutReplica back.
func (f *Fleet) HealReplica(i int) {
	f.connect(i)
	f.replicas[i].link.mend()
}

// State returns what the replica knows that has come farthest. It may be called
// from any goroutine.
func (f *Fleet) State() *rollout.State {
	best := rollout.NewState()
	for _, s := range f.replicas {
		if r := s.opened(); r != nil && r.State().Index >= best.Index {
			best = r.State()
		}
	}
	return best
}

// Entries returns how many commands the Raft log holds, and how many bytes the
// largest has.
func (f *Fleet) Entries() (n, largest int) {
	f.t.Helper()
	store := f.replicas[f.Leader()].store
	last, err := store.LastIndex()
	if err != nil {
		f.t.Fatal(err)
	}
	for i := uint64(1); i <= last; i++ {
		var l raft.Log
		if err := store.GetLog(i, &l); err != nil {
			f.t.Fatal(err)
		}
		if l.Type == raft.LogCommand {
			n++
			largest = max(largest, len(l.Data))
		}
	}
	return n, largest
}

// Private

// replicaSlot is a coordinator's machine: what stays when its process goes.
type replicaSlot struct {
	id, address string
	peers       []string
	store       *raft.InmemStore
	snapshots   *raft.InmemSnapshotStore
	link        *link
	trans       *raft.InmemTransport
	cancel      context.CancelFunc
	done        <-chan struct{} // nil: never started
	level       int             // of the log, that it understands; 0: all
	http        string          // where it serves HTTP; empty: nowhere

	mu      sync.Mutex
	replica *replica.Replica // nil while it does not run
	cut     bool
}

func (s *replicaSlot) opened() *replica.Replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replica
}

func (s *replicaSlot) open(r *replica.Replica) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replica = r
}

func (s *replicaSlot) isCut() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cut
}

func (s *replicaSlot) setCut(cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = cut
}

func (f *Fleet) newReplicas() {
	var peers []string
	for i := range f.opts.Replicas {
		s := &replicaSlot{
			id: fmt.Sprintf("c%d", i+1), address: fmt.Sprintf("c%d:7311", i+1),
			store: raft.NewInmemStore(), snapshots: raft.NewInmemSnapshotStore(), level: f.opts.Level,
		}
		if i < len(f.opts.HTTP) {
			s.http = f.opts.HTTP[i]
		}
		f.replicas = append(f.replicas, s)
		peers = append(peers, s.id+"="+s.address)
	}
	for _, s := range f.replicas {
		s.peers = peers
	}
}

func (f *Fleet) coordinator(s *replicaSlot) coordinator.Config {
	return coordinator.Config{
		ID: s.id, Data: filepath.Join(f.dir, s.id), Lease: f.opts.Lease, Log: f.log, Trace: f.traces(),
		HTTP: s.http, Console: f.opts.Console,
		Raft: coordinator.Raft{
			Listen: s.address, Peers: s.peers, Heartbeat: Heartbeat, Election: Heartbeat, Lease: raftLease,
		},
		Seams: coordinator.Seams{
			InProcess: s.link, Level: s.level,
			OpenReplica: func(ctx context.Context, cfg replica.Config) (*replica.Replica, error) {
				cfg.Transport, cfg.Logs, cfg.Stable, cfg.Snapshots = s.trans, s.store, s.store, s.snapshots
				r, err := replica.Open(ctx, cfg)
				if err == nil {
					s.open(r)
				}
				return r, err
			},
		},
	}
}

// connect links a replica with all that are not cut off.
func (f *Fleet) connect(i int) {
	s := f.replicas[i]
	s.setCut(false)
	for _, other := range f.replicas {
		if other != s && other.trans != nil && !other.isCut() {
			s.trans.Connect(other.trans.LocalAddr(), other.trans)
			other.trans.Connect(s.trans.LocalAddr(), s.trans)
		}
	}
}

func (f *Fleet) isolate(i int) {
	s := f.replicas[i]
	s.setCut(true)
	s.trans.DisconnectAll()
	for _, other := range f.replicas {
		if other != s && other.trans != nil {
			other.trans.Disconnect(s.trans.LocalAddr())
		}
	}
}

// endReplica waits until the replica's process is gone.
func (f *Fleet) endReplica(i int) {
	s := f.replicas[i]
	if s.done == nil {
		return
	}
	s.cancel()
	<-s.done
}
