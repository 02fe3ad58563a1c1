package rollout

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Defaults of gates. Increases are in basis points: of all requests for rates, of stable's value
// for latency and memory. Where nothing may be meant (an increase, a number of restarts), whoever
// reads the file fills them in.
const (
	DefaultAlpha           = 10_000 // parts per million: 1 %
	DefaultMaxIncrease     = 50     // 0.5 percentage points
	DefaultCheckIncrease   = 1_000  // 10 points of all checks: there are few of them
	DefaultLatencyIncrease = 2_000  // 20 % slower
	DefaultQuantile        = 9_900  // p99
	DefaultMemoryIncrease  = 5_000  // 50 % more
	DefaultThrottling      = 1_000  // 10 points of CPU periods
	DefaultRestarts        = 0
	DefaultMinRequests     = 100
	DefaultMinChecks       = 20
	DefaultMetricsPath     = "/metrics"
	DefaultConditionEvery  = 10 * time.Second
	DefaultCheckEvery      = 5 * time.Second
	DefaultCheckTimeout    = 2 * time.Second
	DefaultFailures        = 3
)

// Names of gates that are not the user's to choose.
const (
	saturationGate = "saturation"
	feedbackGate   = "feedback"
)

// Private

// withDefaults fills in what was left out. It changes nothing that g shares.
func (g Gates) withDefaults() Gates {
	g.Alpha = orElse(g.Alpha, DefaultAlpha)
	g.OneHost = orElse(g.OneHost, ExcludeHost)
	if g.Errors != nil {
		filled := *g.Errors
		filled.Name = errorsGate
		filled.MinRequests = orElse(filled.MinRequests, DefaultMinRequests)
		g.Errors = &filled
	}
	if g.Saturation != nil {
		filled := *g.Saturation
		filled.Name = saturationGate
		g.Saturation = &filled
	}
	g.Latency = slices.Clone(g.Latency)
	for k := range g.Latency {
		l := &g.Latency[k]
		l.Name = orElse(l.Name, l.ownName())
		l.MinRequests = orElse(l.MinRequests, DefaultMinRequests)
	}
	if len(g.Routes) == 0 {
		g.Routes = g.routesOfGates()
	}
	g.fillSignals()
	return g
}

// fillSignals fills in the gates on users' own signals.
func (g *Gates) fillSignals() {
	g.Metrics = slices.Clone(g.Metrics)
	for k := range g.Metrics {
		m := &g.Metrics[k]
		m.Path = orElse(m.Path, DefaultMetricsPath)
		m.Every = orElse(m.Every, DefaultConditionEvery)
		if m.Bad == "" {
			m.Condition = m.withDefaults()
		} else {
			m.MinRequests = orElse(m.MinRequests, DefaultMinRequests)
		}
	}
	g.Prometheus = slices.Clone(g.Prometheus)
	for k := range g.Prometheus {
		g.Prometheus[k].Condition = g.Prometheus[k].withDefaults()
	}
	g.Checks = slices.Clone(g.Checks)
	for k := range g.Checks {
		c := &g.Checks[k]
		if c.Path == "" {
			c.Condition = c.withDefaults()
		} else {
			c.Every = orElse(c.Every, DefaultCheckEvery)
			c.MinChecks = orElse(c.MinChecks, DefaultMinChecks)
		}
		c.Timeout = orElse(c.Timeout, min(DefaultCheckTimeout, c.Every))
	}
	g.Feedback = slices.Clone(g.Feedback)
	for k := range g.Feedback {
		f := &g.Feedback[k]
		f.Name = orElse(f.Name, feedbackGate)
		f.MinRequests = orElse(f.MinRequests, DefaultMinRequests)
	}
}

func (c Condition) withDefaults() Condition {
	c.Every = orElse(c.Every, DefaultConditionEvery)
	c.Failures = orElse(c.Failures, DefaultFailures)
	return c
}

// routesOfGates are the routes that latency gates name, in order.
func (g Gates) routesOfGates() []string {
	var routes []string
	for _, l := range g.Latency {
		if l.Route != "" {
			routes = append(routes, l.Route)
		}
	}
	slices.Sort(routes)
	return slices.Compact(routes)
}

// ownName is what the gate is called if the user does not say: latency-p99, latency-p99-9-api,
// latency-distribution.
func (l LatencyGate) ownName() string {
	what := "distribution"
	if l.Quantile != WholeDistribution {
		what = "p" + strconv.Itoa(l.Quantile/100)
		if rest := l.Quantile % 100; rest > 0 {
			what += "-" + strings.TrimRight(strconv.Itoa(100 + rest)[1:], "0")
		}
	}
	name := "latency-" + what
	words := strings.FieldsFunc(strings.ToLower(l.Route), func(r rune) bool { return !ValidName(string(r)) })
	if len(words) > 0 {
		name += "-" + strings.Join(words, "-")
	}
	return strings.TrimRight(name[:min(len(name), 63)], "-")
}
