package wire

import (
	"cmp"
	"fmt"
	"math"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/latency"
	serinv1 "github.com/serin-rollouts/serin/proto/serin/v1"
)

// Private

func encodeTelemetry(s ServiceHealth, m *serinv1.ServiceHealth) {
	for _, l := range s.Latencies {
		m.Latencies = append(m.Latencies, &serinv1.TrackLatency{
			Canary: l.Canary, Instance: l.Instance, Route: l.Route, Requests: l.Requests, Lines: l.Lines, Sketch: l.Sketch,
		})
	}
	for gate, signal := range s.Signals {
		if m.Signals == nil {
			m.Signals = make(map[string]*serinv1.Signal, len(s.Signals))
		}
		one := &serinv1.Signal{Canary: encodeCounts(signal.Canary)}
		for instance, n := range signal.Stable {
			if one.Stable == nil {
				one.Stable = make(map[string]*serinv1.Counts, len(signal.Stable))
			}
			one.Stable[instance] = &serinv1.Counts{Requests: n.Requests, Errors: n.Errors}
		}
		m.Signals[gate] = one
	}
	for _, u := range s.Usage {
		m.Usage = append(m.Usage, &serinv1.Usage{
			Canary: u.Canary, Instance: u.Instance, Memory: u.Memory, Limit: u.Limit, Periods: u.Periods, Throttled: u.Throttled,
			Restarts: uint32(u.Restarts), Ooms: uint32(u.OOMs),
		})
	}
	for _, r := range s.Readings {
		m.Readings = append(m.Readings, &serinv1.Reading{
			Gate: r.Gate, Variable: r.Variable, Canary: encodeSpread(r.Canary), Stable: encodeSpread(r.Stable),
		})
	}
}

// decodeTelemetry leaves out what cannot be, and says in TelemetryProblem why:
// HAProxy's counts and a host's state are worth more than the rest, so a report
// is not refused for it.
func decodeTelemetry(m *serinv1.ServiceHealth, s *ServiceHealth) {
	s.Latencies = keepGood(s, m.GetLatencies(), decodeLatency, checkLatencies)
	s.Usage = keepGood(s, m.GetUsage(), decodeUsage, checkUsages)
	s.Readings = keepGood(s, m.GetReadings(), decodeReading, checkReadings)
	for gate, one := range m.GetSignals() {
		if err := checkSignal(gate, len(s.Signals), decodeSignal(one)); err != nil {
			s.TelemetryProblem = cmp.Or(s.TelemetryProblem, err.Error())
			continue
		}
		if s.Signals == nil {
			s.Signals = make(map[string]analysis.Signal, len(m.GetSignals()))
		}
		s.Signals[gate] = decodeSignal(one)
	}
}

// keepGood decodes entries, and keeps those that can stand in one list.
func keepGood[M, T any](s *ServiceHealth, entries []M, decode func(M) T, newCheck func() func(T) error) []T {
	var good []T
	check := newCheck()
	for _, m := range entries {
		one := decode(m)
		if err := check(one); err != nil {
			s.TelemetryProblem = cmp.Or(s.TelemetryProblem, err.Error())
			continue
		}
		good = append(good, one)
	}
	return good
}

func decodeLatency(m *serinv1.TrackLatency) analysis.Latency {
	l := analysis.Latency{
		Canary: m.GetCanary(), Instance: m.GetInstance(), Route: m.GetRoute(),
		Requests: m.GetRequests(), Lines: m.GetLines(), Sketch: m.GetSketch(),
	}
	if len(l.Sketch) == 0 {
		l.Sketch = nil
	}
	return l
}

func decodeSignal(m *serinv1.Signal) analysis.Signal {
	signal := analysis.Signal{Canary: decodeCounts(m.GetCanary())}
	for instance, n := range m.GetStable() {
		if signal.Stable == nil {
			signal.Stable = make(map[string]analysis.Counts, len(m.GetStable()))
		}
		signal.Stable[instance] = decodeCounts(n)
	}
	return signal
}

func decodeUsage(m *serinv1.Usage) analysis.Usage {
	return analysis.Usage{
		Canary: m.GetCanary(), Instance: m.GetInstance(), Memory: m.GetMemory(), Limit: m.GetLimit(),
		Periods: m.GetPeriods(), Throttled: m.GetThrottled(), Restarts: small(m.GetRestarts()), OOMs: small(m.GetOoms()),
	}
}

func encodeSpread(s Spread) *serinv1.Spread {
	if s == (Spread{}) {
		return nil
	}
	return &serinv1.Spread{Containers: uint32(s.Containers), Sum: s.Sum, Min: s.Min, Max: s.Max}
}

func decodeReading(m *serinv1.Reading) Reading {
	spread := func(x *serinv1.Spread) Spread {
		return Spread{Containers: small(x.GetContainers()), Sum: x.GetSum(), Min: x.GetMin(), Max: x.GetMax()}
	}
	return Reading{Gate: m.GetGate(), Variable: m.GetVariable(), Canary: spread(m.GetCanary()), Stable: spread(m.GetStable())}
}

func checkTelemetry(s ServiceHealth) error {
	var c check
	all(&c, s.Latencies, checkLatencies())
	all(&c, s.Usage, checkUsages())
	all(&c, s.Readings, checkReadings())
	for gate, signal := range s.Signals {
		c.within("telemetry", checkSignal(gate, len(s.Signals)-1, signal))
	}
	return c.err
}

func all[T any](c *check, list []T, good func(T) error) {
	for _, one := range list {
		c.within("telemetry", good(one))
	}
}

// checkLatencies returns what checks the entries of one list.
func checkLatencies() func(analysis.Latency) error {
	type key struct {
		canary          bool
		instance, route string
	}
	seen := map[key]bool{}
	return func(l analysis.Latency) error {
		var c check
		at := key{l.Canary, l.Instance, l.Route}
		c.that(len(seen) < maxLatencies, "there are more than %d", maxLatencies)
		c.that(!seen[at], "it is there twice")
		c.token("instance", l.Instance)
		c.that(l.Canary == (l.Instance == ""), "an instance is named of stable, and of stable only")
		c.token("route", l.Route)
		c.events("requests", l.Requests)
		c.that(l.Requests == 0 || l.Route == "", "requests are told of one route class, they are of all")
		c.events("lines", l.Lines)
		c.that(l.Lines > 0 || len(l.Sketch) == 0, "there are times without a line")
		c.within("sketch", latency.Check(l.Sketch))
		if c.err != nil {
			return fmt.Errorf("latency of %.80q %.80q: %w", l.Instance, l.Route, c.err)
		}
		seen[at] = true
		return nil
	}
}

// checkUsages returns what checks the entries of one list.
func checkUsages() func(analysis.Usage) error {
	seen := map[string]bool{}
	return func(u analysis.Usage) error {
		var c check
		c.that(len(seen) < 2*maxInstances, "there are more than %d", 2*maxInstances)
		c.that(u.Instance != "", "instance is missing")
		c.that(!seen[u.Instance], "it is there twice")
		c.token("instance", u.Instance)
		c.events("memory", u.Memory)
		c.that(u.Limit >= 0, "limit is negative")
		c.events("periods", u.Periods)
		c.events("throttled", u.Throttled)
		c.number("restarts", u.Restarts, maxNumber)
		c.number("ooms", u.OOMs, maxNumber)
		if c.err != nil {
			return fmt.Errorf("usage of %.80q: %w", u.Instance, c.err)
		}
		seen[u.Instance] = true
		return nil
	}
}

// checkReadings returns what checks the entries of one list.
func checkReadings() func(Reading) error {
	seen := map[[2]string]bool{}
	return func(r Reading) error {
		var c check
		at := [2]string{r.Gate, r.Variable}
		c.that(len(seen) < maxEntries, "there are more than %d", maxEntries)
		c.that(!seen[at], "it is there twice")
		c.gate(r.Gate)
		c.that(r.Variable != "", "variable is missing")
		c.token("variable", r.Variable)
		c.within("canary", checkSpread(r.Canary))
		c.within("stable", checkSpread(r.Stable))
		if c.err != nil {
			return fmt.Errorf("reading %.80q of gate %.80q: %w", r.Variable, r.Gate, c.err)
		}
		seen[at] = true
		return nil
	}
}

func checkSpread(s Spread) error {
	var c check
	c.number("containers", s.Containers, maxInstances)
	c.that(s.Containers > 0 || s == Spread{}, "there is a value of no container")
	for _, v := range []float64{s.Sum, s.Min, s.Max} {
		c.that(!math.IsNaN(v) && !math.IsInf(v, 0), "%v is no finite number", v)
	}
	return c.err
}

// checkSignal checks one of the signals, beside so many others.
func checkSignal(gate string, others int, signal analysis.Signal) error {
	var c check
	c.that(others < maxGates, "there are more than %d", maxGates)
	c.gate(gate)
	c.bounded("canary", signal.Canary)
	c.that(len(signal.Stable) <= maxInstances, "there are %d stable instances, at most %d are allowed", len(signal.Stable), maxInstances)
	for instance, n := range signal.Stable {
		c.token("instance", instance)
		c.bounded("stable", n)
	}
	if c.err != nil {
		return fmt.Errorf("signal of gate %.80q: %w", gate, c.err)
	}
	return nil
}

func (c *check) gate(name string) {
	c.that(name != "", "gate is missing")
	c.token("gate", name)
}

// events wants a number of them that no host exceeds, so that sums stay sums.
func (c *check) events(field string, n int64) {
	c.that(n >= 0 && n <= maxRequests, "%s are out of range 0 to %d", field, int64(maxRequests))
}

func (c *check) bounded(field string, n analysis.Counts) {
	c.events(field+" requests", n.Requests)
	c.events(field+" errors", n.Errors)
}
