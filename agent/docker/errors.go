package docker

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"
)

var (
	// ErrUnavailable says that the daemon does not answer: it is away, hangs,
	// or may not be reached by this user. Trying again later may help.
	ErrUnavailable = errors.New("no answer from Docker")

	// ErrNotFound says that the daemon knows no such container, image or
	// network.
	ErrNotFound = errors.New("not found")

	// ErrNameTaken says that a container of the wanted name exists and is not
	// ours to reuse: it has other labels.
	ErrNameTaken = errors.New("container name is taken")

	// ErrPull says that an image could not be brought to this host.
	ErrPull = errors.New("image not pulled")
)

// Private

// sorted gives an error of the SDK its place among the errors of this package,
// keeps the daemon's words, and says what can be done where that is known.
func sorted(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w: run the agent as root or as a member of the group docker", ErrUnavailable, err)
	case client.IsErrConnectionFailed(err):
		return fmt.Errorf("%w: %w: start it (`systemctl start docker`), or check the configured address", ErrUnavailable, err)
	case errdefs.IsUnavailable(err):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case errdefs.IsNotFound(err):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}
