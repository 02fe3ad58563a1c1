package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
)

// Create makes a container, without starting it, and returns its id. If one of
// that name with all the Spec's labels exists, in whatever state, that one is
// returned as it is: a caller that changes a specification changes a label. A
// stranger of that name is ErrNameTaken; an image or network that is not here
// is ErrNotFound. If ctx ends meanwhile it may take some seconds longer.
func (e *Engine) Create(ctx context.Context, spec Spec) (string, error) {
	what := "create container " + spec.Name
	if err := spec.validate(); err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	env, err := spec.environment()
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	config, host, nets, err := spec.configs(env)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	ctx, done := lingering(ctx)
	defer done()
	var made container.CreateResponse
	err = e.call(ctx, slowFactor*e.cfg.CallTimeout, what, func(ctx context.Context, s *session) error {
		var err error
		made, err = s.ContainerCreate(ctx, config, host, nets, nil, spec.Name)
		return err
	})
	if errdefs.IsConflict(err) {
		return e.reuse(ctx, spec, err)
	}
	if err != nil {
		return "", err
	}
	for _, warning := range made.Warnings {
		e.cfg.Log.Debug().Str("container", spec.Name).Str("warning", warning).Msg("Docker warns")
	}
	return made.ID, nil
}

// Start makes a container run. One that runs already is left alone.
func (e *Engine) Start(ctx context.Context, id string) error {
	return e.call(ctx, slowFactor*e.cfg.CallTimeout, "start container "+id, func(ctx context.Context, s *session) error {
		return s.ContainerStart(ctx, id, container.StartOptions{})
	})
}

// Stop sends the container's stop signal and, if it still runs after grace
// (rounded up to seconds), kills it. It returns when the container has
// stopped. One that does not run, or does not exist, is fine. Its restart
// policy does not bring it back.
func (e *Engine) Stop(ctx context.Context, id string, grace time.Duration) error {
	seconds := wholeSeconds(max(grace, 0))
	limit := time.Duration(seconds)*time.Second + e.cfg.CallTimeout
	err := e.call(ctx, limit, "stop container "+id, func(ctx context.Context, s *session) error {
		return s.ContainerStop(ctx, id, container.StopOptions{Timeout: &seconds})
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Remove kills a container if it runs, and deletes it with its anonymous
// volumes. One that does not exist, or is being removed, is fine.
func (e *Engine) Remove(ctx context.Context, id string) error {
	err := e.call(ctx, slowFactor*e.cfg.CallTimeout, "remove container "+id, func(ctx context.Context, s *session) error {
		return s.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	})
	if errors.Is(err, ErrNotFound) || errdefs.IsConflict(err) {
		return nil
	}
	return err
}

// Private

// lingerFor is how much longer than its caller a call waits that Docker carries out
// in any case.
const lingerFor = 5 * time.Second

// lingering is ctx, but ends later: Docker makes a container also where nobody waits
// for it any more. An agent that went away at once could not know of the container,
// and whoever cleans up after the agent may look before it is there.
func lingering(ctx context.Context) (context.Context, func()) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	leave := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(lingerFor):
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() {
		leave()
		cancel()
	}
}

// reuse looks at the container that has the name already.
func (e *Engine) reuse(ctx context.Context, spec Spec, conflict error) (string, error) {
	there, err := e.inspect(ctx, spec.Name)
	if errors.Is(err, ErrNotFound) {
		return "", fmt.Errorf("%w: and it has vanished meanwhile: try again", conflict)
	}
	if err != nil {
		return "", fmt.Errorf("create container %s: its name is in use: %w", spec.Name, err)
	}
	for k, want := range spec.Labels {
		if got, ok := there.Labels[k]; !ok || got != want {
			return "", fmt.Errorf("create container %s: %w: container %.12s (%s, image %s) has not our label %s=%s: rename or remove it",
				spec.Name, ErrNameTaken, there.ID, there.State, there.Image, k, want)
		}
	}
	if there.State == StateRemoving || there.State == StateDead {
		return "", fmt.Errorf("%w: and its holder is %s: try again", conflict, there.State)
	}
	return there.ID, nil
}
