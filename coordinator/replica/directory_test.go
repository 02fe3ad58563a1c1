package replica

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"pgregory.net/rapid"

	"github.com/serin-rollouts/serin/internal/porttest"
)

// usedDirectory returns the configuration of a group of one that has worked.
func usedDirectory(t *testing.T) Config {
	t.Helper()
	g := newGroup(t, 1)
	g.startAll()
	g.propose(submit("checkout", "k1"))
	if err := g.leader().raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	g.propose(submit("search", "k2"))
	g.crash("c1")
	return g.configs["c1"]
}

func TestForeignDirectoriesAreRefused(t *testing.T) {
	used := usedDirectory(t)
	write := func(cfg *Config, name, text string) {
		if err := os.WriteFile(filepath.Join(cfg.Dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name, want string
		kind       error
		change     func(*Config)
	}{
		{"of another replica", `start this one as "c1"`, ErrDirectory, func(c *Config) { c.ID, c.Peers = "c2", nil }},
		{"of a newer release", "install that release", ErrDirectory, func(c *Config) { write(c, formatFile, `{"format":2,"id":"c1"}`) }},
		{"with a torn format", "let it join", ErrDamaged, func(c *Config) { write(c, formatFile, `{"for`) }},
		{"no serin directory", "choose an empty one", ErrDirectory, func(c *Config) { remove(t, c, formatFile) }},
		{"without its store", "let it join", ErrDamaged, func(c *Config) { remove(t, c, storeFile) }},
		{"with an empty store", "let it join", ErrDamaged, func(c *Config) { write(c, storeFile, "") }},
		{"with a store cut off", "let it join", ErrDamaged, func(c *Config) { truncate(t, c, 3*int64(os.Getpagesize())) }},
		{"with a store of noise", "let it join", ErrDamaged, func(c *Config) { write(c, storeFile, strings.Repeat("noise", 20_000)) }},
		{"with a damaged snapshot", "let it join", ErrDamaged, func(c *Config) { damageSnapshot(t, c) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := used
			cfg.Dir = filepath.Join(t.TempDir(), "copy")
			if err := os.CopyFS(cfg.Dir, os.DirFS(used.Dir)); err != nil {
				t.Fatal(err)
			}
			tc.change(&cfg)
			r, err := Open(t.Context(), cfg)
			wantError(t, err, tc.want)
			if !errors.Is(err, tc.kind) {
				t.Errorf("error = %v, want %v", err, tc.kind)
			}
			if err == nil {
				t.Error(r.end(t.Context()))
			}
		})
	}
}

func TestOneProcessPerDirectory(t *testing.T) {
	g := newGroup(t, 1)
	g.startAll()
	twin := g.configs["c1"]
	twin.Listen = porttest.Address(t)
	if _, err := Open(t.Context(), twin); !errors.Is(err, ErrDirectory) {
		t.Errorf("error = %v, want ErrDirectory", err)
	}
}

// A first start that was cut off anywhere is begun again.
func TestInterruptedFirstStart(t *testing.T) {
	for name, leave := range map[string]func(dir string) error{
		"before anything": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "."+formatFile+"4711"), []byte("{"), 0o600)
		},
		"before the store": func(dir string) error {
			return writeFormat(dir, format{Format: dirFormat, ID: "c1"})
		},
		"in the store": func(dir string) error {
			return errors.Join(writeFormat(dir, format{Format: dirFormat, ID: "c1"}), os.WriteFile(filepath.Join(dir, storeFile), []byte("half"), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t, 1)
			dir := g.configs["c1"].Dir
			if err := errors.Join(os.MkdirAll(dir, 0o700), leave(dir)); err != nil {
				t.Fatal(err)
			}
			g.startAll()
			g.propose(submit("checkout", "k1"))
		})
	}
}

// Whichever bit of the store flips: it is refused, or nothing of what it holds
// has changed.
func TestFlippedBitsAreNoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), storeFile)
	want := fillStore(t, path)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused, n := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		at, bit := rapid.IntRange(0, len(good)-1).Draw(t, "at"), rapid.IntRange(0, 7).Draw(t, "bit")
		bad := bytes.Clone(good)
		bad[at] ^= 1 << bit
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		got := ""
		err := guarded(func() (err error) {
			if err = verifyPages(path); err == nil {
				got, err = readStore(path)
			}
			return err
		})
		n++
		switch {
		case err != nil:
			refused++
		case got != want:
			t.Fatalf("bit %d of byte %d flipped, and nobody noticed:\n%s\n%s", bit, at, want, got)
		}
	})
	t.Logf("%d of %d flips were in use and refused", refused, n)
}

func fillStore(t *testing.T, path string) string {
	t.Helper()
	bolt, err := raftboltdb.New(raftboltdb.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	logs, stable := checkedLogs{LogStore: bolt, found: never(t)}, checkedStable{StableStore: bolt, found: never(t)}
	for i := range uint64(40) {
		data, err := encodeEntry(submit("checkout", fmt.Sprintf("k%d", i)))
		if err == nil {
			err = logs.StoreLog(&raft.Log{Index: i + 1, Term: 3, Data: data})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	err = errors.Join(stable.SetUint64([]byte(keyTerm), 3), stable.SetUint64([]byte(keyVoteTerm), 3), stable.Set([]byte(keyVote), []byte("c2:1")), bolt.Close())
	if err != nil {
		t.Fatal(err)
	}
	content, err := readStore(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// readStore renders everything that Raft would read.
func readStore(path string) (string, error) {
	bolt, err := raftboltdb.New(raftboltdb.Options{Path: path})
	if err != nil {
		return "", err
	}
	defer func() { _ = bolt.Close() }()
	quiet := func(error) {}
	logs, stable := checkedLogs{LogStore: bolt, found: quiet}, checkedStable{StableStore: bolt, found: quiet}
	first, last, err := logs.verify()
	if err != nil {
		return "", err
	}
	term, err := stable.verify()
	if err != nil {
		return "", err
	}
	voteTerm, err1 := stable.GetUint64([]byte(keyVoteTerm))
	vote, err2 := stable.Get([]byte(keyVote))
	var text strings.Builder
	fmt.Fprintf(&text, "%d..%d term %d vote %d %s\n", first, last, term, voteTerm, vote)
	for i := first; i > 0 && i <= last; i++ {
		var l raft.Log
		if err := logs.GetLog(i, &l); err != nil {
			return "", err
		}
		fmt.Fprintf(&text, "%d %d %d %s\n", l.Index, l.Term, l.Type, l.Data)
	}
	return text.String(), errors.Join(err1, err2)
}

func remove(t *testing.T, c *Config, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(c.Dir, name)); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, c *Config, size int64) {
	t.Helper()
	if err := os.Truncate(filepath.Join(c.Dir, storeFile), size); err != nil {
		t.Fatal(err)
	}
}

func damageSnapshot(t *testing.T, c *Config) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(c.Dir, snapshotsDir, "*", "state.bin"))
	if err != nil || len(files) != 1 {
		t.Fatalf("snapshots: %v, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(files[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error = %v, want one with %q", err, want)
	}
}
