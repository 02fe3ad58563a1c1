package durable

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrInUse means that another process keeps its state in a directory.
var ErrInUse = errors.New("directory is in use")

// Lock makes a directory, if it is missing, this caller's alone until release or
// the end of the process, however it ends. Whoever comes second gets ErrInUse.
func Lock(dir string) (release func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("lock directory: %w", err)
	}
	err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = fmt.Errorf("%w: another process works in %s: stop that one, or choose another directory", ErrInUse, dir)
	case err != nil:
		err = fmt.Errorf("lock directory %s: %w", dir, err)
	default:
		return d.Close, nil
	}
	return nil, errors.Join(err, d.Close())
}
