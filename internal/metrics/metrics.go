// Package metrics is what the metrics of both daemons have in common: a set of
// metrics that knows what it consists of, so that the reference and the checks
// of dashboards and rules follow from it; which build it is; and the bus.
//
// A set holds two sorts: counters, gauges and histograms that the daemon moves as
// things happen, and readings, which are taken when somebody asks for the page.
package metrics

import (
	"context"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// scrapeTimeout bounds everything that is asked for one page.
const scrapeTimeout = 5 * time.Second

// Kind is what sort of metric it is, in Prometheus' words.
type Kind string

// The kinds.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
	Summary   Kind = "summary"
)

// The values of the label track. Whatever is neither is Other, so that a series
// is not made for each revision.
const (
	Stable = "stable"
	Canary = "canary"
	Other  = "other"
)

// Definition is one metric as the reference lists it.
type Definition struct {
	Name   string
	Kind   Kind
	Help   string
	Labels []string
}

// Set is the metrics of one process. The zero value is not valid: use New.
type Set struct {
	registry    *prometheus.Registry
	definitions []Definition
}

// New makes a set that holds what every daemon tells: its build, and what the
// Go runtime and the kernel know of its process.
func New(program, version string) *Set {
	s := &Set{registry: prometheus.NewRegistry()}
	s.Gauge("serin_build_info", "1, with the build that runs in the labels.", "program", "version", "go").
		WithLabelValues(program, version, runtime.Version()).Set(1)
	s.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return s
}

// Counter adds a metric that only grows.
func (s *Set) Counter(name, help string, labels ...string) *prometheus.CounterVec {
	s.define(Definition{name, Counter, help, labels})
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	s.registry.MustRegister(v)
	return v
}

// Gauge adds a metric that rises and falls.
func (s *Set) Gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	s.define(Definition{name, Gauge, help, labels})
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	s.registry.MustRegister(v)
	return v
}

// Histogram adds a metric that counts observations in buckets, given by their
// upper bounds.
func (s *Set) Histogram(name, help string, bounds []float64, labels ...string) *prometheus.HistogramVec {
	s.define(Definition{name, Histogram, help, labels})
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: bounds}, labels)
	s.registry.MustRegister(v)
	return v
}

// Durations are the bounds of histograms of what a daemon does, in seconds.
func Durations() []float64 {
	return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
}

// Definitions lists the set's own metrics, by name. Those of the Go runtime and
// the process are not among them.
func (s *Set) Definitions() []Definition {
	sorted := slices.Clone(s.definitions)
	slices.SortFunc(sorted, func(x, y Definition) int { return strings.Compare(x.Name, y.Name) })
	return sorted
}

// Registry is what a test gathers from.
func (s *Set) Registry() *prometheus.Registry { return s.registry }

// Handler serves the page. A reading that cannot be had leaves its metrics out,
// and not the others.
func (s *Set) Handler() http.Handler {
	return promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4,
	})
}

// Reading is a metric whose value is asked for with each page.
type Reading struct {
	desc *prometheus.Desc
	kind Kind
}

// Reading adds a metric that a scrape fills in; see OnScrape.
func (s *Set) Reading(kind Kind, name, help string, labels ...string) Reading {
	s.define(Definition{name, kind, help, labels})
	return Reading{prometheus.NewDesc(name, help, labels, nil), kind}
}

// OnScrape has fill called for each page, with what takes the values of the given
// readings. ctx ends after some seconds. Several pages may be asked for at once.
func (s *Set) OnScrape(fill func(ctx context.Context, page Page), readings ...Reading) {
	s.registry.MustRegister(scrape{readings, fill})
}

// Page takes readings.
type Page struct{ to chan<- prometheus.Metric }

// Put tells the value of a counter or a gauge; the values of labels are in the
// order of their names.
func (p Page) Put(r Reading, value float64, labels ...string) {
	kind := prometheus.GaugeValue
	if r.kind == Counter {
		kind = prometheus.CounterValue
	}
	p.to <- prometheus.MustNewConstMetric(r.desc, kind, value, labels...)
}

// Flag is Put of 1 or 0.
func (p Page) Flag(r Reading, yes bool, labels ...string) {
	value := 0.0
	if yes {
		value = 1
	}
	p.Put(r, value, labels...)
}

// Distribution tells a histogram: how many observations there were, their sum,
// and how many did not exceed each bound.
func (p Page) Distribution(r Reading, count uint64, sum float64, upTo map[float64]uint64, labels ...string) {
	p.to <- prometheus.MustNewConstHistogram(r.desc, count, sum, upTo, labels...)
}

// Quantiles tells a summary without a sum worth telling: it is left at 0.
func (p Page) Quantiles(r Reading, count uint64, quantiles map[float64]float64, labels ...string) {
	p.to <- prometheus.MustNewConstSummary(r.desc, count, 0, quantiles, labels...)
}

// Private

func (s *Set) define(d Definition) { s.definitions = append(s.definitions, d) }

// scrape is a collector of readings.
type scrape struct {
	readings []Reading
	fill     func(ctx context.Context, page Page)
}

// Describe implements prometheus.Collector.
func (s scrape) Describe(to chan<- *prometheus.Desc) {
	for _, r := range s.readings {
		to <- r.desc
	}
}

// Collect implements prometheus.Collector. The library hands on no context of
// the request's.
func (s scrape) Collect(to chan<- prometheus.Metric) {
	ctx, stop := context.WithTimeout(context.Background(), scrapeTimeout)
	defer stop()
	s.fill(ctx, Page{to})
}
