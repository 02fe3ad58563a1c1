package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/serin-rollouts/serin/internal/durable"
)

func TestWriteReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json")
	for _, want := range []string{"one", "", "three"} {
		if err := durable.Write(path, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); string(got) != want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: others may read it", info, err)
	}
	if left := names(t, filepath.Dir(path)); !slices.Equal(left, []string{"a.json"}) {
		t.Errorf("left %v", left)
	}
}

func TestErrorsSayWhere(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing", "a.json")
	_, unfinished := durable.Unfinished(missing)
	for what, err := range map[string]error{
		"write": durable.Write(missing, nil), "sync": durable.SyncDir(filepath.Dir(missing)),
		"unfinished": unfinished, "tidy": durable.Tidy(missing),
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestTidyTakesOnlyItsOwn(t *testing.T) {
	dir := t.TempDir()
	others := []string{".a.json", ".a.json.bak", ".a.json12x", ".b.json12", "a.json12"}
	for _, name := range append([]string{".a.json12", ".a.json7741"}, others...) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := durable.Tidy(filepath.Join(dir, "a.json")); err != nil {
		t.Fatal(err)
	}
	if left := names(t, dir); !slices.Equal(left, others) {
		t.Errorf("left %v, want %v", left, others)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestLockIsForOneAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	release, err := durable.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := durable.Lock(dir); !errors.Is(err, durable.ErrInUse) {
		t.Errorf("locked twice: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	again, err := durable.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again(); err != nil {
		t.Error(err)
	}
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

func TestRoom(t *testing.T) {
	free, size, err := durable.Room(t.TempDir())
	if err != nil || free <= 0 || size < free {
		t.Errorf("%d of %d bytes free, %v", free, size, err)
	}
	if _, _, err := durable.Room(filepath.Join(t.TempDir(), "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a path that is not there: %v", err)
	}
}
