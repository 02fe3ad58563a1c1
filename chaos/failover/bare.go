package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"github.com/serin-rollouts/serin/coordinator/replica"
)

const (
	replicas  = 3
	applyEach = 5 * time.Millisecond // of a new leader, by each of
	appliers  = 4
	settled   = time.Second // from when on it is asked no more often than serin is, lest its store grows without end
	entrySize = 200
	patience  = time.Minute
)

// bareGroup is a group of replicas that do nothing but Raft.
type bareGroup struct {
	program, dir, peers string

	commits chan bareCommit
	mu      sync.Mutex
	running map[string]*exec.Cmd
}

type bareCommit struct {
	id string
	at time.Time
}

func startBare(ctx context.Context, program, dir string) (*bareGroup, error) {
	var peers []string
	for i := range replicas {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }()
		peers = append(peers, fmt.Sprintf("b%d=%s", i+1, l.Addr()))
		if err := l.Close(); err != nil {
			return nil, err
		}
	}
	g := &bareGroup{
		program: program, dir: dir, peers: strings.Join(peers, ","),
		commits: make(chan bareCommit, 1), running: map[string]*exec.Cmd{},
	}
	for i := range replicas {
		if err := g.start(fmt.Sprintf("b%d", i+1)); err != nil {
			g.stop()
			return nil, err
		}
	}
	return g, nil
}

func (g *bareGroup) start(id string) error {
	cmd := exec.Command(g.program, "-bare", id, "-dir", filepath.Join(g.dir, id), "-peers", g.peers) //nolint:noctx // stop ends it
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if _, err := cmd.StdinPipe(); err != nil { // it ends with this process
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start bare replica: %w", err)
	}
	g.mu.Lock()
	g.running[id] = cmd
	g.mu.Unlock()
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			c := bareCommit{id, time.Now()}
			select {
			case g.commits <- c:
			default: // nobody looks at the moment
			}
		}
		_ = cmd.Wait() // it was killed
	}()
	return nil
}

// kill kills the leader, and returns how long it took until another replica has
// committed an entry. The killed one is started again.
func (g *bareGroup) kill(ctx context.Context) (time.Duration, error) {
	leader, err := g.next(ctx, "")
	if err != nil {
		return 0, err
	}
	g.mu.Lock()
	cmd := g.running[leader.id]
	g.mu.Unlock()
	began := time.Now()
	if err := cmd.Process.Kill(); err != nil {
		return 0, err
	}
	first, err := g.next(ctx, leader.id)
	if err != nil {
		return 0, err
	}
	return first.at.Sub(began), g.start(leader.id)
}

// next waits for a commit by another replica than that.
func (g *bareGroup) next(ctx context.Context, not string) (bareCommit, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if not == "" { // what waits in the channel is old
		select {
		case <-g.commits:
		default:
		}
	}
	for {
		select {
		case c := <-g.commits:
			if c.id != not {
				return c, nil
			}
		case <-ctx.Done():
			return bareCommit{}, errors.New("nobody commits")
		}
	}
}

func (g *bareGroup) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, cmd := range g.running {
		_ = cmd.Process.Kill()
	}
}

// beBare is one replica, with serin's own timeouts and store. While it leads it
// commits small entries, and says so.
func beBare(ctx context.Context, id, dir, peers string, out io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the parent is gone
		stop()
	}()
	r, err := openBare(id, dir, peers)
	if err != nil {
		return err
	}
	var said sync.Mutex
	var wg sync.WaitGroup
	for range appliers {
		wg.Go(func() {
			commitAll(ctx, r.Raft, func() {
				said.Lock()
				defer said.Unlock()
				_, _ = fmt.Fprintln(out, "committed") // the parent is gone otherwise, and will kill it
			})
		})
	}
	wg.Wait()
	return r.close()
}

// commitAll commits one entry after the other whenever the replica leads, and tells
// of each, until ctx ends.
func commitAll(ctx context.Context, r *raft.Raft, tell func()) {
	var since time.Time // it leads
	for ctx.Err() == nil {
		pause := applyEach
		switch leads := r.State() == raft.Leader && r.Apply(make([]byte, entrySize), 0).Error() == nil; {
		case !leads:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
			tell()
		default:
			tell()
			if time.Since(since) > settled {
				pause = askEach
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// bareReplica is Raft on its store.
type bareReplica struct {
	*raft.Raft

	store *raftboltdb.BoltStore
}

func (r *bareReplica) close() error {
	return errors.Join(r.Shutdown().Error(), r.store.Close())
}

func openBare(id, dir, peers string) (*bareReplica, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var group raft.Configuration
	listen := ""
	for p := range strings.SplitSeq(peers, ",") {
		name, address, _ := strings.Cut(p, "=")
		group.Servers = append(group.Servers, raft.Server{ID: raft.ServerID(name), Address: raft.ServerAddress(address)})
		if name == id {
			listen = address
		}
	}
	cfg := raft.DefaultConfig()
	cfg.LocalID, cfg.Logger, cfg.NoLegacyTelemetry = raft.ServerID(id), hclog.NewNullLogger(), true
	cfg.HeartbeatTimeout, cfg.ElectionTimeout, cfg.LeaderLeaseTimeout = replica.DefaultHeartbeat, replica.DefaultElection, replica.DefaultLease
	store, err := raftboltdb.NewBoltStore(filepath.Join(dir, "raft.db"))
	if err != nil {
		return nil, err
	}
	trans, err := raft.NewTCPTransport(listen, nil, replicas, time.Second, io.Discard)
	if err != nil {
		return nil, err
	}
	// What it commits in a long run is compacted, and is needed from here when it is started again.
	snapshots, err := raft.NewFileSnapshotStore(dir, 2, io.Discard)
	if err != nil {
		return nil, err
	}
	had, err := raft.HasExistingState(store, store, snapshots)
	if err == nil && !had {
		err = raft.BootstrapCluster(cfg, store, store, snapshots, trans, group)
	}
	if err != nil {
		return nil, err
	}
	r, err := raft.NewRaft(cfg, nothing{}, store, store, snapshots, trans)
	return &bareReplica{r, store}, err
}

// nothing is a state machine without a state.
type nothing struct{}

// Apply implements raft.FSM.
func (nothing) Apply(*raft.Log) any { return nil }

// Snapshot implements raft.FSM.
func (nothing) Snapshot() (raft.FSMSnapshot, error) { return nothing{}, nil }

// Restore implements raft.FSM.
func (nothing) Restore(r io.ReadCloser) error { return r.Close() }

// Persist implements raft.FSMSnapshot.
func (nothing) Persist(sink raft.SnapshotSink) error { return sink.Close() }

// Release implements raft.FSMSnapshot.
func (nothing) Release() {}
