package specfile

import (
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/serin-rollouts/serin/internal/rollout"
)

type gates struct {
	Alpha      *percent               `yaml:"alpha"`
	OneHost    string                 `yaml:"one_host"`
	Routes     []string               `yaml:"routes"`
	Errors     *errorsGate            `yaml:"errors"`
	Latency    oneOrMore[latencyGate] `yaml:"latency"`
	Saturation *saturationGate        `yaml:"saturation"`
	Metrics    oneOrMore[metricsGate] `yaml:"metrics"`
	Prometheus oneOrMore[promGate]    `yaml:"prometheus"`
	Checks     oneOrMore[checkGate]   `yaml:"checks"`
	Feedback   oneOrMore[feedback]    `yaml:"feedback"`
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
	Observe   bool   `yaml:"observe"`
	Required  *bool  `yaml:"required"`
	OnSilence string `yaml:"on_silence"`
}

// errorsGate is a mapping, or the word off.
type errorsGate struct {
	off         bool
	Conduct     conduct  `yaml:",inline"`
	MaxIncrease *percent `yaml:"max_increase"`
	MinRequests int64    `yaml:"min_requests"`
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
	Name         string    `yaml:"name"`
	Quantile     *quantile `yaml:"quantile"`
	Distribution bool      `yaml:"distribution"`
	MaxIncrease  *percent  `yaml:"max_increase"`
	MinRequests  int64     `yaml:"min_requests"`
	Route        string    `yaml:"route"`
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
	Memory     increase `yaml:"memory"`
	Throttling increase `yaml:"throttling"`
	Restarts   int      `yaml:"restarts"`
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
	MaxIncrease *percent `yaml:"max_increase"`
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
	When     string   `yaml:"when"`
	Every    duration `yaml:"every"`
	Failures int      `yaml:"failures"`
}

type metricsGate struct {
	Conduct     conduct           `yaml:",inline"`
	Condition   when              `yaml:",inline"`
	Name        string            `yaml:"name"`
	Path        string            `yaml:"path"`
	Port        int               `yaml:"port"`
	Bad         string            `yaml:"bad"`
	Total       string            `yaml:"total"`
	MaxIncrease *percent          `yaml:"max_increase"`
	MinRequests int64             `yaml:"min_requests"`
	Read        map[string]string `yaml:"read"`
}

type promGate struct {
	Conduct   conduct           `yaml:",inline"`
	Condition when              `yaml:",inline"`
	Name      string            `yaml:"name"`
	Address   string            `yaml:"address"`
	Queries   map[string]string `yaml:"queries"`
}

type checkGate struct {
	Conduct     conduct  `yaml:",inline"`
	Condition   when     `yaml:",inline"`
	Name        string   `yaml:"name"`
	Path        string   `yaml:"path"`
	URL         string   `yaml:"url"`
	Timeout     duration `yaml:"timeout"`
	MaxIncrease *percent `yaml:"max_increase"`
	MinChecks   int64    `yaml:"min_checks"`
}

type feedback struct {
	Conduct     conduct  `yaml:",inline"`
	Name        string   `yaml:"name"`
	Kinds       []string `yaml:"kinds"`
	MaxIncrease *percent `yaml:"max_increase"`
	MinRequests int64    `yaml:"min_requests"`
}

// pace is a word, or the bounds of an automatic pace.
type pace struct {
	word       string
	Regression *percent `yaml:"regression"`
	Exposure   *int64   `yaml:"exposure"`
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
		return mistake(node, "a pace without regression or exposure cannot be kept; write for example {regression: 1%%, exposure: 50}")
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
			Conduct: e.Conduct.domain(""), MaxIncrease: e.MaxIncrease.or(rollout.DefaultMaxIncrease), MinRequests: e.MinRequests,
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
			Conduct: f.Conduct.domain(f.Name), Kinds: f.Kinds, MaxIncrease: f.MaxIncrease.or(rollout.DefaultMaxIncrease), MinRequests: f.MinRequests,
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
