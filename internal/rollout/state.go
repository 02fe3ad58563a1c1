package rollout

import (
	"maps"
	"slices"
	"strconv"
	"time"
)

// Bounds of what the state remembers.
const (
	maxHistory  = 20    // finished rollouts per service
	maxOutcomes = 1_024 // triggers whose repetition is recognised
	maxOutbox   = 4_096 // unconfirmed events above which no trigger is taken
)

// State is everything that the replicas agree on. Only Apply changes it; a
// published State is never changed again (see Clone).
type State struct {
	Index uint64 `json:"index"` // of the last applied entry
	// Level is what the log may hold (Raise); 0 is LevelFirst.
	Level int `json:"level,omitempty"`
	// Clock is the fleet's own time: it runs while a leader leads and never
	// goes back. Wall clocks are for display only.
	Clock    time.Duration       `json:"clock"`
	Services map[string]*Service `json:"services"`
	// Frozen are the freezes, by service; that of the whole fleet under Fleet.
	Frozen map[string]Frozen `json:"frozen,omitempty"`
	// EventSeq numbers the events without a gap; Outbox holds those that the
	// stream has not confirmed yet.
	EventSeq uint64    `json:"event_seq"`
	Outbox   []Event   `json:"outbox,omitempty"`
	Outcomes []Outcome `json:"outcomes,omitempty"`
}

// Service is one service of the fleet.
type Service struct {
	Name string `json:"name"`
	// Epoch is the index of the last entry that changed what any host should
	// do for this service: the fencing token.
	Epoch  uint64    `json:"epoch"`
	Stable *Revision `json:"stable,omitempty"` // nil before the first install
	Spec   Spec      `json:"spec"`             // under which Stable was promoted
	Active *Rollout  `json:"active,omitempty"`
	Next   *Submit   `json:"next,omitempty"` // starts when Active, being replaced, has ended
	Number int       `json:"number"`         // of the last rollout
	// Held are the hosts that a promotion left out, with the revision that is
	// stable there until a later rollout reaches them, or a person releases them.
	Held map[string]Revision `json:"held,omitempty"`
	// History holds the finished rollouts, the newest last.
	History []Rollout `json:"history,omitempty"`
}

// Phase is where a rollout stands.
type Phase string

// The phases; the last three are final.
const (
	Preparing   Phase = "Preparing"
	Progressing Phase = "Progressing"
	Paused      Phase = "Paused"
	Promoting   Phase = "Promoting"
	RollingBack Phase = "RollingBack"
	Succeeded   Phase = "Succeeded"
	RolledBack  Phase = "RolledBack"
	Aborted     Phase = "Aborted"
)

// Final reports whether no phase follows p.
func (p Phase) Final() bool { return p == Succeeded || p == RolledBack || p == Aborted }

// Cause is why a rollout paused or went back.
type Cause string

// The causes.
const (
	CauseGate     Cause = "gate"     // a gate failed
	CauseDeath    Cause = "death"    // canary containers died
	CauseImage    Cause = "image"    // the image cannot be had
	CauseStart    Cause = "start"    // containers do not start or do not get ready
	CauseDeadline Cause = "deadline" // a phase or the rollout took too long
	CauseOperator Cause = "operator" // a person said so
	CauseReplaced Cause = "replaced" // another rollout was to take its place
	CauseApproval Cause = "approval" // a step waits for a person's approval
	CauseHost     Cause = "host"     // one host differs from all others
	CauseLost     Cause = "lost"     // hosts say nothing any more
)

// Rollout is one attempt to move a service from one revision to another.
type Rollout struct {
	ID      string `json:"id"`
	Service string `json:"service"`
	Spec    Spec   `json:"spec"`
	// Kept becomes the service's spec in place of Spec, if not nil (Submit.Back).
	Kept  *Spec     `json:"kept,omitempty"`
	From  *Revision `json:"from,omitempty"` // nil: an install
	To    Revision  `json:"to"`
	Hosts []string  `json:"hosts"` // in the order in which they take steps
	// Excluded are hosts that the rollout went on without, and why.
	Excluded []Exclusion `json:"excluded,omitempty"`
	// Lost are hosts that the rollout went on without because they were silent.
	// They follow the stable revision when they are back.
	Lost   []string `json:"lost,omitempty"`
	Phase  Phase    `json:"phase"`
	Step   int      `json:"step"` // index into Spec.Steps
	By     string   `json:"by,omitempty"`
	Reason string   `json:"reason,omitempty"`
	Trace  string   `json:"trace,omitempty"` // see Submit
	// Override names the freezes that a person had the rollout go through, in words.
	Override string `json:"override,omitempty"`
	// Parked takes the canary's traffic away while paused after a failed gate.
	Parked   bool   `json:"parked,omitempty"`
	Approved bool   `json:"approved,omitempty"` // a person approved the current step
	Cause    Cause  `json:"cause,omitempty"`    // of a pause, or of the way back
	Text     string `json:"text,omitempty"`     // the cause in words
	Aborting bool   `json:"aborting,omitempty"` // a person's return: ends Aborted
	// Baseline counts stable's requests while canary and stable stood side by
	// side: the control of steps where no stable traffic is left.
	Baseline Baseline `json:"baseline"`

	StartedAt time.Duration `json:"started_at"` // on the fleet's clock
	PhaseAt   time.Duration `json:"phase_at"`
	StepAt    time.Duration `json:"step_at"`
	// StepEpoch is the epoch in which the step or its evidence began: what hosts
	// report under an earlier one is of before.
	StepEpoch uint64 `json:"step_epoch,omitempty"`
	// Anew is how often the evidence began anew: each time with another part of
	// the gates' alpha (analysis.Gates.Attempt).
	Anew    int   `json:"anew,omitempty"`
	Started int64 `json:"started"`         // Unix milliseconds, for display
	Ended   int64 `json:"ended,omitempty"` // Unix milliseconds, for display

	// places are the positions in Hosts, while the rollout runs: they follow
	// from Hosts, and are no part of the encoded state.
	places map[string]int
}

// Exclusion is a host that the rollout went on without.
type Exclusion struct {
	Host string `json:"host"`
	Text string `json:"text"` // why
}

// Baseline is what stable did while the canary was watched beside it.
type Baseline struct {
	Requests int64 `json:"requests"`
	Errors   int64 `json:"errors"`
}

// Outcome is what became of a trigger, kept to answer its repetition.
type Outcome struct {
	Key     string        `json:"key"`
	At      time.Duration `json:"at"`
	Rollout string        `json:"rollout,omitempty"`
	Refusal *Refusal      `json:"refusal,omitempty"`
}

// NewState returns the state before the first entry.
func NewState() *State { return &State{Services: map[string]*Service{}} }

// Clone returns a copy that shares nothing that Apply changes.
func (s *State) Clone() *State {
	c := *s
	c.Services = make(map[string]*Service, len(s.Services))
	for name, svc := range s.Services {
		copied := *svc
		copied.History = slices.Clone(svc.History)
		copied.Held = maps.Clone(svc.Held)
		if svc.Active != nil {
			active := *svc.Active
			copied.Active = &active
		}
		c.Services[name] = &copied
	}
	c.Frozen = maps.Clone(s.Frozen)
	c.Outbox = slices.Clone(s.Outbox)
	c.Outcomes = slices.Clone(s.Outcomes)
	return &c
}

// Reindex makes what Assignment finds a host by. It is for a state that was
// decoded, before it is published: without it each host is searched for.
func (s *State) Reindex() {
	for _, svc := range s.Services {
		if svc.Active != nil {
			svc.Active.index()
		}
	}
}

// Names returns the services' names in order.
func (s *State) Names() []string { return slices.Sorted(maps.Keys(s.Services)) }

// Find returns the rollout of that id, running or remembered.
func (s *State) Find(id string) (Rollout, bool) {
	for _, name := range s.Names() {
		svc := s.Services[name]
		if svc.Active != nil && svc.Active.ID == id {
			return *svc.Active, true
		}
		for _, r := range svc.History {
			if r.ID == id {
				return r, true
			}
		}
	}
	return Rollout{}, false
}

// Latest returns the service's running rollout, or else the last one.
func (svc *Service) Latest() (Rollout, bool) {
	switch n := len(svc.History); {
	case svc.Active != nil:
		return *svc.Active, true
	case n > 0:
		return svc.History[n-1], true
	}
	return Rollout{}, false
}

// Known returns what became of the trigger with this key.
func (s *State) Known(key string) (Outcome, bool) {
	if key == "" {
		return Outcome{}, false
	}
	for _, o := range slices.Backward(s.Outcomes) {
		if o.Key == key {
			return o, true
		}
	}
	return Outcome{}, false
}

// rolloutID names the service's rollout of a number.
func (svc *Service) rolloutID(number int) string { return svc.Name + "-" + strconv.Itoa(number) }

// Install reports whether there is no stable revision to go back to.
func (r *Rollout) Install() bool { return r.From == nil }

// Wave returns how many of the rollout's hosts have taken the current step.
func (r *Rollout) Wave() int { return r.Spec.Steps[r.Step].Hosts.Of(len(r.Hosts)) }

// Weight returns the canary's share on the hosts of the wave, in basis points.
func (r *Rollout) Weight() int {
	if r.Parked {
		return 0
	}
	return r.Spec.Steps[r.Step].Weight
}

// Reach returns how many hosts the rollout began with: those that it goes on without, too.
func (r *Rollout) Reach() int { return len(r.Hosts) + len(r.Excluded) + len(r.Lost) }

// LastStep reports whether promotion follows the current step.
func (r *Rollout) LastStep() bool { return r.Step == len(r.Spec.Steps)-1 }

// Deadline is when the rollout's phase has to be over, on the fleet's clock. Until
// it is promoted that is the deadline of the whole: it goes back then.
func (r *Rollout) Deadline() time.Duration {
	switch r.Phase {
	case Promoting:
		return r.PhaseAt + PromoteDeadline
	case RollingBack:
		return r.PhaseAt + RollBackDeadline
	case Preparing, Progressing, Paused, Succeeded, RolledBack, Aborted:
	}
	return r.StartedAt + r.Spec.Deadline
}
