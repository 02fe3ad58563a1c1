package durable

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Room returns how many bytes the file system of a path has in all, and how many
// of them who is not root can still write.
func Room(path string) (free, size int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, 0, fmt.Errorf("room on the disk of %s: %w", path, err)
	}
	block := int64(s.Bsize) //nolint:unconvert // not of this type on every platform
	return int64(s.Bavail) * block, int64(s.Blocks) * block, nil
}
