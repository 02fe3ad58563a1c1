package specfile

import (
	"github.com/serin-rollouts/serin/internal/rollout"
)

// file is the rollout file as users write it.
type file struct {
	Service       string     `yaml:"service" doc:"name of the service: a-z, 0-9, - and _; a NATS subject and a HAProxy backend are called so"`
	Image         string     `yaml:"image" doc:"the image to roll out; it is pinned to a digest when the rollout starts"`
	Hosts         hosts      `yaml:"hosts" doc:"which hosts run it; all if left out"`
	Replicas      int        `yaml:"replicas" doc:"containers of a version on each host, 1 to 8; 1 if left out"`
	Listen        string     `yaml:"listen" doc:"where the agent's HAProxy takes traffic, as :8080 or 10.0.0.7:8080; the container's port if left out"`
	Backend       string     `yaml:"backend" doc:"instead of listen: a backend of a HAProxy of your own; none if left out"`
	Routing       string     `yaml:"routing" doc:"sticky keeps a user on one side by a cookie (the default, but with backend), weights splits request by request" enum:"sticky,weights"`
	Container     container  `yaml:"container" doc:"how a container runs"`
	Strategy      string     `yaml:"strategy" doc:"which steps it takes if none are given: canary 5, 25, 50, 100 % on all hosts (the default), bluegreen 0 % then 100 % for 5 minutes, rolling 10, 50, 100 % of the hosts" enum:"canary,bluegreen,rolling"`
	Pace          pace       `yaml:"pace" doc:"steps (the default), or auto: the next weight follows from the evidence; then no steps are given"`
	Steps         []step     `yaml:"steps" doc:"the path from the first host to all traffic; neither hosts nor weight ever goes back, and the last step is 100 % of both; those of strategy if left out"`
	Gates         gates      `yaml:"gates" doc:"what a rollout has to pass, and what takes it back; the one on errors if left out"`
	OnFailure     string     `yaml:"on_failure" doc:"rollback takes it back (the default); pause takes the traffic away, keeps the containers, and waits for a person" enum:"rollback,pause"`
	OnControlLoss string     `yaml:"on_control_loss" doc:"what hosts do with a canary when they hear no leader for 30 s: revert (the default) or hold" enum:"revert,hold"`
	Deadline      duration   `yaml:"deadline" doc:"from start to end; then it goes back; 1h if left out"`
	LostAfter     duration   `yaml:"lost_after" doc:"a host that says nothing for so long, while others do, is lost; 2m if left out"`
	MaxLost       *hostCount `yaml:"max_lost" doc:"when more hosts than so many are lost, on_failure holds: a count or a share; 10% if left out"`
}

type hosts struct {
	Names  []string          `yaml:"names" doc:"by name; all if neither is given"`
	Labels map[string]string `yaml:"labels" doc:"by the labels in the agents' files: all of these; all hosts if neither is given"`
}

type container struct {
	Port       int               `yaml:"port" doc:"the port on which the container listens"`
	Env        map[string]string `yaml:"env" doc:"environment variables, beside the image's own; none if left out"`
	EnvFile    string            `yaml:"env_file" doc:"a file on the host with more of them: secrets pass neither NATS nor Raft; none if left out"`
	Command    []string          `yaml:"command" doc:"in place of the image's own, which it is if left out"`
	User       string            `yaml:"user" doc:"in place of the image's own, which it is if left out"`
	Network    string            `yaml:"network" doc:"a network of Docker's that is there on each host; Docker's default if left out"`
	Memory     size              `yaml:"memory" doc:"limit, as 256m or 1g; none if left out"`
	CPUs       milli             `yaml:"cpus" doc:"limit, as 0.5 or 2; none if left out"`
	StopGrace  duration          `yaml:"stop_grace" doc:"from SIGTERM to SIGKILL; 10s if left out"`
	DrainLimit duration          `yaml:"drain_limit" doc:"for requests that are still open when a container goes; 30s if left out"`
	Health     health            `yaml:"health" doc:"when a container is ready; when its port is open, if left out"`
}

type health struct {
	Kind    string   `yaml:"kind" doc:"http if a path is given, else tcp; docker is the image's own check" enum:"http,tcp,docker"`
	Path    string   `yaml:"path" doc:"2xx or 3xx is ready; none if left out"`
	Timeout duration `yaml:"timeout" doc:"how long it may take to get ready; 30s if left out"`
}

type step struct {
	Hosts   *hostCount `yaml:"hosts" doc:"a count or a share of the hosts; 100% if left out"`
	Weight  *weight    `yaml:"weight" doc:"the canary's share of each such host's traffic; 100% if left out"`
	Hold    duration   `yaml:"hold" doc:"stay at least so long; in the last step the old version is still warm; 0s if left out"`
	Approve bool       `yaml:"approve" doc:"wait for serin promote; false if left out"`
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
