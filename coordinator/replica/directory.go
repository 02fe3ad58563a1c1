package replica

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/serin-rollouts/serin/internal/durable"
)

// What a replica's directory holds.
const (
	formatFile    = "format.json"
	storeFile     = "raft.db"
	snapshotsDir  = "snapshots"
	dirFormat     = 1
	snapshotsKept = 2
)

// format is the content of format.json: whose directory this is.
type format struct {
	Format int    `json:"format"`
	ID     string `json:"id"`
	// Ready is set once the store has been made: from then on a missing store
	// is damage, not the crash of a first start.
	Ready bool `json:"ready,omitempty"`
}

// Claim makes dir the directory of replica id, or checks that it is; Open does
// so too. Who keeps other state beside it asks before touching that.
func Claim(dir, id string) error {
	_, err := claimDirectory(dir, id)
	return err
}

// claimDirectory makes dir the directory of replica id, or checks that it is.
// It reports whether the directory has been in use before.
func claimDirectory(dir, id string) (used bool, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, fmt.Errorf("make directory: %w", err)
	}
	found, err := readFormat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := wantEmpty(dir); err != nil {
			return false, err
		}
		return false, writeFormat(dir, format{Format: dirFormat, ID: id})
	case err != nil:
		return false, err
	case found.Format > dirFormat:
		return false, fmt.Errorf("%w: %s was written by a newer release (format %d, this one knows %d): install that release or a newer one",
			ErrDirectory, dir, found.Format, dirFormat)
	case found.ID != id:
		return false, fmt.Errorf("%w: %s belongs to replica %q, not %q: give each replica a directory of its own, or start this one as %q",
			ErrDirectory, dir, found.ID, id, found.ID)
	case !found.Ready:
		return false, nil
	}
	if _, err := os.Stat(filepath.Join(dir, storeFile)); err != nil {
		return true, damaged(dir, err)
	}
	return true, nil
}

// damaged says that the directory cannot be used any more, and the way back.
func damaged(dir string, cause error) error {
	if !errors.Is(cause, ErrDamaged) {
		cause = fmt.Errorf("%w: %w", ErrDamaged, cause)
	}
	return fmt.Errorf("directory %s: %w; if the other replicas are well: remove this one from the group, move the directory away, "+
		"and let it join with an empty one under a new id", dir, cause)
}

// Private

func readFormat(dir string) (format, error) {
	var f format
	data, err := os.ReadFile(filepath.Join(dir, formatFile))
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(data, &f); err != nil || f.Format < 1 || f.ID == "" {
		return f, damaged(dir, fmt.Errorf("%s makes no sense", formatFile))
	}
	return f, nil
}

// wantEmpty refuses a directory that somebody else may be using.
func wantEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read directory: %w", err)
	}
	left, err := durable.Unfinished(filepath.Join(dir, formatFile))
	if err != nil {
		return err
	}
	foreign := slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return !slices.Contains(left, filepath.Join(dir, e.Name()))
	})
	if foreign {
		return fmt.Errorf("%w: %s is not empty and has no %s, so it is no serin directory: choose an empty one, or one that a replica has made",
			ErrDirectory, dir, formatFile)
	}
	return nil
}

// writeFormat replaces format.json so that a crash leaves the old or the new.
func writeFormat(dir string, f format) error {
	data, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode %s: %w", formatFile, err)
	}
	if err := durable.Write(filepath.Join(dir, formatFile), append(data, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", formatFile, err)
	}
	return nil
}
