package rollout

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Full is a whole share in basis points: 100 %.
const Full = 10_000

// Spec is what an operator submits: the rollout file, after parsing and
// defaulting. Every share is in basis points (0..10000).
type Spec struct {
	Service   string    `json:"service"`
	Image     string    `json:"image"`
	Hosts     Selector  `json:"hosts"`
	Replicas  int       `json:"replicas"`
	Frontend  Frontend  `json:"frontend"`
	Container Container `json:"container"`
	Strategy  Strategy  `json:"strategy"`
	// Pace is who chooses the steps; Auto bounds the risk of AutoPace.
	Pace      Pace      `json:"pace"`
	Auto      *Auto     `json:"auto,omitempty"`
	Steps     []Step    `json:"steps"`
	Gates     Gates     `json:"gates"`
	OnFailure OnFailure `json:"on_failure"`
	// OnControlLoss says what an agent does with a canary in flight when it
	// has heard no leader for its lease.
	OnControlLoss OnControlLoss `json:"on_control_loss"`
	// Deadline bounds the rollout from submission to its end.
	Deadline time.Duration `json:"deadline"`
	// LostAfter is how long a host may say nothing, while others do, before it
	// counts as lost; MaxLost how many may be lost before that is a failure.
	LostAfter time.Duration `json:"lost_after,omitempty"`
	MaxLost   *HostCount    `json:"max_lost,omitempty"`
}

// Strategy names a preset of steps; all strategies run on the same engine.
type Strategy string

// The strategies.
const (
	Canary    Strategy = "canary"
	BlueGreen Strategy = "bluegreen"
	Rolling   Strategy = "rolling"
)

// OnFailure says what a failed gate does.
type OnFailure string

// RollBackOnFailure takes the canary back; PauseOnFailure takes its traffic
// away, keeps its containers, and waits for a person.
const (
	RollBackOnFailure OnFailure = "rollback"
	PauseOnFailure    OnFailure = "pause"
)

// OnControlLoss is an agent's conduct without a leader.
type OnControlLoss string

// RevertOnLoss returns a canary in flight to weight 0; HoldOnLoss leaves it.
const (
	RevertOnLoss OnControlLoss = "revert"
	HoldOnLoss   OnControlLoss = "hold"
)

// Selector picks hosts: by name, or by all of the labels; every host if both
// are empty.
type Selector struct {
	Names  []string          `json:"names,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
}

// Matches reports whether a host of that name and those labels is selected.
func (s Selector) Matches(name string, labels map[string]string) bool {
	if len(s.Names) > 0 {
		return slices.Contains(s.Names, name)
	}
	for k, v := range s.Labels {
		if labels[k] != v {
			return false
		}
	}
	return true
}

// Frontend says where a host's HAProxy takes the service's traffic: Listen for
// a HAProxy that the agent runs, Backend for one that is already there.
type Frontend struct {
	Listen  string  `json:"listen,omitempty"`
	Backend string  `json:"backend,omitempty"`
	Routing Routing `json:"routing"`
}

// Routing is how the canary's share is split off.
type Routing string

// Sticky keeps a user on the side that the user met first; Weighted splits
// request by request.
const (
	Sticky   Routing = "sticky"
	Weighted Routing = "weights"
)

// Container is how one container of a revision runs.
type Container struct {
	Port      int               `json:"port"`
	Env       map[string]string `json:"env,omitempty"`
	EnvFile   string            `json:"env_file,omitempty"`
	Command   []string          `json:"command,omitempty"`
	User      string            `json:"user,omitempty"`
	Network   string            `json:"network,omitempty"`
	Memory    int64             `json:"memory,omitempty"`    // bytes
	CPUMilli  int               `json:"cpu_milli,omitempty"` // thousandths of a CPU
	StopGrace time.Duration     `json:"stop_grace"`
	// DrainLimit bounds the wait for open requests before a container is cut off.
	DrainLimit time.Duration `json:"drain_limit"`
	Health     Health        `json:"health"`
}

// Health is how readiness is proved before a container gets traffic.
type Health struct {
	Kind    HealthKind    `json:"kind"`
	Path    string        `json:"path,omitempty"`
	Timeout time.Duration `json:"timeout"` // from start until ready
}

// HealthKind is the way of proving readiness.
type HealthKind string

// HTTPHealth wants a 2xx or 3xx from a path, TCPHealth an accepted connection,
// DockerHealth the image's own health check.
const (
	HTTPHealth   HealthKind = "http"
	TCPHealth    HealthKind = "tcp"
	DockerHealth HealthKind = "docker"
)

// Step is a point on the path: this many hosts, this share of their traffic.
type Step struct {
	Hosts   HostCount     `json:"hosts"`
	Weight  int           `json:"weight"` // basis points of each host's traffic
	Hold    time.Duration `json:"hold,omitempty"`
	Approve bool          `json:"approve,omitempty"`
}

// HostCount is a number of hosts, or a share of them when Share is not zero.
type HostCount struct {
	Count int `json:"count,omitempty"`
	Share int `json:"share,omitempty"` // basis points
}

// Of returns how many of n hosts are meant: shares round up, so that a wave is
// never empty, and counts are capped at n.
func (h HostCount) Of(n int) int {
	if h.Share > 0 {
		return min(n, (n*h.Share+Full-1)/Full)
	}
	return min(n, h.Count)
}

// String renders a count as users write it.
func (h HostCount) String() string {
	if h.Share > 0 {
		return Percent(h.Share)
	}
	return strconv.Itoa(h.Count)
}

// Percent renders basis points as users write them: 2050 is "20.5%".
func Percent(basisPoints int) string {
	whole, rest := basisPoints/100, basisPoints%100
	switch {
	case rest == 0:
		return fmt.Sprintf("%d%%", whole)
	case rest%10 == 0:
		return fmt.Sprintf("%d.%d%%", whole, rest/10)
	default:
		return fmt.Sprintf("%d.%02d%%", whole, rest)
	}
}
