package replica

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"github.com/rs/zerolog"
	"go.etcd.io/bbolt"

	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/statefile"
)

// restoreLift is added to the state's index when a backup is restored, and the
// index is then every service's epoch and the group's term. Whatever the old
// group has told agents after the backup was made is older than that, so they
// take up what the new group says. JSON numbers bear a million of them.
const restoreLift = 1 << 32

// Backup renders a state as Restore takes it: a line that describes it, with a
// checksum, and the state in JSON.
func Backup(s *rollout.State) ([]byte, error) { return statefile.Encode(s) }

// Salvage returns all that is left in the directory of a replica that does not
// run: its newest snapshot and every entry behind it. The last entries may not
// have been committed: who salvages has lost the others that would know. The
// directory stays as it is. Errors as of Open.
func Salvage(dir string) (*rollout.State, error) {
	f, err := readFormat(dir)
	if err != nil {
		return nil, fmt.Errorf("salvage %s: %w", dir, err)
	}
	if !f.Ready || f.Format > dirFormat {
		return nil, fmt.Errorf("salvage %s: %w: it holds no state that this release can read", dir, ErrDirectory)
	}
	var s *rollout.State
	err = guarded(func() (err error) {
		s, err = salvage(dir)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("salvage %s: %w", dir, err)
	}
	return s, nil
}

// Restore makes cfg.Dir, which must be empty or missing, the directory of
// replica cfg.ID of a new group, whose voters are cfg.Peers and whose state is
// the backup. Every replica of the group is made so, from the same backup and
// with the same peers.
func Restore(cfg Config, backup io.Reader) (*rollout.State, error) {
	s, err := statefile.Decode(backup)
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	if err := cfg.restorable(s); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	lift(s)
	if err := restore(cfg, s); err != nil {
		return nil, fmt.Errorf("restore replica %s: %w", cfg.ID, err)
	}
	return s, nil
}

// Private

func (c Config) restorable(s *rollout.State) error {
	switch {
	case c.Dir == "" || c.ID == "":
		return errors.New("directory and replica id must be there")
	case c.Join || len(c.Peers) == 0:
		return errors.New("list the voters of the new group (peers); a replica that is to join it starts empty instead")
	case s.AtLevel() > rollout.LevelNewest:
		return fmt.Errorf("%w: it is at level %d, this release knows %d", ErrNotUnderstood, s.AtLevel(), rollout.LevelNewest)
	}
	return c.validatePeers()
}

// lift puts a state beyond all that its group can have said since.
func lift(s *rollout.State) {
	s.Index += restoreLift
	s.EventSeq += restoreLift // numbers that observers may have seen are not given again
	for _, svc := range s.Services {
		svc.Epoch = s.Index
	}
}

func restore(cfg Config, s *rollout.State) (err error) {
	used, err := claimDirectory(cfg.Dir, cfg.ID)
	if err != nil {
		return err
	}
	if used {
		return fmt.Errorf("%w: %s holds the state of a replica; move it away first", ErrDirectory, cfg.Dir)
	}
	stores, err := openStores(cfg, func(error) {})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stores.close()) }()
	_, trans := raft.NewInmemTransport("") // it renders the voters, and carries nothing
	sink, err := stores.snapshots.Create(raft.SnapshotVersionMax, s.Index, s.Index, cfg.bootstrap(), s.Index, trans)
	if err != nil {
		return fmt.Errorf("make snapshot: %w", err)
	}
	if err := (frozen{s}).Persist(sink); err != nil {
		return err
	}
	if err := stores.stable.SetUint64([]byte(keyTerm), s.Index); err != nil {
		return fmt.Errorf("write term: %w", err)
	}
	if err := stores.verify(); err != nil {
		return err
	}
	return stores.ready()
}

func salvage(dir string) (*rollout.State, error) {
	path := filepath.Join(dir, storeFile)
	if err := verifyPages(path); err != nil {
		return nil, err
	}
	bolt, err := raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: &bbolt.Options{Timeout: lockWait, ReadOnly: true}})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { _ = bolt.Close() }() // nothing was written
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(dir, snapshotsKept, newRaftLogger(zerolog.Nop()))
	if err != nil {
		return nil, fmt.Errorf("open snapshots: %w", err)
	}
	s := &stores{logs: checkedLogs{LogStore: bolt, found: func(error) {}}, stable: checkedStable{StableStore: bolt, found: func(error) {}}, snapshots: snapshots}
	if err := s.verify(); err != nil {
		return nil, err
	}
	return s.replay()
}

// replay returns the state after the newest snapshot and all entries.
func (s *stores) replay() (*rollout.State, error) {
	var stopped error
	m := newMachine(rollout.LevelNewest, func(err error) { stopped = err })
	list, err := s.snapshots.List()
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	upTo := uint64(0)
	if len(list) > 0 {
		_, r, err := s.snapshots.Open(list[0].ID)
		if err != nil {
			return nil, fmt.Errorf("open snapshot: %w", err)
		}
		defer func() { _ = r.Close() }() // it was read only
		if err := m.Restore(r); err != nil {
			return nil, err
		}
		upTo = list[0].Index
	}
	last, err := s.logs.LastIndex()
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	for i := upTo + 1; i <= last && stopped == nil; i++ {
		var l raft.Log
		if err := s.logs.GetLog(i, &l); err != nil {
			return nil, fmt.Errorf("read entry %d: %w", i, err)
		}
		if l.Type == raft.LogCommand {
			m.Apply(&l)
		}
	}
	return m.current.Load().state, stopped
}
