package specfile

import (
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/serin-rollouts/serin/internal/rollout"
)

type gates struct {
	Alpha      *percent               `yaml:"alpha" doc:"bound on the chance that a version as good as the old one is ever taken back; 1% if left out"`
	OneHost    string                 `yaml:"one_host" doc:"a host whose canary alone is bad: exclude goes on without it (the default), pause waits for a person, fail takes everything back" enum:"exclude,pause,fail"`
	Routes     []string               `yaml:"routes" doc:"routes that latencies are told apart by; those of the gates if left out"`
	Errors     *errorsGate            `yaml:"errors" doc:"5xx and failed connections, as HAProxy counts them; on if left out; or off"`
	Latency    oneOrMore[latencyGate] `yaml:"latency" doc:"times in HAProxy's log; one or more, none if left out"`
	Saturation *saturationGate        `yaml:"saturation" doc:"Docker's statistics; a mapping, on, or off, which it is if left out"`
	Metrics    oneOrMore[metricsGate] `yaml:"metrics" doc:"what containers say on a page of metrics; one or more, none if left out"`
	Prometheus oneOrMore[promGate]    `yaml:"prometheus" doc:"queries to a Prometheus server, once for each version; one or more, none if left out"`
	Checks     oneOrMore[checkGate]   `yaml:"checks" doc:"a page that is asked of every container, or a url; one or more, none if left out"`
	Feedback   oneOrMore[feedback]    `yaml:"feedback" doc:"what users say, told on NATS; one or more, none if left out"`
}

// oneOrMore is a list; one element may stand without it, and off is none.
type oneOrMore[T any] []T

// UnmarshalYAML reads a list, a single mapping, or the word off.
func (l *oneOrMore[T]) UnmarshalYAML(node ast.Node) error {
	if text, ok := scalar(node); ok {
		if !isOff(text) {
			return mistake(node, "%q is no gate; write a list of gates, or off", text)
		}
		return nil
	}
	if node.Type() == ast.SequenceType {
		return yaml.NodeToValue(node, (*[]T)(l), yaml.Strict())
	}
	*l = make([]T, 1)
	return yaml.NodeToValue(node, &(*l)[0], yaml.Strict())
}

// conduct is what all gates have in common; name only those that the user may call something.
type conduct struct {
	Observe   bool   `yaml:"observe" doc:"show it, and never act on it; false if left out"`
	Required  *bool  `yaml:"required" doc:"true if left out; else it is passed over while it has no data"`
	OnSilence string `yaml:"on_silence" doc:"when its source says nothing for a minute: wait (the default) or fail" enum:"wait,fail"`
}

// neverSilent is what gates have in common whose source is never silent so that it could fail them.
type neverSilent struct {
	Observe   bool   `yaml:"observe" doc:"show it, and never act on it; false if left out"`
	Required  *bool  `yaml:"required" doc:"true if left out; else it is passed over while it has no data"`
	OnSilence string `yaml:"on_silence" doc:"wait, which is the default: no requests, or no messages, are no silence" enum:"wait"`
}

// errorsGate is a mapping, or the word off.
type errorsGate struct {
	off         bool
	Conduct     neverSilent `yaml:",inline"`
	MaxIncrease *percent    `yaml:"max_increase" doc:"percentage points of errors above the old version; 0.5% if left out"`
	MinRequests int64       `yaml:"min_requests" doc:"requests of the canary below which nothing is passed; 100 if left out"`
}

// UnmarshalYAML reads the mapping or the word off.
func (g *errorsGate) UnmarshalYAML(node ast.Node) error {
	if text, ok := scalar(node); ok {
		if g.off = isOff(text); !g.off {
			return mistake(node, "%q is no gate; write {max_increase: 0.5%%}, or off", text)
		}
		return nil
	}
	type plain errorsGate
	return yaml.NodeToValue(node, (*plain)(g), yaml.Strict())
}

type latencyGate struct {
	Conduct      conduct   `yaml:",inline"`
	Name         string    `yaml:"name" doc:"what to call the gate; latency-p99 or the like if left out"`
	Quantile     *quantile `yaml:"quantile" doc:"as p50 or p99.9; p99 if left out"`
	Distribution bool      `yaml:"distribution" doc:"the whole distribution, in place of a quantile; false if left out"`
	MaxIncrease  *percent  `yaml:"max_increase" doc:"how much longer it may take; 20% if left out"`
	MinRequests  int64     `yaml:"min_requests" doc:"requests of the canary below which nothing is passed; 100 if left out"`
	Route        string    `yaml:"route" doc:"of this route alone; of all requests if left out"`
}

// UnmarshalYAML reads the mapping: a quantile, or the whole distribution.
func (g *latencyGate) UnmarshalYAML(node ast.Node) error {
	type plain latencyGate
	if err := yaml.NodeToValue(node, (*plain)(g), yaml.Strict()); err != nil {
		return err
	}
	if g.Distribution && g.Quantile != nil {
		return mistake(node, "the gate has a quantile and is on the whole distribution; make two gates of it")
	}
	return nil
}

// saturationGate is a mapping, on, or off.
type saturationGate struct {
	off        bool
	Conduct    conduct  `yaml:",inline"`
	Memory     increase `yaml:"memory" doc:"how much more memory a container may take; 50% if left out"`
	Throttling increase `yaml:"throttling" doc:"points of time that it may be throttled more; 10% if left out"`
	Restarts   int      `yaml:"restarts" doc:"of canary containers that are no failure; 0 if left out"`
}

// UnmarshalYAML reads the mapping or a word.
func (g *saturationGate) UnmarshalYAML(node ast.Node) error {
	if text, ok := scalar(node); ok {
		if g.off = isOff(text); !g.off && text != "on" && text != "true" {
			return mistake(node, "%q is no gate; write on, off, or for example {memory: {max_increase: 50%%}}", text)
		}
		return nil
	}
	type plain saturationGate
	return yaml.NodeToValue(node, (*plain)(g), yaml.Strict())
}

// increase is a mapping, or the share alone.
type increase struct {
	MaxIncrease *percent `yaml:"max_increase" doc:"how much more it may be: 50% of memory, 10% of throttling, if left out"`
}

// UnmarshalYAML reads {max_increase: 50%} or 50%.
func (i *increase) UnmarshalYAML(node ast.Node) error {
	if _, ok := scalar(node); ok {
		i.MaxIncrease = new(percent)
		return i.MaxIncrease.UnmarshalYAML(node)
	}
	type plain increase
	return yaml.NodeToValue(node, (*plain)(i), yaml.Strict())
}

// when is a condition.
type when struct {
	When     string   `yaml:"when" doc:"a condition in CEL, as canary.queue < 100.0"`
	Every    duration `yaml:"every" doc:"how often to look; 10s if left out, 5s for a check of a path"`
	Failures int      `yaml:"failures" doc:"how many times running it has to be false; 3 if left out"`
}

type metricsGate struct {
	Conduct     conduct           `yaml:",inline"`
	Condition   when              `yaml:",inline"`
	Name        string            `yaml:"name" doc:"what to call the gate; needed"`
	Path        string            `yaml:"path" doc:"/metrics if left out"`
	Port        int               `yaml:"port" doc:"the container's port if left out"`
	Bad         string            `yaml:"bad" doc:"a counter of what is bad"`
	Total       string            `yaml:"total" doc:"a counter of all, bad ones too; the requests that HAProxy counted if left out"`
	MaxIncrease *percent          `yaml:"max_increase" doc:"points that the rate may be higher; 0.5% if left out"`
	MinRequests int64             `yaml:"min_requests" doc:"of the total, below which nothing is passed; 100 if left out"`
	Read        map[string]string `yaml:"read" doc:"readings by the names that a condition calls them by"`
}

type promGate struct {
	Conduct   conduct           `yaml:",inline"`
	Condition when              `yaml:",inline"`
	Name      string            `yaml:"name" doc:"what to call the gate; needed"`
	Address   string            `yaml:"address" doc:"the server's URL"`
	Queries   map[string]string `yaml:"queries" doc:"by the names that a condition calls them by; $revision, $service and $track stand for what they name"`
}

type checkGate struct {
	Conduct     conduct  `yaml:",inline"`
	Condition   when     `yaml:",inline"`
	Name        string   `yaml:"name" doc:"what to call the gate; needed"`
	Path        string   `yaml:"path" doc:"asked of every container"`
	URL         string   `yaml:"url" doc:"asked once, in place of a path"`
	Timeout     duration `yaml:"timeout" doc:"for an answer; 2s if left out, or every if that is less"`
	MaxIncrease *percent `yaml:"max_increase" doc:"points that bad answers may be more frequent; 10% if left out"`
	MinChecks   int64    `yaml:"min_checks" doc:"below which nothing is passed; 20 if left out"`
}

type feedback struct {
	Conduct     neverSilent `yaml:",inline"`
	Name        string      `yaml:"name" doc:"what to call the gate; feedback if left out"`
	Kinds       []string    `yaml:"kinds" doc:"kinds of feedback that are bad; all if left out"`
	MaxIncrease *percent    `yaml:"max_increase" doc:"points of requests that it may be more frequent; 0.5% if left out"`
	MinRequests int64       `yaml:"min_requests" doc:"requests of the canary below which nothing is passed; 100 if left out"`
}

// pace is a word, or the bounds of an automatic pace.
type pace struct {
	word       string
	Regression *percent `yaml:"regression" doc:"points of errors by which a version is worse that is to be noticed in time; 2% if left out"`
	Exposure   *int64   `yaml:"exposure" doc:"how many more requests such a version may be expected to fail over the whole rollout, until it is taken back; 50 if left out"`
}

// UnmarshalYAML reads the word or the mapping.
func (p *pace) UnmarshalYAML(node ast.Node) error {
	if text, ok := scalar(node); ok {
		p.word = text
		return nil
	}
	type plain pace
	p.word = string(rollout.AutoPace)
	if err := yaml.NodeToValue(node, (*plain)(p), yaml.Strict()); err != nil {
		return err
	}
	if p.Regression != nil && p.Regression.basisPoints() == 0 || p.Exposure != nil && *p.Exposure == 0 {
		return mistake(node, "a pace without regression or exposure cannot be kept; write for example {regression: 2%%, exposure: 50}")
	}
	return nil
}

// quantile is in basis points, written as p99 or p99.9.
type quantile int

// UnmarshalYAML reads "p99".
func (q *quantile) UnmarshalYAML(node ast.Node) error {
	text, _ := scalar(node)
	number, ok := strings.CutPrefix(text, "p")
	ppm, err := parsePercent(number + "%")
	if !ok || err != nil || ppm%100 != 0 || ppm == 0 {
		return mistake(node, "%s is no quantile; write for example p50, p99 or p99.9", node)
	}
	*q = quantile(ppm / 100)
	return nil
}

// Private

func isOff(text string) bool { return text == "off" || text == "false" }

// domain converts the gates. The errors gate stands unless it is switched off: a rollout that
// looks at nothing is no canary. An increase that is not given is the default, one of 0 % is none.
func (g gates) domain() rollout.Gates {
	all := rollout.Gates{OneHost: rollout.OneHost(g.OneHost), Routes: g.Routes}
	if g.Alpha != nil {
		all.Alpha = int(*g.Alpha)
	}
	if e := g.Errors; e == nil {
		all.Errors = &rollout.ErrorsGate{MaxIncrease: rollout.DefaultMaxIncrease}
	} else if !e.off {
		all.Errors = &rollout.ErrorsGate{
			Conduct: conduct(e.Conduct).domain(""), MaxIncrease: e.MaxIncrease.or(rollout.DefaultMaxIncrease), MinRequests: e.MinRequests,
		}
	}
	if s := g.Saturation; s != nil && !s.off {
		all.Saturation = &rollout.SaturationGate{
			Conduct: s.Conduct.domain(""), MaxMemory: s.Memory.MaxIncrease.or(rollout.DefaultMemoryIncrease),
			MaxThrottled: s.Throttling.MaxIncrease.or(rollout.DefaultThrottling), MaxRestarts: s.Restarts,
		}
	}
	for _, l := range g.Latency {
		all.Latency = append(all.Latency, l.domain())
	}
	for _, m := range g.Metrics {
		all.Metrics = append(all.Metrics, m.domain())
	}
	for _, p := range g.Prometheus {
		all.Prometheus = append(all.Prometheus, rollout.PrometheusGate{
			Conduct: p.Conduct.domain(p.Name), Address: p.Address, Queries: p.Queries, Condition: p.Condition.domain(),
		})
	}
	for _, c := range g.Checks {
		all.Checks = append(all.Checks, c.domain())
	}
	for _, f := range g.Feedback {
		all.Feedback = append(all.Feedback, rollout.FeedbackGate{
			Conduct: conduct(f.Conduct).domain(f.Name), Kinds: f.Kinds, MaxIncrease: f.MaxIncrease.or(rollout.DefaultMaxIncrease), MinRequests: f.MinRequests,
		})
	}
	return all
}

func (g latencyGate) domain() rollout.LatencyGate {
	q := rollout.DefaultQuantile
	switch {
	case g.Distribution:
		q = rollout.WholeDistribution
	case g.Quantile != nil:
		q = int(*g.Quantile)
	}
	return rollout.LatencyGate{
		Conduct: g.Conduct.domain(g.Name), Quantile: q, MaxIncrease: g.MaxIncrease.or(rollout.DefaultLatencyIncrease),
		MinRequests: g.MinRequests, Route: g.Route,
	}
}

func (g metricsGate) domain() rollout.MetricsGate {
	m := rollout.MetricsGate{
		Conduct: g.Conduct.domain(g.Name), Path: g.Path, Port: g.Port, Bad: g.Bad, Total: g.Total,
		MaxIncrease: g.MaxIncrease.or(0), MinRequests: g.MinRequests, Read: g.Read, Condition: g.Condition.domain(),
	}
	if m.Bad != "" {
		m.MaxIncrease = g.MaxIncrease.or(rollout.DefaultMaxIncrease)
	}
	return m
}

func (g checkGate) domain() rollout.CheckGate {
	c := rollout.CheckGate{
		Conduct: g.Conduct.domain(g.Name), Path: g.Path, URL: g.URL, Timeout: g.Timeout.value(),
		MaxIncrease: g.MaxIncrease.or(0), MinChecks: g.MinChecks, Condition: g.Condition.domain(),
	}
	if c.Path != "" {
		c.MaxIncrease = g.MaxIncrease.or(rollout.DefaultCheckIncrease)
	}
	return c
}

func (c conduct) domain(name string) rollout.Conduct {
	return rollout.Conduct{
		Name: name, Observe: c.Observe, Optional: c.Required != nil && !*c.Required, OnSilence: rollout.OnSilence(c.OnSilence),
	}
}

func (w when) domain() rollout.Condition {
	return rollout.Condition{When: w.When, Every: w.Every.value(), Failures: w.Failures}
}

// or returns the share in basis points, or what stands for none.
func (p *percent) or(fallback int) int {
	if p == nil {
		return fallback
	}
	return p.basisPoints()
}

// domain converts the pace; nil bounds are those of no automatic pace.
func (p pace) domain() (rollout.Pace, *rollout.Auto) {
	if p.word != string(rollout.AutoPace) {
		return rollout.Pace(p.word), nil
	}
	auto := &rollout.Auto{Regression: p.Regression.or(rollout.DefaultRegression), Exposure: rollout.DefaultExposure}
	if p.Exposure != nil {
		auto.Exposure = *p.Exposure
	}
	return rollout.AutoPace, auto
}
