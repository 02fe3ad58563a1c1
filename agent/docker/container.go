package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"golang.org/x/sync/errgroup"
)

// inspectAtOnce bounds how many containers of one List are inspected at the
// same time.
const inspectAtOnce = 4

// State is what a container does, in Docker's words.
type State string

// The states of a container. A container is left in StateCreated if the
// daemon or the agent dies between its creation and its start.
const (
	StateCreated    State = "created"
	StateRunning    State = "running"
	StatePaused     State = "paused"
	StateRestarting State = "restarting"
	StateExited     State = "exited"
	StateDead       State = "dead"
	StateRemoving   State = "removing"
)

// Container is one container as the daemon described it.
type Container struct {
	ID      string // 64 hexadecimal digits
	Name    string // without the leading slash
	Image   string // the reference it was created from
	ImageID string // sha256:<id of the image>

	// Labels are those given at creation and those of the image.
	Labels map[string]string

	State  State
	Health string // of the image's HEALTHCHECK: "", starting, healthy, unhealthy

	// IP is its address in its Docker network. It is invalid unless the
	// container runs, and belongs to another one soon after it has stopped.
	IP netip.Addr

	ExitCode  int
	OOMKilled bool
	Restarts  int // how often the daemon restarted it by its restart policy

	StartedAt, FinishedAt time.Time // by the daemon's wall clock; zero if never
}

// List returns all containers, in every state, that have all these labels with
// these values, sorted by name. It makes one call for the list and one for each
// container found. An empty set of labels is refused, since it would name
// containers of strangers.
func (e *Engine) List(ctx context.Context, labels map[string]string) ([]Container, error) {
	args, err := byLabels(labels)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var found []container.Summary
	err = e.call(ctx, e.cfg.CallTimeout, "list containers", func(ctx context.Context, s *session) error {
		var err error
		found, err = s.ContainerList(ctx, container.ListOptions{All: true, Filters: args})
		return err
	})
	if err != nil {
		return nil, err
	}
	list, err := e.inspectAll(ctx, found)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b Container) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// Private

// byLabels is the filter for containers that have all these labels.
func byLabels(labels map[string]string) (filters.Args, error) {
	if len(labels) == 0 {
		return filters.Args{}, errors.New("no labels given: serin touches only containers that carry its own")
	}
	args := filters.NewArgs()
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		args.Add("label", k+"="+labels[k])
	}
	return args, nil
}

// inspectAll leaves out what has vanished since it was listed.
func (e *Engine) inspectAll(ctx context.Context, found []container.Summary) ([]Container, error) {
	seen := make([]Container, len(found))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(inspectAtOnce)
	for i, c := range found {
		g.Go(func() error {
			got, err := e.inspect(gctx, c.ID)
			if errors.Is(err, ErrNotFound) {
				return nil
			}
			seen[i] = got
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(seen, func(c Container) bool { return c.ID == "" }), nil
}

// inspect describes one container, by id or name.
func (e *Engine) inspect(ctx context.Context, id string) (Container, error) {
	raw, err := e.inspectRaw(ctx, id)
	if err != nil {
		return Container{}, err
	}
	return describe(raw), nil
}

func (e *Engine) inspectRaw(ctx context.Context, id string) (container.InspectResponse, error) {
	var raw container.InspectResponse
	what := "inspect container " + id
	err := e.call(ctx, e.cfg.CallTimeout, what, func(ctx context.Context, s *session) error {
		var err error
		raw, err = s.ContainerInspect(ctx, id)
		return err
	})
	if err == nil && (raw.ContainerJSONBase == nil || raw.State == nil || raw.Config == nil) {
		err = fmt.Errorf("%s: the daemon's answer lacks the state or the configuration", what)
	}
	return raw, err
}

func describe(raw container.InspectResponse) Container {
	c := Container{
		ID:         raw.ID,
		Name:       strings.TrimPrefix(raw.Name, "/"),
		Image:      raw.Config.Image,
		ImageID:    raw.Image,
		Labels:     raw.Config.Labels,
		State:      State(raw.State.Status),
		IP:         addressOf(raw),
		ExitCode:   raw.State.ExitCode,
		OOMKilled:  raw.State.OOMKilled,
		Restarts:   raw.RestartCount,
		StartedAt:  instant(raw.State.StartedAt),
		FinishedAt: instant(raw.State.FinishedAt),
	}
	if h := raw.State.Health; h != nil && h.Status != container.NoHealthcheck {
		c.Health = h.Status
	}
	return c
}

// addressOf prefers the network that the container was created in over those
// that it was connected to later.
func addressOf(raw container.InspectResponse) netip.Addr {
	if raw.NetworkSettings == nil {
		return netip.Addr{}
	}
	nets := raw.NetworkSettings.Networks
	home := network.NetworkBridge
	if raw.HostConfig != nil && !raw.HostConfig.NetworkMode.IsDefault() {
		home = raw.HostConfig.NetworkMode.NetworkName()
	}
	names := append([]string{home}, slices.Sorted(maps.Keys(nets))...)
	for _, name := range names {
		end := nets[name]
		if end == nil {
			continue
		}
		for _, text := range []string{end.IPAddress, end.GlobalIPv6Address} {
			if ip, err := netip.ParseAddr(text); err == nil {
				return ip
			}
		}
	}
	return netip.Addr{}
}

// instant is zero for what the daemon writes for "never".
func instant(text string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || at.Year() <= 1 {
		return time.Time{}
	}
	return at
}
