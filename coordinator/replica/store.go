package replica

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"

	"github.com/serin-rollouts/serin/internal/statefile"
)

// logCache is how many of the newest entries are also held in memory.
const logCache = 256

// stores is where a replica keeps what Raft must not forget.
type stores struct {
	logs      checkedLogs
	stable    checkedStable
	snapshots raft.SnapshotStore
	close     func() error
	// fresh says that there never was anything: only then may a group start.
	fresh bool
	ready func() error // records that the stores are complete
}

// openStores opens or makes the stores and verifies everything in them.
func openStores(cfg Config, found func(error)) (*stores, error) {
	if cfg.inMemory() {
		return memoryStores(cfg, found)
	}
	used, err := claimDirectory(cfg.Dir, cfg.ID)
	if err != nil {
		return nil, err
	}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(cfg.Dir, snapshotsKept, newRaftLogger(cfg.Log))
	if err != nil {
		return nil, fmt.Errorf("open snapshots: %w", err)
	}
	s := &stores{
		snapshots: snapshots, fresh: !used,
		ready: func() error { return writeFormat(cfg.Dir, format{Format: dirFormat, ID: cfg.ID, Ready: true}) },
	}
	told := func(err error) {
		if errors.Is(err, ErrDamaged) {
			err = damaged(cfg.Dir, err)
		}
		found(err)
	}
	err = guarded(func() error { return s.openDisk(filepath.Join(cfg.Dir, storeFile), told) })
	if errors.Is(err, ErrDamaged) {
		return nil, damaged(cfg.Dir, err)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Private

func memoryStores(cfg Config, found func(error)) (*stores, error) {
	used, err := raft.HasExistingState(cfg.Logs, cfg.Stable, cfg.Snapshots)
	if err != nil {
		return nil, fmt.Errorf("look for existing state: %w", err)
	}
	return &stores{
		logs: checkedLogs{LogStore: cfg.Logs, found: found}, stable: checkedStable{StableStore: cfg.Stable, found: found},
		snapshots: cfg.Snapshots, fresh: !used,
		close: func() error { return nil }, ready: func() error { return nil },
	}, nil
}

// openDisk opens the store of a replica, or makes that of a new one.
func (s *stores) openDisk(path string, found func(error)) error {
	if !s.fresh {
		if err := verifyPages(path); err != nil {
			return err
		}
	} else if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove what a first start has left: %w", err) // it crashed before anything was in it
	}
	bolt, err := raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: &bbolt.Options{Timeout: lockWait}})
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	s.logs, s.stable, s.close = checkedLogs{LogStore: bolt, found: found}, checkedStable{StableStore: bolt, found: found}, bolt.Close
	if err := s.verify(); err != nil {
		return errors.Join(err, bolt.Close())
	}
	return nil
}

// verify reads the votes, the log and the newest snapshot, and wants the log to
// go on where the snapshot ends.
func (s *stores) verify() error {
	if _, err := s.stable.verify(); err != nil {
		return err
	}
	first, last, err := s.logs.verify()
	if err != nil {
		return err
	}
	upTo, err := s.verifySnapshot()
	if err != nil {
		return err
	}
	if last > upTo && first > upTo+1 {
		return fmt.Errorf("%w: the log begins at entry %d, but the newest snapshot ends at %d", ErrDamaged, first, upTo)
	}
	return nil
}

// verifySnapshot returns up to which entry the newest snapshot goes. Raft would
// take an older one if the newest cannot be read, and miss entries.
func (s *stores) verifySnapshot() (uint64, error) {
	list, err := s.snapshots.List()
	if err != nil {
		return 0, fmt.Errorf("list snapshots: %w", err)
	}
	if len(list) == 0 {
		return 0, nil
	}
	meta, r, err := s.snapshots.Open(list[0].ID)
	if err != nil {
		return 0, fmt.Errorf("%w: open snapshot %s: %w", ErrDamaged, list[0].ID, err)
	}
	defer func() { _ = r.Close() }() // it was read only
	if _, err := statefile.Decode(r); err != nil {
		return 0, fmt.Errorf("%w: snapshot %s: %w", ErrDamaged, meta.ID, err)
	}
	return meta.Index, nil
}
