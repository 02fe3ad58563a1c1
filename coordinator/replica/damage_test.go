package replica

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// worn is a real store, one entry of which cannot be read as it was written once
// it was read so many times.
type worn struct {
	*raftboltdb.BoltStore

	harm  func(*raft.Log) error
	at    atomic.Uint64
	reads atomic.Int64 // of the entry, that still go well
}

func (w *worn) GetLog(index uint64, l *raft.Log) error {
	if err := w.BoltStore.GetLog(index, l); err != nil {
		return err
	}
	if index == w.at.Load() && w.reads.Add(-1) < 0 {
		return w.harm(l)
	}
	return nil
}

// harms are the ways in which an entry can be damaged.
var harms = map[string]func(*raft.Log) error{
	"a flipped bit": func(l *raft.Log) error {
		l.Data[len(l.Data)/2] ^= 1
		return nil
	},
	"an entry that is gone":         func(*raft.Log) error { return raft.ErrLogNotFound },
	"an entry that makes no sense":  func(*raft.Log) error { return errors.New("msgpack: unknown descriptor byte") },
	"a page that cannot be entered": func(*raft.Log) error { panic("page 7 is of no type") },
}

// wearing gives a replica's configuration a store that can be harmed.
func wearing(t *testing.T, cfg Config, harm func(*raft.Log) error) (Config, *worn) {
	t.Helper()
	bolt, err := raftboltdb.New(raftboltdb.Options{Path: filepath.Join(cfg.Dir, storeFile)})
	if err != nil {
		t.Fatal(err)
	}
	snapshots, err := raft.NewFileSnapshotStore(cfg.Dir, snapshotsKept, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	w := &worn{BoltStore: bolt, harm: harm}
	cfg.Dir, cfg.Logs, cfg.Stable, cfg.Snapshots = "", w, w, snapshots
	return cfg, w
}

// endedBy waits until a replica has stopped because of damage, and closes it.
func endedBy(t *testing.T, r *Replica) {
	t.Helper()
	eventually(t, "the replica to stop", func() bool { return r.Err() != nil })
	if err := r.Err(); !errors.Is(err, ErrDamaged) {
		t.Errorf("it ended with %v", err)
	}
	closed(t, r)
}

// Damage that shows while Raft reads the log, after everything was verified, ends
// the replica with a reason: Raft itself would panic.
func TestDamageReadByRaftEndsTheReplica(t *testing.T) {
	t.Parallel()
	for name, harm := range harms {
		for _, reads := range []int64{0, 1} { // by Raft's start, and when the group confirms the log
			t.Run(fmt.Sprintf("%s, read %d times", name, reads), func(t *testing.T) {
				t.Parallel()
				g := newGroup(t, 1)
				g.startAll()
				g.propose(submit("checkout", "k1"))
				last := g.leader().Entries()
				g.propose(submit("search", "k2"))
				g.crash("c1")
				cfg, store := wearing(t, g.configs["c1"], harm)
				store.at.Store(last)
				store.reads.Store(reads)
				r, err := Open(t.Context(), cfg)
				switch {
				case reads == 0 && !errors.Is(err, ErrDamaged):
					t.Fatalf("opened: %v", err)
				case reads > 0 && err != nil:
					t.Fatal(err)
				case reads > 0:
					endedBy(t, r)
				}
				if err := store.Close(); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// A leader that cannot read an entry which a follower lacks stops, and leaves the
// group to the others.
func TestDamageReadForAFollowerEndsTheLeader(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3)
	g.startAll()
	g.propose(submit("checkout", "k0"))
	g.settled()
	late := g.follower().cfg.ID
	g.crash(late)
	g.propose(submit("checkout", "k1"))
	lacking := g.leader().Entries()
	g.propose(submit("search", "k2"))
	g.settled()
	var harmed atomic.Bool // once: whoever leads after that reads what was written
	harm := func(l *raft.Log) error {
		if harmed.CompareAndSwap(false, true) {
			return harms["a flipped bit"](l)
		}
		return nil
	}
	var stores []*worn
	for _, id := range []string{"c1", "c2", "c3"} { // anew: nothing is left in the cache
		if id == late {
			continue
		}
		g.crash(id)
		cfg, store := wearing(t, g.configs[id], harm)
		g.configs[id], stores = cfg, append(stores, store)
		g.start(id)
	}
	g.propose(submit("pay", "k3"))
	g.settled()
	for _, store := range stores {
		store.at.Store(lacking)
	}
	g.start(late)
	var ended *Replica
	eventually(t, "a replica to stop", func() bool {
		for _, r := range g.running {
			if r.Err() != nil {
				ended = r
			}
		}
		return ended != nil
	})
	endedBy(t, ended)
	delete(g.running, ended.cfg.ID)
	if r := g.propose(submit("cart", "k4")); r.Refused != nil {
		t.Errorf("the others do not go on: %v", r.Refused)
	}
	g.settled()
	for id := range g.running {
		g.crash(id)
	}
	for _, s := range stores {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
