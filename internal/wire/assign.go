package wire

import (
	"fmt"
	"slices"
	"strings"

	"github.com/serin-rollouts/serin/internal/rollout"
	serinv1 "github.com/serin-rollouts/serin/proto/serin/v1"
)

// EncodeAssign renders a leader's message to one agent. Durations travel as
// whole milliseconds, rounded up. What DecodeAssign would refuse is an error.
func EncodeAssign(a Assign) ([]byte, error) {
	if err := checkAssign(a); err != nil {
		return nil, fmt.Errorf("encode assign: %w", err)
	}
	m := &serinv1.Assign{
		Host: a.Host, Nonce: a.Nonce, Leader: a.Leader, Term: a.Term,
		IntervalMs: millis(a.Interval), LeaseMs: millis(a.Lease),
	}
	for _, one := range a.Assignments {
		m.Assignments = append(m.Assignments, encodeAssignment(one))
		if one.Telemetry != nil && len(m.Requires) == 0 {
			m.Requires = []string{featureTelemetry}
		}
	}
	return marshal("assign", maxReport, m)
}

// DecodeAssign reads a leader's message and refuses one that is incomplete, out
// of range, larger than 512 KiB, or that requires a feature which this agent
// does not know: carrying out a part of what is meant is worse than nothing.
func DecodeAssign(data []byte) (Assign, error) {
	var m serinv1.Assign
	if err := unmarshal("assign", maxReport, data, &m); err != nil {
		return Assign{}, err
	}
	for _, feature := range m.GetRequires() {
		if !knownFeature(feature) {
			return Assign{}, fmt.Errorf("decode assign: it requires %.64q, which this version does not know; upgrade the agent", feature)
		}
	}
	a := Assign{
		Host: m.GetHost(), Nonce: m.GetNonce(), Leader: m.GetLeader(), Term: m.GetTerm(),
		Interval: duration(m.GetIntervalMs()), Lease: duration(m.GetLeaseMs()),
	}
	for _, one := range m.GetAssignments() {
		a.Assignments = append(a.Assignments, decodeAssignment(one))
	}
	if err := checkAssign(a); err != nil {
		return Assign{}, fmt.Errorf("decode assign: %w", err)
	}
	return a, nil
}

// Private

// featureTelemetry is to gather what gates ask for: an agent that does not would
// leave them without data for ever.
const featureTelemetry = "telemetry"

// knownFeature reports whether this version can carry out an assignment that
// requires the feature. A release that adds one names it here, and names it in
// the messages that cannot do without it.
func knownFeature(name string) bool { return name == featureTelemetry }

func encodeAssignment(a rollout.Assignment) *serinv1.Assignment {
	return &serinv1.Assignment{
		Service: a.Service, Epoch: a.Epoch, Rollout: a.Rollout,
		Frontend: &serinv1.Frontend{Listen: a.Frontend.Listen, Backend: a.Frontend.Backend, Routing: string(a.Frontend.Routing)},
		Stable:   encodeRevision(a.Stable), Canary: encodeRevision(a.Canary),
		Weight: uint32(a.Weight), Prefetch: a.Prefetch, OnControlLoss: string(a.OnControlLoss),
		Telemetry: encodeWanted(a.Telemetry),
	}
}

func decodeAssignment(m *serinv1.Assignment) rollout.Assignment {
	f := m.GetFrontend()
	return rollout.Assignment{
		Service: m.GetService(), Epoch: m.GetEpoch(), Rollout: m.GetRollout(),
		Frontend: rollout.Frontend{Listen: f.GetListen(), Backend: f.GetBackend(), Routing: rollout.Routing(f.GetRouting())},
		Stable:   decodeRevision(m.GetStable()), Canary: decodeRevision(m.GetCanary()),
		Weight: small(m.GetWeight()), Prefetch: m.GetPrefetch(), OnControlLoss: rollout.OnControlLoss(m.GetOnControlLoss()),
		Telemetry: decodeWanted(m.GetTelemetry()),
	}
}

func encodeRevision(r *rollout.Revision) *serinv1.Revision {
	if r == nil {
		return nil
	}
	c := r.Container
	return &serinv1.Revision{
		Id: r.ID, Name: r.Name, Image: r.Image, Replicas: uint32(r.Replicas),
		Container: &serinv1.Container{
			Port: uint32(c.Port), Env: c.Env, EnvFile: c.EnvFile, Command: c.Command, User: c.User, Network: c.Network,
			Memory: c.Memory, CpuMilli: uint32(c.CPUMilli), StopGraceMs: millis(c.StopGrace), DrainLimitMs: millis(c.DrainLimit),
			Health: &serinv1.HealthCheck{Kind: string(c.Health.Kind), Path: c.Health.Path, TimeoutMs: millis(c.Health.Timeout)},
		},
	}
}

func decodeRevision(m *serinv1.Revision) *rollout.Revision {
	if m == nil {
		return nil
	}
	c, h := m.GetContainer(), m.GetContainer().GetHealth()
	return &rollout.Revision{
		ID: m.GetId(), Name: m.GetName(), Image: m.GetImage(), Replicas: small(m.GetReplicas()),
		Container: rollout.Container{
			Port: small(c.GetPort()), Env: c.GetEnv(), EnvFile: c.GetEnvFile(), Command: c.GetCommand(), User: c.GetUser(), Network: c.GetNetwork(),
			Memory: c.GetMemory(), CPUMilli: small(c.GetCpuMilli()), StopGrace: duration(c.GetStopGraceMs()), DrainLimit: duration(c.GetDrainLimitMs()),
			Health: rollout.Health{Kind: rollout.HealthKind(h.GetKind()), Path: h.GetPath(), Timeout: duration(h.GetTimeoutMs())},
		},
	}
}

func checkAssign(a Assign) error {
	var c check
	c.host(a.Host)
	c.token("leader", a.Leader)
	c.span("interval", a.Interval)
	c.span("lease", a.Lease)
	c.that(a.Interval > 0, "interval is missing")
	c.that(a.Lease > 0, "lease is missing")
	c.that(len(a.Assignments) <= maxServices, "there are %d assignments, at most %d are allowed", len(a.Assignments), maxServices)
	seen := make(map[string]bool, len(a.Assignments))
	for _, one := range a.Assignments {
		c.that(!seen[one.Service], "%s is there twice", about(one.Service))
		seen[one.Service] = true
		c.within(about(one.Service), checkAssignment(one))
	}
	return c.err
}

func checkAssignment(a rollout.Assignment) error {
	var c check
	c.service(a.Service)
	c.epoch(a.Epoch)
	c.token("rollout", a.Rollout)
	c.weight(a.Weight)
	c.that(a.Canary != nil || a.Weight == 0, "weight is %d without a canary", a.Weight)
	c.that(a.Canary == nil || a.Stable != nil, "canary is there without a stable revision")
	c.within("frontend", checkFrontend(a.Frontend, a.Stable != nil))
	switch a.OnControlLoss {
	case rollout.RevertOnLoss, rollout.HoldOnLoss:
	default: // a service that was never installed has no spec to take it from
		c.that(a.OnControlLoss == "" && a.Stable == nil, "on_control_loss %.80q is unknown", a.OnControlLoss)
	}
	c.that(len(a.Prefetch) <= maxPrefetch, "prefetch names %d images, at most %d are allowed", len(a.Prefetch), maxPrefetch)
	for _, image := range a.Prefetch {
		c.pinned("prefetch", image)
	}
	if a.Stable != nil {
		c.within("stable", checkRevision(a.Stable))
	}
	if a.Canary != nil {
		c.within("canary", checkRevision(a.Canary))
	}
	if a.Telemetry != nil {
		c.within("telemetry", checkWanted(*a.Telemetry))
	}
	return c.err
}

// checkFrontend wants one place to take traffic from, if anything is to run.
func checkFrontend(f rollout.Frontend, running bool) error {
	var c check
	c.size("listen", f.Listen, maxValue)
	c.size("backend", f.Backend, maxValue)
	c.that(f.Listen == "" || f.Backend == "", "listen and backend are both there")
	c.that(!running || f.Listen != "" || f.Backend != "", "listen or backend is missing")
	switch f.Routing {
	case rollout.Sticky, rollout.Weighted:
	default:
		c.that(f.Routing == "" && !running, "routing %.80q is unknown", f.Routing)
	}
	return c.err
}

func checkRevision(r *rollout.Revision) error {
	var c check
	c.that(r.ID != "", "id is missing")
	c.token("id", r.ID)
	c.size("name", r.Name, maxValue)
	c.pinned("image", r.Image)
	c.that(r.Replicas >= 1 && r.Replicas <= rollout.MaxReplicas, "replicas are out of range 1 to %d", rollout.MaxReplicas)
	c.within("container", checkContainer(r.Container))
	return c.err
}

func checkContainer(r rollout.Container) error {
	var c check
	c.that(r.Port >= 1 && r.Port <= 65535, "port is out of range 1 to 65535")
	c.table("env", r.Env, maxArgument)
	c.size("env_file", r.EnvFile, maxValue)
	c.that(len(r.Command) <= maxEntries, "command has %d arguments, at most %d are allowed", len(r.Command), maxEntries)
	for _, arg := range r.Command {
		c.size("command", arg, maxArgument)
	}
	c.token("user", r.User)
	c.token("network", r.Network)
	c.that(r.Memory >= 0, "memory is negative")
	c.number("cpu_milli", r.CPUMilli, maxNumber)
	c.span("stop_grace", r.StopGrace)
	c.span("drain_limit", r.DrainLimit)
	c.span("health.timeout", r.Health.Timeout)
	c.size("health.path", r.Health.Path, maxValue)
	kinds := []rollout.HealthKind{rollout.HTTPHealth, rollout.TCPHealth, rollout.DockerHealth}
	c.that(slices.Contains(kinds, r.Health.Kind), "health.kind %.80q is unknown", r.Health.Kind)
	return c.err
}

// pinned wants a reference to bytes, not to a name that may move.
func (c *check) pinned(field, image string) {
	c.size(field, image, maxValue)
	c.that(strings.Contains(image, "sha256:"), "%s %.80q is not pinned to a digest", field, image)
}
