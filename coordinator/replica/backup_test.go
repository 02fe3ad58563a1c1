package replica

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// Two of three replicas are gone for good. What the last one holds, snapshot
// and log, becomes the state of a new group, which the agents of the old one
// believe: its epochs are beyond all that they can have heard.
func TestLostQuorumIsRecovered(t *testing.T) {
	old := newGroup(t, 3)
	old.startAll()
	leader := old.leader()
	proposed(t, leader, submit("s0", "k0"))
	if err := leader.raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	proposed(t, leader, submit("s1", "k1"))
	proposed(t, leader, advance(leader.State()))
	before := leader.State()
	if _, err := Salvage(leader.cfg.Dir); !errors.Is(err, ErrDirectory) {
		t.Errorf("salvaged beside the running replica: %v", err)
	}
	for _, r := range old.running {
		old.crash(r.cfg.ID)
	}
	left, err := Salvage(leader.cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, left, cmpopts.IgnoreUnexported(rollout.Rollout{})); diff != "" {
		t.Errorf("salvaged (-state +salvaged):\n%s", diff)
	}
	backup, err := Backup(left)
	if err != nil {
		t.Fatal(err)
	}

	next := newGroup(t, 3)
	for _, cfg := range next.configs {
		if _, err := Restore(cfg, bytes.NewReader(backup)); err != nil {
			t.Fatal(err)
		}
		if _, err := Restore(cfg, bytes.NewReader(backup)); !errors.Is(err, ErrDirectory) {
			t.Errorf("restored over a replica: %v", err)
		}
	}
	next.startAll()
	heir := next.leader()
	s := heir.State()
	if r, ok := s.Find("s1-1"); !ok || r.Phase != rollout.Progressing || s.Services["s0"] == nil {
		t.Errorf("rollouts are not as they were: %+v", s.Services)
	}
	for name, svc := range s.Services {
		if svc.Epoch <= before.Index+1_000_000 {
			t.Errorf("%s has epoch %d: agents that have heard of a later one would not obey", name, svc.Epoch)
		}
	}
	if s.EventSeq <= before.EventSeq || heir.raft.CurrentTerm() <= before.Index {
		t.Errorf("event %d follows, in term %d", s.EventSeq, heir.raft.CurrentTerm())
	}
	if r := proposed(t, heir, advance(s)); r.Refused != nil {
		t.Errorf("the rollout does not go on: %v", r.Refused)
	}
	next.crash(heir.cfg.ID) // a majority is left, and the log is replayed on the restored state
	next.start(heir.cfg.ID)
	eventually(t, "the restored replica to catch up", func() bool {
		r, ok := next.running[heir.cfg.ID].State().Find("s1-1")
		return ok && r.Step == 1
	})
}

func TestRestoreRefuses(t *testing.T) {
	backup, err := Backup(rollout.NewState())
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(backup)
	flipped[len(flipped)-3] ^= 1
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "letters"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	peers := []Peer{{ID: "c1", Address: "127.0.0.1:1"}}
	for name, c := range map[string]struct {
		cfg    Config
		backup []byte
		want   string
	}{
		"damaged":     {Config{ID: "c1", Dir: t.TempDir(), Peers: peers}, flipped, "checksum"},
		"cut off":     {Config{ID: "c1", Dir: t.TempDir(), Peers: peers}, backup[:len(backup)-1], "checksum"},
		"no backup":   {Config{ID: "c1", Dir: t.TempDir(), Peers: peers}, []byte("hello\n"), "header"},
		"no peers":    {Config{ID: "c1", Dir: t.TempDir()}, backup, "peers"},
		"not a peer":  {Config{ID: "c9", Dir: t.TempDir(), Peers: peers}, backup, "c9"},
		"not its dir": {Config{ID: "c1", Dir: foreign, Peers: peers}, backup, "not empty"},
	} {
		if _, err := Restore(c.cfg, bytes.NewReader(c.backup)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want something about %q", name, err, c.want)
		}
	}
	if _, err := Salvage(t.TempDir()); err == nil {
		t.Error("salvaged from nothing")
	}
}

func proposed(t *testing.T, r *Replica, e rollout.Entry) rollout.Result {
	t.Helper()
	result, err := r.Propose(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return result
}
