package replica

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/porttest"
)

// disk is a real store on a disk that takes nothing any more, once it has been
// told so.
type disk struct {
	*raftboltdb.BoltStore

	terms atomic.Int64 // how many more of them it takes
	full  atomic.Bool
}

var errSync = errors.New("sync: input/output error")

func (d *disk) Set(key, value []byte) error {
	if d.full.Load() || string(key) == keyTerm && d.terms.Add(-1) < 0 {
		return errSync
	}
	return d.BoltStore.Set(key, value)
}

func (d *disk) StoreLogs(logs []*raft.Log) error {
	if d.full.Load() {
		return errSync
	}
	return d.BoltStore.StoreLogs(logs)
}

// lone is the configuration of a group of one on a disk that takes so many terms.
func lone(t *testing.T, dir, address string, terms int64) (Config, *disk) {
	t.Helper()
	bolt, err := raftboltdb.New(raftboltdb.Options{Path: filepath.Join(dir, storeFile)})
	if err != nil {
		t.Fatal(err)
	}
	d := &disk{BoltStore: bolt}
	d.terms.Store(terms)
	snapshots, err := raft.NewFileSnapshotStore(dir, snapshotsKept, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		ID: "c1", Listen: address, Peers: []Peer{{ID: "c1", Address: address}}, Logs: d, Stable: d, Snapshots: snapshots,
		Log: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel),
	}, d
}

func closed(t *testing.T, r *Replica) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

// A replica whose disk does not take what it has to remember says so and ends; it
// does not panic, can be closed, and what it had stored is there when it starts again.
func TestDiskThatTakesNothingEndsTheReplica(t *testing.T) {
	t.Parallel()
	const plenty = 1000
	for name, fail := range map[string]func(r *Replica, d *disk){
		"term": nil, // at the first election: Raft's own start stores it too
		"entries": func(r *Replica, d *disk) {
			d.full.Store(true)
			if _, err := r.Propose(t.Context(), submit("checkout", "late")); err == nil {
				t.Error("an entry that no disk has taken was applied")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, address := t.TempDir(), porttest.Address(t)
			cfg, d := lone(t, dir, address, plenty)
			r, err := Open(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "an entry", func() bool {
				_, err := r.Propose(t.Context(), submit("checkout", "k"))
				return err == nil
			})
			want := stateBytes(t, r.State())
			if fail == nil {
				closed(t, r)
				_ = d.Close()
				cfg, d = lone(t, dir, address, 1)
				if r, err = Open(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
			} else {
				fail(r, d)
			}
			select {
			case <-r.Done():
			case <-t.Context().Done():
			}
			if err := r.Err(); !errors.Is(err, ErrDisk) || !errors.Is(err, errSync) {
				t.Errorf("it ended with %v", err)
			}
			closed(t, r)
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}

			cfg, d = lone(t, dir, address, plenty)
			if r, err = Open(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the state as it was", func() bool { return stateBytes(t, r.State()) == want })
			closed(t, r)
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A disk that takes nothing from the beginning is an error of the start.
func TestDiskThatTakesNothingIsNotOpened(t *testing.T) {
	t.Parallel()
	dir, address := t.TempDir(), porttest.Address(t)
	for _, terms := range []int64{0, 1} { // the group's first one, and that of Raft's start
		cfg, d := lone(t, dir, address, terms)
		if _, err := Open(t.Context(), cfg); !errors.Is(err, ErrDisk) {
			t.Errorf("opened: %v", err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
