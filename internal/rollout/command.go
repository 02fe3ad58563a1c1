package rollout

import (
	"fmt"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
)

// Entry is one entry of the replicated log: a command and the leader's stamp.
type Entry struct {
	Stamp
	Command Command
}

// Stamp is what the leader adds to a command before it proposes it, so that
// applying needs no clock.
type Stamp struct {
	At        time.Duration `json:"at"`                  // the fleet's clock
	Wall      int64         `json:"wall"`                // Unix milliseconds, for display
	By        string        `json:"by"`                  // who decided
	Confirmed uint64        `json:"confirmed,omitempty"` // last event that the stream holds
}

// Command is what an entry asks for. Every command but Submit, Refuse, Release,
// Raise, Freeze, Thaw and Tick names the rollout and the epoch that it was decided against; another
// epoch refuses it.
//
//sumtype:decl
type Command interface{ command() }

// Submit starts a rollout.
type Submit struct {
	Key    string   `json:"key"` // names the trigger: its repetition starts nothing
	Spec   Spec     `json:"spec"`
	To     Revision `json:"to"`
	Hosts  []string `json:"hosts"`
	By     string   `json:"by,omitempty"`
	Reason string   `json:"reason,omitempty"`
	// Replace ends a running rollout first instead of being refused.
	Replace bool `json:"replace,omitempty"`
	// IfNew refuses the trigger if it asks for nothing new when it is applied, for
	// another rollout may have ended or begun since it came (Service.Unchanged).
	IfNew bool `json:"if_new,omitempty"`
	// Override goes through freezes: a person says so, and why.
	Override bool `json:"override,omitempty"`
	// Back returns to a revision that was stable before: by Spec.Back, while
	// Spec stays the service's.
	Back bool `json:"back,omitempty"`
	// Trace is where in a trace (W3C's traceparent) the trigger was sent, if it said
	// so and traces are made: nothing else outlives a leader and is known to the next.
	Trace string `json:"trace,omitempty"`
}

// Refuse records a trigger that was not accepted.
type Refuse struct {
	Key     string  `json:"key"`
	Service string  `json:"service"`
	Refusal Refusal `json:"refusal"`
}

// Target names what a command was decided against.
type Target struct {
	Service string `json:"service"`
	Rollout string `json:"rollout"`
	Epoch   uint64 `json:"epoch"`
}

// TargetOf returns what a command was decided against; false for one that needs no
// rollout.
func TargetOf(c Command) (Target, bool) {
	decided, ok := c.(interface{ target() Target })
	if !ok {
		return Target{}, false
	}
	return decided.target(), true
}

// Why is the reason of a decision, with the evidence in integers.
type Why struct {
	Cause   Cause             `json:"cause,omitempty"`
	Text    string            `json:"text,omitempty"`
	Verdict *analysis.Verdict `json:"verdict,omitempty"`
	Hosts   []string          `json:"hosts,omitempty"` // that gave the reason
}

// Advance takes the next step; from Preparing it takes the first.
type Advance struct {
	Target
	Why      Why      `json:"why"`
	Baseline Baseline `json:"baseline"`
	// Next is the step to take, where the evidence chooses the pace; nil takes
	// the one that the spec names.
	Next *Step `json:"next,omitempty"`
}

// Approve is a person's consent to leave the current step. Where only that was
// missing, the next step follows at once.
type Approve struct {
	Target
	Reason string `json:"reason,omitempty"`
}

// Pause holds the rollout; Park takes the canary's traffic away meanwhile.
type Pause struct {
	Target
	Why      Why      `json:"why"`
	Park     bool     `json:"park,omitempty"`
	Baseline Baseline `json:"baseline"` // as in Advance, for the step that an approval leads to
}

// Exclude takes one host back to stable, and goes on without it: a bad host is
// not a bad version.
type Exclude struct {
	Target
	Host string `json:"host"`
	Why  Why    `json:"why"`
}

// Release lets a host that was excluded follow the service's stable revision
// again.
type Release struct {
	Service string `json:"service"`
	Host    string `json:"host"`
	Reason  string `json:"reason,omitempty"`
}

// Resume goes on after a pause.
type Resume struct {
	Target
	Reason string `json:"reason,omitempty"`
}

// Promote makes the canary stable on every host.
type Promote struct {
	Target
	Why Why `json:"why"`
}

// RollBack returns every host to stable by serin's own decision.
type RollBack struct {
	Target
	Why Why `json:"why"`
}

// Abort returns every host to stable because a person said so.
type Abort struct {
	Target
	Reason string `json:"reason,omitempty"`
}

// Finish ends a rollout that is Promoting or RollingBack.
type Finish struct {
	Target
	// Lost names hosts that had not followed by the phase's deadline; they
	// converge when they are back.
	Lost []string `json:"lost,omitempty"`
	// ZeroMillis is the time from the verdict until the last host reported the
	// canary's weight 0, in milliseconds; -1 if it was not seen.
	ZeroMillis int64 `json:"zero_millis,omitempty"`
}

func (Submit) command()   {}
func (Refuse) command()   {}
func (Advance) command()  {}
func (Approve) command()  {}
func (Pause) command()    {}
func (Exclude) command()  {}
func (Release) command()  {}
func (Resume) command()   {}
func (Promote) command()  {}
func (RollBack) command() {}
func (Abort) command()    {}
func (Finish) command()   {}
func (Lose) command()     {}
func (Raise) command()    {}
func (Renew) command()    {}

func (t Target) target() Target { return t }

// Code classifies refusals for programs.
type Code string

// The codes of refusals.
const (
	CodeInvalid   Code = "invalid"     // a field is wrong
	CodeUnchanged Code = "unchanged"   // there is nothing to do
	CodeConflict  Code = "conflict"    // another rollout runs
	CodeStale     Code = "stale"       // decided against an older state
	CodeUnknown   Code = "unknown"     // no such service or rollout
	CodeFrozen    Code = "frozen"      // rollouts are kept from beginning
	CodePhase     Code = "phase"       // not possible in the rollout's phase
	CodeImage     Code = "image"       // the image cannot be resolved
	CodeBusy      Code = "unavailable" // no leader, or no host to ask
)

// Refusal says why a command or a trigger was not carried out.
type Refusal struct {
	Code    Code   `json:"code"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
	Rollout string `json:"rollout,omitempty"` // the one in the way
}

// Error renders the refusal for people.
func (r *Refusal) Error() string {
	if r.Field != "" {
		return r.Field + ": " + r.Message
	}
	return r.Message
}

// Refused makes a refusal out of a problem with a field.
func (p *Problem) Refused() *Refusal {
	return &Refusal{Code: CodeInvalid, Field: p.Field, Message: p.Message}
}

func refusef(code Code, rollout, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Rollout: rollout, Message: fmt.Sprintf(format, args...)}
}
