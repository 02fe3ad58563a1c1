package sim

import (
	"fmt"
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// version is how the program in an image behaves. A healed world has only good
// ones.
type version struct {
	image    string
	number   int
	errors   float64       // share of its requests
	boot     time.Duration // from start until it is ready
	never    bool          // it never gets ready
	missing  bool          // no registry has it
	dies     time.Duration // so long after its start it ends; 0: never
	oddHost  string        // where alone it is that bad, or ends; "": everywhere
	hopeless bool          // so bad that no test may let it pass
}

// versions is the registry of images.
type versions struct {
	w      *world
	chance chance
	all    map[string]*version
}

const (
	goodErrors = 0.001
	badErrors  = 0.4
)

func newVersions(w *world) *versions {
	return &versions{w: w, chance: w.chance("versions"), all: map[string]*version{}}
}

// push makes a new version; the first one of a service is good.
func (v *versions) push(good bool) *version {
	n := len(v.all) + 1
	made := &version{
		image: fmt.Sprintf("sha256:%064d", n), number: n, errors: goodErrors, boot: v.chance.between(50*time.Millisecond, 3*time.Second),
	}
	if v.chance.float() < v.w.mix.hostile && !good {
		v.spoil(made)
	}
	v.all[made.image] = made
	return made
}

// errorsOn is the share of requests that it answers with an error on a host.
func (v *version) errorsOn(host string) float64 {
	if v.oddHost != "" && v.oddHost != host {
		return goodErrors
	}
	return v.errors
}

// diesOn is so long after its start that it ends on a host; 0: never.
func (v *version) diesOn(host string) time.Duration {
	if v.oddHost != "" && v.oddHost != host {
		return 0
	}
	return v.dies
}

// Private

func (v *versions) spoil(made *version) {
	switch v.chance.below(8) {
	case 0, 1:
		made.errors, made.hopeless = badErrors, true
	case 2:
		made.errors = 0.02
	case 3:
		made.never = true
	case 4:
		made.dies = v.chance.between(2*time.Second, 2*time.Minute)
		made.oddHost = pick(&v.chance, "", v.someHost())
	case 5:
		made.missing = true
	default:
		made.errors, made.oddHost = badErrors, v.someHost()
	}
}

func (v *versions) someHost() string { return hostName(v.chance.below(v.w.mix.hosts)) }

// heal makes all programs good ones.
func (v *versions) heal() {
	for _, made := range v.all {
		made.errors, made.never, made.missing, made.dies, made.oddHost = goodErrors, false, false, 0, ""
	}
}

// specOf draws a rollout file for a service.
func (v *versions) specOf(c *chance, service string, made *version) rollout.Spec {
	all := rollout.HostCount{Share: rollout.Full}
	one := rollout.HostCount{Count: 1}
	spec := rollout.Spec{
		Service: service, Image: fmt.Sprintf("%s:%d", service, made.number), Replicas: 1 + c.below(2),
		Container: rollout.Container{
			Port: 8080, StopGrace: time.Second, DrainLimit: 10 * time.Second,
			Health: rollout.Health{Kind: rollout.HTTPHealth, Path: pick(c, "/healthz", "/healthz", "/ready"), Timeout: 15 * time.Second},
		},
		Strategy: pick(c, rollout.Canary, rollout.Canary, rollout.BlueGreen, rollout.Rolling),
		Steps: pick(c, nil,
			[]rollout.Step{{Hosts: one, Weight: 500}, {Hosts: all, Weight: 2500, Hold: 20 * time.Second}, {Hosts: all, Weight: rollout.Full}},
			[]rollout.Step{{Hosts: all, Weight: 1000}, {Hosts: all, Weight: 3000, Approve: true}, {Hosts: all, Weight: 5000}, {Hosts: all, Weight: rollout.Full, Hold: time.Minute}},
			[]rollout.Step{{Hosts: one, Weight: rollout.Full, Hold: 10 * time.Second}, {Hosts: all, Weight: rollout.Full, Hold: 5 * time.Second}},
		),
		OnFailure:     pick(c, rollout.RollBackOnFailure, rollout.RollBackOnFailure, rollout.PauseOnFailure),
		OnControlLoss: pick(c, rollout.RevertOnLoss, rollout.RevertOnLoss, rollout.HoldOnLoss),
		LostAfter:     pick(c, 10*time.Second, 30*time.Second, 2*time.Minute),
		MaxLost:       pick(c, nil, &rollout.HostCount{Count: 1}, &rollout.HostCount{Share: 5000}, &rollout.HostCount{}),
		Deadline:      c.between(2*time.Minute, 20*time.Minute).Truncate(time.Second),
		Gates: rollout.Gates{
			Errors:  pick(c, &rollout.ErrorsGate{MaxIncrease: 100}, &rollout.ErrorsGate{MaxIncrease: 100}, nil),
			OneHost: pick(c, rollout.ExcludeHost, rollout.PauseForHost, rollout.FailForHost),
		},
	}
	if c.below(6) == 0 {
		spec.Pace, spec.Steps, spec.Strategy = rollout.AutoPace, nil, rollout.Canary
		spec.Auto = &rollout.Auto{Regression: 500, Exposure: 50}
		spec.Gates.Errors = &rollout.ErrorsGate{MaxIncrease: 100}
	}
	spec = spec.WithDefaults()
	if problem := spec.Validate(); problem != nil && problem.Field == "deadline" {
		spec.Deadline += 10 * time.Minute // the preset holds for longer
	}
	return spec
}
