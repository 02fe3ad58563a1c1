package replica

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/hashicorp/raft"
	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/identity"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Defaults of the timeouts: a dead leader is replaced in about half a second,
// and a busy machine does not lose its leadership.
const (
	DefaultHeartbeat = 250 * time.Millisecond
	DefaultElection  = 250 * time.Millisecond
	DefaultLease     = 125 * time.Millisecond
)

// How the log is kept short.
const (
	snapshotEntries = 1_024 // snapshot after so many entries,
	snapshotCheck   = 30 * time.Second
	snapshotEvery   = time.Hour // and after so long, if there is anything new
	trailingEntries = 2_048     // kept for replicas that lag
)

// Peer is a replica and where the others reach it (host:port).
type Peer struct{ ID, Address string }

// Config says how a replica takes part in the group.
type Config struct {
	ID        string // names this replica for ever; an id is never used again
	Listen    string // host:port to listen on
	Advertise string // host:port for peers; else that of Peers, else Listen
	Dir       string // holds the log; made if it is missing
	// Peers lists all voters, this one too, when a group starts for the first
	// time. It is ignored once the directory holds state.
	Peers []Peer
	// Join starts with nothing and waits until the group adds this replica.
	Join bool
	// TLS secures the links between replicas; plain text if it is empty.
	TLS identity.Files
	// Heartbeat is how long a follower waits for its leader, Election how long a
	// candidate waits for votes, Lease how long a leader leads without hearing
	// from a majority (Lease <= Heartbeat <= Election).
	Heartbeat, Election, Lease time.Duration

	// Level is what this replica understands of the log; rollout.LevelNewest if
	// zero. Less stands for an earlier release, in tests.
	Level int

	// Seams for tests in memory. The stores go together; without them Dir is
	// used.
	Transport raft.Transport
	Logs      raft.LogStore
	Stable    raft.StableStore
	Snapshots raft.SnapshotStore

	Log zerolog.Logger
}

// Private

func (c Config) withDefaults() Config {
	if c.Heartbeat == 0 {
		c.Heartbeat = DefaultHeartbeat
	}
	if c.Election == 0 {
		c.Election = max(DefaultElection, c.Heartbeat)
	}
	if c.Lease == 0 {
		c.Lease = min(DefaultLease, c.Heartbeat)
	}
	if c.Level == 0 {
		c.Level = rollout.LevelNewest
	}
	return c
}

func (c Config) inMemory() bool { return c.Logs != nil }

func (c Config) validate() error {
	stores := 0
	for _, given := range []bool{c.Logs != nil, c.Stable != nil, c.Snapshots != nil} {
		if given {
			stores++
		}
	}
	switch {
	case c.ID == "":
		return errors.New("replica id is missing")
	case stores != 0 && stores != 3:
		return errors.New("the three stores go together")
	case stores == 0 && c.Dir == "":
		return errors.New("directory is missing")
	case c.Transport == nil && c.Listen == "":
		return errors.New("listen address is missing")
	case c.Join && len(c.Peers) > 0 && c.isPeer():
		return fmt.Errorf("replica %s is to join, and is among the peers that start the group: leave one of them out", c.ID)
	}
	return c.validatePeers()
}

func (c Config) isPeer() bool {
	return slices.ContainsFunc(c.Peers, func(p Peer) bool { return p.ID == c.ID })
}

func (c Config) validatePeers() error {
	seen := map[string]bool{}
	for _, p := range c.Peers {
		if _, _, err := net.SplitHostPort(p.Address); err != nil && c.Transport == nil {
			return fmt.Errorf("peer %s: address %q is not host:port", p.ID, p.Address)
		}
		if p.ID == "" || p.Address == "" || seen[p.ID] || seen["@"+p.Address] {
			return fmt.Errorf("peer %q at %q: ids and addresses must be there, and only once", p.ID, p.Address)
		}
		seen[p.ID], seen["@"+p.Address] = true, true
	}
	if len(c.Peers) > 0 && !c.Join && !c.isPeer() {
		return fmt.Errorf("replica %s is not among the peers: list all voters, this one too", c.ID)
	}
	return nil
}

func (c Config) raft(leading chan<- bool) *raft.Config {
	rc := raft.DefaultConfig()
	rc.LocalID = raft.ServerID(c.ID)
	rc.HeartbeatTimeout, rc.ElectionTimeout, rc.LeaderLeaseTimeout = c.Heartbeat, c.Election, c.Lease
	rc.CommitTimeout = min(rc.CommitTimeout, c.Lease/2)
	rc.SnapshotThreshold, rc.SnapshotInterval, rc.TrailingLogs = snapshotEntries, snapshotCheck, trailingEntries
	rc.ShutdownOnRemove = true
	rc.NoLegacyTelemetry = true
	rc.NotifyCh = leading
	rc.Logger = newRaftLogger(c.Log)
	return rc
}

func (c Config) bootstrap() raft.Configuration {
	var group raft.Configuration
	for _, p := range c.Peers {
		group.Servers = append(group.Servers, raft.Server{ID: raft.ServerID(p.ID), Address: raft.ServerAddress(p.Address)})
	}
	return group
}
