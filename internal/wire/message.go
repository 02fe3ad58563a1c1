// Package wire turns what coordinator and agents say to each other into bytes
// and back. It is the only importer of the protobuf types in proto/.
package wire

import (
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Health is an agent's report.
type Health struct {
	Host     string
	Version  string // of the agent
	Nonce    uint64 // the leader's echo is the licence to raise
	Sequence uint64 // of this report since the agent started
	Started  string // names this run of the agent
	Run      uint64 // numbers it: a later run of the same host has a higher one; 0: not told
	Labels   map[string]string
	Docker   string // Engine version
	HAProxy  string // version
	Wall     int64  // Unix milliseconds, for display
	// Mark is the fleet's clock when the report was made, as the agent has it from
	// beats; it does not fall while the leaders' clock does not. 0: not known.
	Mark     time.Duration
	Services []ServiceHealth
	// Checks is what the agent finds of what it works with; nil: it does not tell.
	Checks *Checks
}

// Checks is what an agent finds of what it works with, for people.
type Checks struct {
	DockerProblem  string // why it cannot be used; empty: it answers
	HAProxyProblem string // likewise
	DiskFree       int64  // bytes, of the file system of its state
	DiskSize       int64  // bytes; 0: not known
}

// ServiceHealth is an agent's account of one service.
type ServiceHealth struct {
	Service      string
	Epoch        uint64 // of the assignment that the host works on
	Settled      bool   // the host is as that assignment wants it
	HasImage     bool   // images to prefetch, and the canary's, are there
	Weight       int    // canary's share in force, basis points
	Stable       string // revision id that runs as stable
	Canary       string // revision id that runs as canary
	StableReady  int
	CanaryReady  int
	Deaths       int    // canary containers that died by themselves in this rollout
	Death        string // the last of them, in words
	Problem      string // why the host cannot go on
	Cause        rollout.Cause
	Fatal        bool   // trying again will not help
	Doing        string // the op at hand, for people
	WantsRaise   bool   // the next op needs a licence
	Incarnation  string // changes when the counters began again at zero
	CanaryCounts analysis.Counts
	// CanaryInstances is how many containers stand behind CanaryCounts.
	CanaryInstances int
	StableCounts    map[string]analysis.Counts // by instance

	// Latencies, Signals, Usage and Readings are what the rollout's gates want to
	// know. An entry that is left out holds on as the last report of the incarnation
	// said. All latencies of one instance come in one report, or none of them.
	Latencies []analysis.Latency
	// Signals is by gate. A gate is there if its source has said something lately,
	// and a stable instance in it if that one has: what is silent shows by its
	// absence. The same holds of Usage and Readings.
	Signals  map[string]analysis.Signal
	Usage    []analysis.Usage
	Readings []Reading
	// TelemetryProblem says why something of these that was sent is not there: it
	// was refused, the rest of the report was not. It does not travel.
	TelemetryProblem string
}

// Reading is what the containers of a host say of themselves: a variable of a
// gate's condition, by track.
type Reading struct {
	Gate, Variable string
	Canary, Stable Spread
}

// Spread is how a reading is spread over a track's containers.
type Spread struct {
	Containers    int // that gave one
	Sum, Min, Max float64
}

// Assign is the leader's message to one agent: all that the host should be.
type Assign struct {
	Host        string
	Nonce       uint64 // of the health that this answers; 0: no licence to raise
	Leader      string
	Term        uint64
	Assignments []rollout.Assignment
	Interval    time.Duration // how often to report
	Lease       time.Duration // how long to keep a canary without hearing a leader
}

// Beat says that a leader with verified leadership is there.
type Beat struct {
	Leader string
	Term   uint64
	Lease  time.Duration
	Clock  time.Duration // the fleet's; 0: not told
}

// Resolve asks an agent's Docker what a reference stands for.
type Resolve struct{ Image string }

// Resolved is the answer to Resolve: the pinned reference, or an error in words.
type Resolved struct {
	Image string
	Local bool // known to this host's Docker only
	Error string
}
