package plan

import (
	"fmt"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// Op is one operation on a host, safe to repeat.
//
//sumtype:decl
type Op interface {
	raises() bool
	// String says it in words, for people and transcripts.
	String() string
}

// Pull brings an image to the host.
type Pull struct{ Image string }

// Create makes the container of a revision for a slot.
type Create struct {
	Revision rollout.Revision
	Slot     string
	Raise    bool
}

// Start starts a container that exists.
type Start struct {
	ID, Slot string
	Raise    bool
}

// Prove waits until one of these containers is ready, but not for long.
type Prove struct {
	Revision   rollout.Revision
	Containers []Container
}

// Attach gives a slot its container's address and opens it, with weight 0.
type Attach struct{ Slot, Addr string }

// Weights sets the weights of slots, in order.
type Weights struct {
	Set   []SlotWeight
	Raise bool
}

// SlotWeight is a slot and its weight.
type SlotWeight struct {
	Slot   string
	Weight int
}

// Share sets the split.
type Share struct {
	Split Split
	Raise bool
}

// Promote makes a bank the one that serves: its weights up, then those of the
// other bank down, then the split's share to 0.
type Promote struct{ Bank Bank }

// Drain waits until the slot is idle or the time has come to cut it off.
type Drain struct {
	Slot  string
	Until time.Duration // on Host.Now's clock
}

// Detach closes a slot; Cut ends what is still open on it.
type Detach struct {
	Slot  string
	Cut   bool
	Raise bool
}

// Stop stops a container that nothing is sent to any more.
type Stop struct {
	ID, Slot string
	Grace    time.Duration
}

// Remove removes a container that does not run.
type Remove struct{ ID, Slot string }

// EnsureFrontend makes HAProxy take the service's traffic as assigned.
type EnsureFrontend struct{}

// RemoveFrontend makes HAProxy forget the service.
type RemoveFrontend struct{}

// Wait has nothing to do before Until on Host.Now's clock, or before something
// changes.
type Wait struct {
	Why   string
	Until time.Duration
}

// Ask needs a licence for an operation before anything else can be done.
type Ask struct{ For Op }

// Settled says that the host is as it should be.
type Settled struct{}

// Raises says that an operation needs a licence: it raises a weight, starts what
// does not serve yet, or takes away what lives.
func Raises(op Op) bool { return op.raises() }

// Private

func (Pull) raises() bool           { return false }
func (o Create) raises() bool       { return o.Raise }
func (o Start) raises() bool        { return o.Raise }
func (Prove) raises() bool          { return false }
func (Attach) raises() bool         { return false }
func (o Weights) raises() bool      { return o.Raise }
func (o Share) raises() bool        { return o.Raise }
func (Promote) raises() bool        { return true }
func (Drain) raises() bool          { return false }
func (o Detach) raises() bool       { return o.Raise }
func (Stop) raises() bool           { return true }
func (Remove) raises() bool         { return false }
func (EnsureFrontend) raises() bool { return false }
func (RemoveFrontend) raises() bool { return true }
func (Wait) raises() bool           { return false }
func (Ask) raises() bool            { return false }
func (Settled) raises() bool        { return false }

func (o Pull) String() string   { return "pull " + o.Image }
func (o Create) String() string { return "create " + o.Revision.ID + " for " + o.Slot }
func (o Start) String() string  { return "start " + o.Slot }

func (o Prove) String() string {
	slots := make([]string, 0, len(o.Containers))
	for _, c := range o.Containers {
		slots = append(slots, c.Slot)
	}
	return "wait until ready: " + strings.Join(slots, " ")
}

func (o Attach) String() string { return "attach " + o.Slot + " to " + o.Addr }

func (o Weights) String() string {
	var b strings.Builder
	b.WriteString("weigh")
	for _, w := range o.Set {
		fmt.Fprintf(&b, " %s=%d", w.Slot, w.Weight)
	}
	return b.String()
}

func (o Share) String() string {
	return "give " + rollout.Percent(o.Split.Share) + " to bank " + string(o.Split.Bank)
}

func (o Promote) String() string { return "promote bank " + string(o.Bank) }
func (o Drain) String() string   { return "drain " + o.Slot }

func (o Detach) String() string {
	if o.Cut {
		return "detach " + o.Slot + ", cutting off what is open"
	}
	return "detach " + o.Slot
}

func (o Stop) String() string         { return "stop " + o.Slot }
func (o Remove) String() string       { return "remove " + o.Slot }
func (EnsureFrontend) String() string { return "set up the frontend" }
func (RemoveFrontend) String() string { return "remove the frontend" }
func (o Wait) String() string         { return "wait: " + o.Why }
func (o Ask) String() string          { return "ask for a licence to " + o.For.String() }
func (Settled) String() string        { return "settled" }
