package docker

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
)

// Spec says how a container is to be. Name, Image and Labels are required.
type Spec struct {
	Name  string
	Image string // as Resolve gave it

	// Labels mark the container as ours; Create reuses a container of this
	// name only if it carries all of them.
	Labels map[string]string

	// Env wins over EnvFile, which is a file on this host, written like one
	// for `docker run --env-file`. A missing file is an error.
	Env     map[string]string
	EnvFile string

	Command []string // replaces the image's CMD
	User    string

	Memory    int64 // bytes, swap included; 0: no limit
	CPUs      int   // thousandths of a CPU; 0: no limit
	PidsLimit int64 // processes and threads; 0: no limit

	Mounts  []Mount
	Network string // "" is the default bridge; else the name of a network of this host

	StopSignal  string        // "" is the image's own, or SIGTERM
	StopTimeout time.Duration // for stops that name no grace; rounded up to seconds

	RestartPolicy string // "", no, always, unless-stopped, on-failure, on-failure:<times>

	ReadOnly        bool     // root file system
	CapAdd, CapDrop []string // like NET_ADMIN, ALL
	NoNewPrivileges bool
	Init            bool // a small init as process 1, which reaps children
}

// Mount makes something visible in a container.
type Mount struct {
	Source   string // an absolute path of this host, the name of a volume, or "" for a tmpfs
	Target   string // an absolute path in the container
	ReadOnly bool
}

// Private

// validate finds what the daemon would accept and serin could not work with.
func (s Spec) validate() error {
	switch {
	case s.Name == "":
		return errors.New("no Name given")
	case s.Image == "":
		return errors.New("no Image given")
	case len(s.Labels) == 0:
		return errors.New("no Labels given: a container without them could never be found again")
	case s.Memory < 0 || s.CPUs < 0 || s.PidsLimit < 0:
		return errors.New("negative Memory, CPUs or PidsLimit")
	}
	if mode := container.NetworkMode(s.Network); mode.IsHost() || mode.IsNone() || mode.IsContainer() {
		return fmt.Errorf("network %q gives the container no address of its own, by which HAProxy could reach it: use a bridge", s.Network)
	}
	for _, m := range s.Mounts {
		if !strings.HasPrefix(m.Target, "/") {
			return fmt.Errorf("mount target %q is not an absolute path", m.Target)
		}
	}
	return nil
}

// configs writes the specification in Docker's words. env is complete.
func (s Spec) configs(env []string) (*container.Config, *container.HostConfig, *network.NetworkingConfig, error) {
	restart, err := parseRestart(s.RestartPolicy)
	if err != nil {
		return nil, nil, nil, err
	}
	config := &container.Config{
		Image:      s.Image,
		Labels:     s.Labels,
		Env:        env,
		Cmd:        s.Command,
		User:       s.User,
		StopSignal: s.StopSignal,
	}
	if s.StopTimeout > 0 {
		config.StopTimeout = new(wholeSeconds(s.StopTimeout))
	}
	host := &container.HostConfig{
		NetworkMode:    container.NetworkMode(s.Network),
		RestartPolicy:  restart,
		ReadonlyRootfs: s.ReadOnly,
		CapAdd:         s.CapAdd,
		CapDrop:        s.CapDrop,
		Mounts:         s.mounts(),
		Resources: container.Resources{
			Memory: s.Memory,
			// Without this a leaking container swaps, and slows all others,
			// for as long again before it is killed.
			MemorySwap: s.Memory,
			NanoCPUs:   int64(s.CPUs) * 1_000_000,
		},
	}
	if s.PidsLimit > 0 {
		host.PidsLimit = &s.PidsLimit
	}
	if s.NoNewPrivileges {
		host.SecurityOpt = []string{"no-new-privileges"}
	}
	if s.Init {
		host.Init = &s.Init
	}
	var nets *network.NetworkingConfig
	if host.NetworkMode.IsUserDefined() && s.Network != "" {
		nets = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{s.Network: {}}}
	}
	return config, host, nets, nil
}

func (s Spec) mounts() []mount.Mount {
	var all []mount.Mount
	for _, m := range s.Mounts {
		kind := mount.TypeVolume
		switch {
		case m.Source == "":
			kind = mount.TypeTmpfs
		case strings.HasPrefix(m.Source, "/"):
			kind = mount.TypeBind
		}
		all = append(all, mount.Mount{Type: kind, Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly})
	}
	return all
}

// environment is the file's variables, overruled by those of Env, sorted.
func (s Spec) environment() ([]string, error) {
	merged := map[string]string{}
	if s.EnvFile != "" {
		fromFile, err := readEnvFile(s.EnvFile)
		if err != nil {
			return nil, err
		}
		merged = fromFile
	}
	maps.Copy(merged, s.Env)
	env := make([]string, 0, len(merged))
	for _, name := range slices.Sorted(maps.Keys(merged)) {
		env = append(env, name+"="+merged[name])
	}
	return env, nil
}

func parseRestart(text string) (container.RestartPolicy, error) {
	mode, times, limited := strings.Cut(text, ":")
	policy := container.RestartPolicy{Name: container.RestartPolicyMode(mode)}
	if limited {
		n, err := strconv.Atoi(times)
		if err != nil || n < 0 {
			return policy, fmt.Errorf("RestartPolicy %q: want a number after the colon", text)
		}
		policy.MaximumRetryCount = n
	}
	if err := container.ValidateRestartPolicy(policy); err != nil {
		return policy, fmt.Errorf("RestartPolicy %q: %w", text, err)
	}
	return policy, nil
}

// wholeSeconds rounds up: a grace of 300 ms is not none.
func wholeSeconds(d time.Duration) int {
	return int(math.Ceil(d.Seconds()))
}
