package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/agent/fence"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/durable"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

func TestLedgerRemembers(t *testing.T) {
	dir := t.TempDir()
	l, err := openLedger(dir, host, nil)
	if err != nil {
		t.Fatal(err)
	}
	spec := rollout.Spec{Service: shop, Image: "shop:1", Container: rollout.Container{Port: 80, Env: map[string]string{"A": "b"}}}.WithDefaults()
	rev := rollout.NewRevision(spec, "sha256:1")
	page := fence.Page{Epoch: 9, Assignment: rollout.Assignment{Service: shop, Epoch: 7, Stable: &rev, OnControlLoss: rollout.RevertOnLoss}}
	if err := l.record(map[string]fence.Page{shop: page}); err != nil {
		t.Fatal(err)
	}
	if err := l.record(map[string]fence.Page{"other": {Epoch: 2}}); err != nil {
		t.Fatal(err)
	}
	again, err := openLedger(dir, host, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(l.page, again.page); diff != "" {
		t.Errorf("read back something else:\n%s", diff)
	}
	if diff := cmp.Diff(page, again.page.Accepted[shop]); diff != "" {
		t.Errorf("the first service was lost:\n%s", diff)
	}
}

// TestLedgerLeavesNothing: unfinished files are in the state directory alone,
// and the next run removes them.
func TestLedgerLeavesNothing(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", elsewhere)
	long := time.Unix(1, 0)
	if err := os.Chtimes(elsewhere, long, long); err != nil {
		t.Fatal(err)
	}
	l, err := openLedger(dir, host, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.record(map[string]fence.Page{shop: {Epoch: 9}}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(elsewhere); err != nil || !info.ModTime().Equal(long) {
		t.Errorf("something was written to TMPDIR: %v, %v", info.ModTime(), err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".accepted.json123"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openLedger(dir, host, nil); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("after a crash: %v, %v", files, err)
	}
}

func TestLedgerRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		text, want string
		foreign    bool
	}{
		"another host":  {`{"format":1,"host":"web-2","accepted":{}}`, `"web-2"`, true},
		"newer release": {`{"format":2,"host":"web-1","accepted":{},"news":1}`, "format 2", true},
		"unknown field": {`{"format":1,"host":"web-1","accepted":{},"news":1}`, "news", false},
		"half a file":   {`{"format":1,"ho`, "unexpected end", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "accepted.json"), []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := openLedger(dir, host, nil)
			if err == nil || !strings.Contains(err.Error(), tc.want) || errors.Is(err, ErrForeignState) != tc.foreign {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestUnwritableLedger: what cannot be written down is not accepted, but what
// lowers is done.
func TestUnwritableLedger(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1, r2 := b.revision("1", 1), b.revision("2", 1)
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		b.assign(b.want(6, r1, r2, 5000))
		b.settled(6)
		// Root ignores modes: a file in the directory's place does not.
		if err := os.Rename(b.dir+"/d", b.dir+"/away"); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(b.dir+"/d", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		b.assign(b.want(7, r1, nil, 0))
		s := b.until("zero", 2*fence.LicenceTime, func(s wire.ServiceHealth) bool { return s.Weight == 0 && s.Problem != "" })
		if s.Epoch != 6 || !strings.Contains(s.Problem, "write accepted assignments") || len(b.names()) != 2 {
			t.Errorf("%+v", s)
		}
	})
}

func TestOneAgentForADirectory(t *testing.T) {
	dir := t.TempDir()
	release, err := durable.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Mode: Managed, Host: host, DataDir: dir, Bus: bus.Config{URLs: []string{"nats://127.0.0.1:4222"}}}
	if err := Run(t.Context(), cfg); !errors.Is(err, durable.ErrInUse) {
		t.Errorf("a second agent: %v", err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}
