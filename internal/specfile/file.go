package specfile

import (
	"github.com/serin-rollouts/serin/internal/rollout"
)

// file is the rollout file as users write it.
type file struct {
	Service       string     `yaml:"service"`
	Image         string     `yaml:"image"`
	Hosts         hosts      `yaml:"hosts"`
	Replicas      int        `yaml:"replicas"`
	Listen        string     `yaml:"listen"`
	Backend       string     `yaml:"backend"`
	Routing       string     `yaml:"routing"`
	Container     container  `yaml:"container"`
	Strategy      string     `yaml:"strategy"`
	Pace          pace       `yaml:"pace"`
	Steps         []step     `yaml:"steps"`
	Gates         gates      `yaml:"gates"`
	OnFailure     string     `yaml:"on_failure"`
	OnControlLoss string     `yaml:"on_control_loss"`
	Deadline      duration   `yaml:"deadline"`
	LostAfter     duration   `yaml:"lost_after"`
	MaxLost       *hostCount `yaml:"max_lost"`
}

type hosts struct {
	Names  []string          `yaml:"names"`
	Labels map[string]string `yaml:"labels"`
}

type container struct {
	Port       int               `yaml:"port"`
	Env        map[string]string `yaml:"env"`
	EnvFile    string            `yaml:"env_file"`
	Command    []string          `yaml:"command"`
	User       string            `yaml:"user"`
	Network    string            `yaml:"network"`
	Memory     size              `yaml:"memory"`
	CPUs       milli             `yaml:"cpus"`
	StopGrace  duration          `yaml:"stop_grace"`
	DrainLimit duration          `yaml:"drain_limit"`
	Health     health            `yaml:"health"`
}

type health struct {
	Kind    string   `yaml:"kind"`
	Path    string   `yaml:"path"`
	Timeout duration `yaml:"timeout"`
}

type step struct {
	Hosts   *hostCount `yaml:"hosts"`
	Weight  *weight    `yaml:"weight"`
	Hold    duration   `yaml:"hold"`
	Approve bool       `yaml:"approve"`
}

// Private

// spec converts what the file says, before defaults.
func (f file) spec() rollout.Spec {
	c := f.Container
	pace, auto := f.Pace.domain()
	return rollout.Spec{
		Service: f.Service, Image: f.Image, Replicas: f.Replicas,
		Hosts:    rollout.Selector{Names: f.Hosts.Names, Labels: f.Hosts.Labels},
		Frontend: rollout.Frontend{Listen: f.Listen, Backend: f.Backend, Routing: rollout.Routing(f.Routing)},
		Container: rollout.Container{
			Port: c.Port, Env: c.Env, EnvFile: c.EnvFile, Command: c.Command, User: c.User, Network: c.Network,
			Memory: int64(c.Memory), CPUMilli: int(c.CPUs),
			StopGrace: c.StopGrace.value(), DrainLimit: c.DrainLimit.value(),
			Health: rollout.Health{Kind: rollout.HealthKind(c.Health.Kind), Path: c.Health.Path, Timeout: c.Health.Timeout.value()},
		},
		Strategy: rollout.Strategy(f.Strategy), Pace: pace, Auto: auto, Steps: f.steps(), Gates: f.Gates.domain(),
		OnFailure: rollout.OnFailure(f.OnFailure), OnControlLoss: rollout.OnControlLoss(f.OnControlLoss),
		Deadline: f.Deadline.value(), LostAfter: f.LostAfter.value(), MaxLost: (*rollout.HostCount)(f.MaxLost),
	}
}

// steps converts the steps; what a step leaves out is 100 %.
func (f file) steps() []rollout.Step {
	var steps []rollout.Step
	for _, s := range f.Steps {
		one := rollout.Step{
			Hosts: rollout.HostCount{Share: rollout.Full}, Weight: rollout.Full,
			Hold: s.Hold.value(), Approve: s.Approve,
		}
		if s.Hosts != nil {
			one.Hosts = rollout.HostCount(*s.Hosts)
		}
		if s.Weight != nil {
			one.Weight = int(*s.Weight)
		}
		steps = append(steps, one)
	}
	return steps
}
