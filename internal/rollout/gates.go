package rollout

import (
	"slices"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
)

// Gates are the conditions on evidence. A rollout fails when any gate fails that is acted on; it
// goes on when all of them pass.
type Gates struct {
	// Alpha bounds the chance that a version that is no worse is rolled back by any gate that
	// compares, over the whole rollout: parts per million, split over the gates.
	Alpha      int              `json:"alpha"`
	Errors     *ErrorsGate      `json:"errors,omitempty"` // nil: switched off
	Latency    []LatencyGate    `json:"latency,omitempty"`
	Saturation *SaturationGate  `json:"saturation,omitempty"`
	Metrics    []MetricsGate    `json:"metrics,omitempty"`
	Prometheus []PrometheusGate `json:"prometheus,omitempty"`
	Checks     []CheckGate      `json:"checks,omitempty"`
	Feedback   []FeedbackGate   `json:"feedback,omitempty"`
	// Routes are path prefixes that latency gates tell apart; the longest that fits a request's
	// path is its route class.
	Routes []string `json:"routes,omitempty"`
	// OneHost says what a host does to the rollout whose canary alone is bad.
	OneHost OneHost `json:"one_host"`
}

// OneHost is the answer to a difference that comes from a single host.
type OneHost string

// ExcludeHost takes the host back to stable and goes on without it; PauseForHost takes no further
// step and waits for a person; FailForHost treats it as any failure.
const (
	ExcludeHost  OneHost = "exclude"
	PauseForHost OneHost = "pause"
	FailForHost  OneHost = "fail"
)

// Conduct is what all gates have in common. Its Name is unique among the rollout's, and usable as
// ValidName says. Errors and saturation are called so; a latency gate is "latency-p99", and with a
// route "latency-p99-api", if the user does not call it otherwise.
type Conduct = analysis.Conduct

// OnSilence is what a silent source does to its gate.
type OnSilence = analysis.OnSilence

// WaitOnSilence waits for it until the deadline; FailOnSilence fails the gate.
const (
	WaitOnSilence = analysis.WaitOnSilence
	FailOnSilence = analysis.FailOnSilence
)

// ErrorsGate compares the canary's rate of server errors with stable's.
type ErrorsGate struct {
	Conduct

	MaxIncrease int   `json:"max_increase"` // basis points over stable
	MinRequests int64 `json:"min_requests"` // canary requests before a pass
}

// WholeDistribution in place of a quantile compares several of them at once.
const WholeDistribution = 0

// LatencyGate compares how long requests take.
type LatencyGate struct {
	Conduct

	Quantile    int    `json:"quantile,omitempty"` // basis points: 9900 is p99; or WholeDistribution
	MaxIncrease int    `json:"max_increase"`       // basis points of stable's: 2000 is 20 % slower
	MinRequests int64  `json:"min_requests"`
	Route       string `json:"route,omitempty"` // one of Gates.Routes; "" for all requests
}

// SaturationGate watches what canary containers use beside stable's.
type SaturationGate struct {
	Conduct

	MaxMemory    int `json:"max_memory"`    // basis points of stable's memory that canary may need more
	MaxThrottled int `json:"max_throttled"` // basis points of CPU periods that canary may be throttled more
	MaxRestarts  int `json:"max_restarts"`  // restarts and kills of canary containers that are let pass
}

// MetricsGate reads what each container says of itself at its own /metrics, in Prometheus' text
// format: either a rate of bad events (Bad over Total), compared like errors, or readings in a
// condition.
type MetricsGate struct {
	Conduct

	Path string `json:"path"`           // of the page
	Port int    `json:"port,omitempty"` // 0: the container's
	// Bad and Total select counters: name, or name{label="value",...}. Without Total, all requests
	// that HAProxy counted.
	Bad         string `json:"bad,omitempty"`
	Total       string `json:"total,omitempty"`
	MaxIncrease int    `json:"max_increase,omitempty"` // basis points
	MinRequests int64  `json:"min_requests,omitempty"`

	// Read names gauges or counters for the condition: variable to selector.
	Read map[string]string `json:"read,omitempty"`
	Condition
}

// Condition is a CEL expression over readings: canary.NAME and stable.NAME are means over the
// track's containers, canary.max.NAME, min and sum what they say. It fails the gate when it has
// been false Failures times running.
type Condition struct {
	When     string        `json:"when,omitempty"`
	Every    time.Duration `json:"every,omitempty"`
	Failures int           `json:"failures,omitempty"`
}

// PrometheusGate asks a Prometheus server, once for each track: $revision, $service and $track in a
// query stand for what they name. An answer is one number.
type PrometheusGate struct {
	Conduct

	Address string            `json:"address"` // http://host:port
	Queries map[string]string `json:"queries"` // variable to query
	Condition
}

// CheckGate asks over HTTP. With Path each agent asks every container of both tracks, and bad
// answers are compared like errors; with URL the leader asks, and the condition is on the answer.
type CheckGate struct {
	Conduct

	Path        string        `json:"path,omitempty"`
	MaxIncrease int           `json:"max_increase,omitempty"` // basis points of all checks
	MinChecks   int64         `json:"min_checks,omitempty"`
	URL         string        `json:"url,omitempty"`
	Timeout     time.Duration `json:"timeout,omitempty"`
	Condition                 // over status (a number), body (text) and took_ms
}

// FeedbackGate counts what users say on feedback.<service>, for each revision, per request.
type FeedbackGate struct {
	Conduct

	Kinds       []string `json:"kinds,omitempty"` // that are bad; all if empty
	MaxIncrease int      `json:"max_increase"`    // basis points of requests
	MinRequests int64    `json:"min_requests"`
}

// Counts reports whether a message of that kind is bad to the gate.
func (g FeedbackGate) Counts(kind string) bool {
	return len(g.Kinds) == 0 || slices.Contains(g.Kinds, kind)
}

// Pace says how steps are chosen.
type Pace string

// FixedPace takes the spec's steps; AutoPace chooses the next weight from the evidence.
const (
	FixedPace Pace = "steps"
	AutoPace  Pace = "auto"
)

// Auto bounds what a rollout of AutoPace may risk.
type Auto struct {
	// Regression is the increase of the error rate, in basis points, that the pace guards against.
	Regression int `json:"regression"`
	// Exposure is how many requests a version with such a regression may be expected to fail, beyond
	// what the old one would, over the whole rollout until its weight is 0 again. What the errors
	// gate needs to find it is part of that, and is needed at any weight: a plan tells where it
	// takes more.
	Exposure int64 `json:"exposure"`
}

// Telemetry is what an agent gathers for the gates of the rollout in flight.
type Telemetry struct {
	Routes  []string
	Metrics []Scrape
	Checks  []Probe
}

// Scrape is a page of metrics that every container of the service has.
type Scrape struct {
	Gate       string
	Path       string
	Port       int
	Bad, Total string
	Read       map[string]string
	Every      time.Duration
}

// Probe is a path that every container of the service is asked for.
type Probe struct {
	Gate    string
	Path    string
	Every   time.Duration
	Timeout time.Duration
}
