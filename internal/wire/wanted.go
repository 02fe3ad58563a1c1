package wire

import (
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
	serinv1 "github.com/serin-rollouts/serin/proto/serin/v1"
)

// Private

// encodeWanted renders what an agent is to gather for the gates.
func encodeWanted(t *rollout.Telemetry) *serinv1.Telemetry {
	if t == nil {
		return nil
	}
	m := &serinv1.Telemetry{Routes: t.Routes}
	for _, s := range t.Metrics {
		m.Metrics = append(m.Metrics, &serinv1.Scrape{
			Gate: s.Gate, Path: s.Path, Port: uint32(s.Port), Bad: s.Bad, Total: s.Total, Read: s.Read, EveryMs: millis(s.Every),
		})
	}
	for _, p := range t.Checks {
		m.Checks = append(m.Checks, &serinv1.Probe{Gate: p.Gate, Path: p.Path, EveryMs: millis(p.Every), TimeoutMs: millis(p.Timeout)})
	}
	return m
}

func decodeWanted(m *serinv1.Telemetry) *rollout.Telemetry {
	if m == nil {
		return nil
	}
	t := &rollout.Telemetry{Routes: m.GetRoutes()}
	for _, s := range m.GetMetrics() {
		t.Metrics = append(t.Metrics, rollout.Scrape{
			Gate: s.GetGate(), Path: s.GetPath(), Port: small(s.GetPort()), Bad: s.GetBad(), Total: s.GetTotal(), Read: s.GetRead(),
			Every: duration(s.GetEveryMs()),
		})
	}
	for _, p := range m.GetChecks() {
		t.Checks = append(t.Checks, rollout.Probe{
			Gate: p.GetGate(), Path: p.GetPath(), Every: duration(p.GetEveryMs()), Timeout: duration(p.GetTimeoutMs()),
		})
	}
	return t
}

func checkWanted(t rollout.Telemetry) error {
	var c check
	c.that(len(t.Routes) <= maxGates, "there are %d routes, at most %d are allowed", len(t.Routes), maxGates)
	seen := map[string]bool{}
	for _, route := range t.Routes {
		c.path("route", route, maxToken)
		c.that(!seen[route], "route %.80q is there twice", route)
		seen[route] = true
	}
	c.that(len(t.Metrics)+len(t.Checks) <= maxGates, "there are %d gates, at most %d are allowed", len(t.Metrics)+len(t.Checks), maxGates)
	for _, s := range t.Metrics {
		c.source(s.Gate, s.Path, s.Every, seen)
		c.number("port", s.Port, 65535)
		c.size("bad", s.Bad, maxValue)
		c.size("total", s.Total, maxValue)
		c.table("read", s.Read, maxValue)
	}
	for _, p := range t.Checks {
		c.source(p.Gate, p.Path, p.Every, seen)
		c.span("timeout", p.Timeout)
	}
	return c.err
}

// source checks what a page and a path to ask have in common.
func (c *check) source(gate, path string, every time.Duration, seen map[string]bool) {
	c.gate(gate)
	c.that(!seen["gate "+gate], "gate %.80q is there twice", gate)
	seen["gate "+gate] = true
	c.path("path", path, maxValue)
	c.span("every", every)
}

// path wants one that can stand in a request's first line and stays on the
// server that is asked.
func (c *check) path(field, path string, most int) {
	c.size(field, path, most)
	c.that(strings.HasPrefix(path, "/"), "%s %.80q does not begin with /", field, path)
	c.that(strings.IndexFunc(path, unprintable) < 0, "%s %.80q contains a character that no path has", field, path)
}
