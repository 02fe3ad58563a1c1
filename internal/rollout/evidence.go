package rollout

import (
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
)

// Evidence is the leader's pooled view of the running rollouts, by service.
// It can be rebuilt from one round of the agents' reports.
type Evidence map[string]ServiceEvidence

// ServiceEvidence is what the agents report about one service.
type ServiceEvidence struct {
	Hosts map[string]HostEvidence
	// SettledAt is when every host of the wave was first seen settled in the
	// current epoch, on the fleet's clock; negative if they are not.
	SettledAt time.Duration
	// Verdict compares canary with stable since the step began.
	Verdict analysis.Verdict
	// Baseline counts stable beside the canary since the rollout began.
	Baseline Baseline
	// ZeroMillis is the time from the decision to go back until the last host
	// reported the canary's weight 0; -1 while some host has not.
	ZeroMillis int64
	// HeardAt is when any host of the fleet last reported, on the fleet's clock,
	// and Since from when on the silence of a host is its own: when the leader
	// began to listen, or the bus came back.
	HeardAt, Since time.Duration
}

// HostEvidence is one host's own account of one service.
type HostEvidence struct {
	Epoch    uint64 // of the assignment that the host works on
	Settled  bool   // the host is as that assignment wants it
	HasImage bool   // the canary's image is there
	Weight   int    // the canary's share in force, basis points
	Deaths   int    // canary containers that died by themselves in this rollout
	Death    string // the last of them, in words
	Problem  string // why the host cannot go on, in words
	Cause    Cause  // what kind of problem
	Fatal    bool   // trying again will not help
	// SeenAt is when it reported, on the fleet's clock.
	SeenAt time.Duration
}
