package wire

import (
	"fmt"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
	serinv1 "github.com/serin-rollouts/serin/proto/serin/v1"
)

// EncodeHealth renders a report. Words for people (Death, problems, Doing) are
// cut to 1 KiB; anything else that DecodeHealth would refuse is an error here.
func EncodeHealth(h Health) ([]byte, error) {
	if err := checkHealth(h); err != nil {
		return nil, fmt.Errorf("encode health: %w", err)
	}
	m := &serinv1.Health{
		Host: h.Host, Version: h.Version, Nonce: h.Nonce, Sequence: h.Sequence, Started: h.Started, Run: h.Run,
		Labels: h.Labels, Docker: h.Docker, Haproxy: h.HAProxy, WallMs: h.Wall, MarkNs: int64(h.Mark),
	}
	if k := h.Checks; k != nil {
		m.Checks = &serinv1.Checks{
			DockerProblem: text(k.DockerProblem), HaproxyProblem: text(k.HAProxyProblem), DiskFree: k.DiskFree, DiskSize: k.DiskSize,
		}
	}
	for _, s := range h.Services {
		m.Services = append(m.Services, encodeServiceHealth(s))
	}
	return marshal("health", maxReport, m)
}

// DecodeHealth reads a report and refuses one that no agent would send: names
// that are none, weights beyond 10000, negative counts, an unknown cause, a
// service twice, more than 512 KiB. Telemetry that is none is left out of it:
// see TelemetryProblem.
func DecodeHealth(data []byte) (Health, error) {
	var m serinv1.Health
	if err := unmarshal("health", maxReport, data, &m); err != nil {
		return Health{}, err
	}
	h := Health{
		Host: m.GetHost(), Version: m.GetVersion(), Nonce: m.GetNonce(), Sequence: m.GetSequence(), Started: m.GetStarted(), Run: m.GetRun(),
		Labels: m.GetLabels(), Docker: m.GetDocker(), HAProxy: m.GetHaproxy(), Wall: m.GetWallMs(),
		Mark: time.Duration(m.GetMarkNs()),
	}
	if k := m.GetChecks(); k != nil {
		h.Checks = &Checks{
			DockerProblem: text(k.GetDockerProblem()), HAProxyProblem: text(k.GetHaproxyProblem()), DiskFree: k.GetDiskFree(), DiskSize: k.GetDiskSize(),
		}
	}
	for _, s := range m.GetServices() {
		h.Services = append(h.Services, decodeServiceHealth(s))
	}
	if err := checkHealth(h); err != nil {
		return Health{}, fmt.Errorf("decode health: %w", err)
	}
	return h, nil
}

// Private

func encodeServiceHealth(s ServiceHealth) *serinv1.ServiceHealth {
	m := &serinv1.ServiceHealth{
		Service: s.Service, Epoch: s.Epoch, Settled: s.Settled, HasImage: s.HasImage, Weight: uint32(s.Weight),
		Stable: s.Stable, Canary: s.Canary, StableReady: uint32(s.StableReady), CanaryReady: uint32(s.CanaryReady),
		Deaths: uint32(s.Deaths), Death: text(s.Death), Problem: text(s.Problem), Cause: string(s.Cause), Fatal: s.Fatal,
		Doing: text(s.Doing), WantsRaise: s.WantsRaise, Incarnation: s.Incarnation,
		CanaryCounts: encodeCounts(s.CanaryCounts), CanaryInstances: uint32(s.CanaryInstances),
	}
	if len(s.StableCounts) > 0 {
		m.StableCounts = make(map[string]*serinv1.Counts, len(s.StableCounts))
		for instance, n := range s.StableCounts {
			m.StableCounts[instance] = encodeCounts(n)
		}
	}
	encodeTelemetry(s, m)
	return m
}

func decodeServiceHealth(m *serinv1.ServiceHealth) ServiceHealth {
	s := ServiceHealth{
		Service: m.GetService(), Epoch: m.GetEpoch(), Settled: m.GetSettled(), HasImage: m.GetHasImage(), Weight: small(m.GetWeight()),
		Stable: m.GetStable(), Canary: m.GetCanary(), StableReady: small(m.GetStableReady()), CanaryReady: small(m.GetCanaryReady()),
		Deaths: small(m.GetDeaths()), Death: text(m.GetDeath()), Problem: text(m.GetProblem()), Cause: rollout.Cause(m.GetCause()), Fatal: m.GetFatal(),
		Doing: text(m.GetDoing()), WantsRaise: m.GetWantsRaise(), Incarnation: m.GetIncarnation(),
		CanaryCounts: decodeCounts(m.GetCanaryCounts()), CanaryInstances: small(m.GetCanaryInstances()),
	}
	if len(m.GetStableCounts()) > 0 {
		s.StableCounts = make(map[string]analysis.Counts, len(m.GetStableCounts()))
		for instance, n := range m.GetStableCounts() {
			s.StableCounts[instance] = decodeCounts(n)
		}
	}
	decodeTelemetry(m, &s)
	return s
}

func encodeCounts(n analysis.Counts) *serinv1.Counts {
	if n == (analysis.Counts{}) {
		return nil
	}
	return &serinv1.Counts{Requests: n.Requests, Errors: n.Errors}
}

func decodeCounts(m *serinv1.Counts) analysis.Counts {
	return analysis.Counts{Requests: m.GetRequests(), Errors: m.GetErrors()}
}

func checkHealth(h Health) error {
	var c check
	c.host(h.Host)
	c.token("version", h.Version)
	c.token("started", h.Started)
	c.token("docker", h.Docker)
	c.token("haproxy", h.HAProxy)
	c.table("labels", h.Labels, maxValue)
	c.that(h.Mark >= 0, "mark is negative")
	c.that(h.Checks == nil || h.Checks.DiskFree >= 0 && h.Checks.DiskSize >= 0, "disk is negative")
	c.that(len(h.Services) <= maxServices, "there are %d services, at most %d are allowed", len(h.Services), maxServices)
	seen := make(map[string]bool, len(h.Services))
	for _, s := range h.Services {
		c.that(!seen[s.Service], "%s is there twice", about(s.Service))
		seen[s.Service] = true
		c.within(about(s.Service), checkServiceHealth(s))
	}
	return c.err
}

func checkServiceHealth(s ServiceHealth) error {
	var c check
	c.service(s.Service)
	c.weight(s.Weight)
	c.token("stable", s.Stable)
	c.token("canary", s.Canary)
	c.token("incarnation", s.Incarnation)
	c.number("stable_ready", s.StableReady, maxInstances)
	c.number("canary_ready", s.CanaryReady, maxInstances)
	c.number("canary_instances", s.CanaryInstances, maxInstances)
	c.number("deaths", s.Deaths, maxNumber)
	c.that(s.Cause == "" || knownCause(s.Cause), "cause %.80q is unknown", s.Cause)
	c.counts("canary_counts", s.CanaryCounts)
	c.that(len(s.StableCounts) <= maxInstances, "there are %d stable instances, at most %d are allowed", len(s.StableCounts), maxInstances)
	for instance, n := range s.StableCounts {
		c.token("instance", instance)
		c.counts("stable_counts", n)
	}
	if c.err != nil {
		return c.err
	}
	return checkTelemetry(s)
}

func knownCause(cause rollout.Cause) bool {
	switch cause {
	case rollout.CauseGate, rollout.CauseDeath, rollout.CauseImage, rollout.CauseStart, rollout.CauseDeadline,
		rollout.CauseOperator, rollout.CauseReplaced, rollout.CauseApproval, rollout.CauseHost, rollout.CauseLost:
		return true
	}
	return false
}
