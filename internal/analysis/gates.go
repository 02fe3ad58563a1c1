package analysis

import "time"

// Gates are what a [Panel] judges by. Zero fields take their defaults.
type Gates struct {
	// Alpha bounds the chance that a version that is no worse is ever failed by any of the tested
	// gates, over the whole rollout, in parts per million; default 10000 (1 %). It is split over
	// the gates: see Panel.Shares.
	Alpha int
	// AlphaSafe bounds the chance that a version beyond a gate's margin passes a step, in parts
	// per million; default 50000 (5 %). It needs no splitting: a pass needs every gate's.
	AlphaSafe int
	// Hosts is how many the rollout has. A host that is named as the only bad one has to be beyond
	// what is likely among so many; 0 or too few: among those heard of so far, of which a rollout by
	// waves has fewer at first.
	Hosts int
	// Window is the length of a host-window; 0: the default of Config.
	Window time.Duration
	// Errors is always judged, for the traffic's sake; a spec without an errors gate observes it.
	Errors     RateGate
	Latency    []LatencyGate
	Rates      []RateGate // signals that count bad events among all
	Usage      *UsageGate
	Conditions []ConditionGate // decided elsewhere, told by Panel.Tell
}

// Conduct is what every gate has: its name, and what follows from it.
type Conduct struct {
	Name string `json:"name"`
	// Observe: reported, never acted on.
	Observe bool `json:"observe,omitempty"`
	// Optional: the gate is passed over while it has no data: its source has not spoken in the step
	// yet, or is silent. Otherwise no data is never a pass, whatever the gate said before.
	Optional bool `json:"optional,omitempty"`
	// OnSilence is what follows when the gate's source has said nothing for Silence. Of an Optional
	// gate it counts once the source has spoken in the step.
	OnSilence OnSilence `json:"on_silence,omitempty"`
}

// OnSilence is what a gate comes to whose source fell silent.
type OnSilence string

// WaitOnSilence waits for the source or the deadline, FailOnSilence fails the gate. The empty
// value waits.
const (
	WaitOnSilence OnSilence = "wait"
	FailOnSilence OnSilence = "fail"
)

// Silence is how long a gate's source may say nothing before it counts as silent.
const Silence = time.Minute

// RateGate compares how large a part of all events is bad, canary against stable.
type RateGate struct {
	Conduct

	// MaxIncrease is as in Config: basis points of all, NoIncrease for none.
	MaxIncrease int
	MinRequests int64
	// Noun is what is counted, for people: "5xx" if empty.
	Noun string
}

// LatencyGate compares how long requests take.
type LatencyGate struct {
	Conduct

	// Quantile is the one compared, in basis points (9900 is p99); 0 compares the whole
	// distribution, at several quantiles at once.
	Quantile int
	// MaxIncrease is by how much canary's quantile may exceed stable's, in basis points of
	// stable's (2000: 20 % slower); NoIncrease for none.
	MaxIncrease int
	MinRequests int64
	// Route restricts the gate to requests of one route class; "" takes all requests.
	Route string
}

// UsageGate watches what canary's containers use and how they fare, beside stable's.
type UsageGate struct {
	Conduct

	// MaxMemory is by how much canary's memory may exceed stable's, in basis points of stable's.
	MaxMemory int
	// MaxThrottled is by how much the part of CPU periods in which canary was throttled may
	// exceed stable's, in basis points of all periods; NoIncrease for none.
	MaxThrottled int
	// MaxRestarts is how many restarts (and kills for want of memory) of canary's containers are
	// let pass in the whole rollout.
	MaxRestarts int
}
