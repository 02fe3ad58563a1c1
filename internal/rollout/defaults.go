package rollout

import (
	"strconv"
	"time"
)

// Defaults for what a rollout file leaves out.
const (
	DefaultDeadline      = time.Hour
	DefaultHealthTimeout = 30 * time.Second
	DefaultStopGrace     = 10 * time.Second
	DefaultDrainLimit    = 30 * time.Second
	DefaultRegression    = 200 // 2 percentage points
	DefaultExposure      = 50  // failed requests
	DefaultLostAfter     = 2 * time.Minute
	DefaultMaxLost       = 1000 // 10 % of the hosts; a share rounds up
)

// WithDefaults returns the spec with everything filled in that was left out.
func (s Spec) WithDefaults() Spec {
	s.Replicas = orElse(s.Replicas, 1)
	s.Strategy = orElse(s.Strategy, Canary)
	s.Pace = orElse(s.Pace, FixedPace)
	s.OnFailure = orElse(s.OnFailure, RollBackOnFailure)
	s.OnControlLoss = orElse(s.OnControlLoss, RevertOnLoss)
	s.Deadline = orElse(s.Deadline, DefaultDeadline)
	s.Frontend.Routing = orElse(s.Frontend.Routing, Sticky)
	if s.Frontend.Backend != "" {
		s.Frontend.Routing = Weighted
	} else if s.Frontend.Listen == "" && s.Container.Port > 0 {
		s.Frontend.Listen = ":" + strconv.Itoa(s.Container.Port)
	}
	if len(s.Steps) == 0 && s.Pace == AutoPace {
		s.Steps = AutoSteps()
	}
	if len(s.Steps) == 0 {
		s.Steps = s.Strategy.steps()
	}
	s.Container.StopGrace = orElse(s.Container.StopGrace, DefaultStopGrace)
	s.Container.DrainLimit = orElse(s.Container.DrainLimit, DefaultDrainLimit)
	s.Container.Health.Timeout = orElse(s.Container.Health.Timeout, DefaultHealthTimeout)
	if s.Container.Health.Kind == "" {
		s.Container.Health.Kind = TCPHealth
		if s.Container.Health.Path != "" {
			s.Container.Health.Kind = HTTPHealth
		}
	}
	if s.Pace == AutoPace {
		auto := Auto{Regression: DefaultRegression, Exposure: DefaultExposure}
		if s.Auto != nil {
			auto = Auto{Regression: orElse(s.Auto.Regression, auto.Regression), Exposure: orElse(s.Auto.Exposure, auto.Exposure)}
		}
		s.Auto = &auto
	}
	s.Gates = s.Gates.withDefaults()
	return s.withLostDefaults()
}

// Private

func orElse[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// steps returns the preset path of a strategy.
func (s Strategy) steps() []Step {
	all := HostCount{Share: Full}
	switch s {
	case BlueGreen:
		return []Step{{Hosts: all, Weight: 0}, {Hosts: all, Weight: Full, Hold: 5 * time.Minute}}
	case Rolling:
		return []Step{
			{Hosts: HostCount{Share: 1000}, Weight: Full},
			{Hosts: HostCount{Share: 5000}, Weight: Full},
			{Hosts: all, Weight: Full},
		}
	case Canary:
	}
	return []Step{
		{Hosts: all, Weight: 500},
		{Hosts: all, Weight: 2500},
		{Hosts: all, Weight: 5000},
		{Hosts: all, Weight: Full},
	}
}
