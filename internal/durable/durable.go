// Package durable writes files that outlive a power cut: what is read afterwards
// is the content before a write or the one after it, never a part.
package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
)

const fileMode = 0o600

// Write replaces a file. When it returns nil the new content is on the disk under
// that name. A crash may leave a file beside it, see Unfinished.
func Write(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := renameio.WriteFile(path, data, fileMode, renameio.WithTempDir(dir)); err != nil {
		return err
	}
	return SyncDir(dir)
}

// SyncDir makes the names in a directory, as they are now, outlive a power cut.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// Unfinished returns the paths of what crashes in the middle of Write have left
// beside the file: nobody needs them.
func Unfinished(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("look for unfinished files: %w", err)
	}
	var left []string
	for _, e := range entries {
		// As renameio names them: a dot before the name, a number behind it.
		number, ok := strings.CutPrefix(e.Name(), "."+filepath.Base(path))
		if ok && number != "" && strings.Trim(number, "0123456789") == "" {
			left = append(left, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	return left, nil
}

// Tidy removes what Unfinished finds.
func Tidy(path string) error {
	left, err := Unfinished(path)
	if err != nil {
		return err
	}
	for _, file := range left {
		if err := os.Remove(file); err != nil {
			return fmt.Errorf("remove unfinished file: %w", err)
		}
	}
	return nil
}
