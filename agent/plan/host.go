package plan

import (
	"strconv"
	"time"
)

// Bank is one of the two groups of slots that a service has.
type Bank string

// The banks, and the absence of one.
const (
	NoBank Bank = ""
	BankA  Bank = "a"
	BankB  Bank = "b"
)

// FullWeight is the weight of a slot that serves as stable.
const FullWeight = 100

// Host is one service on one host, as it was last seen.
type Host struct {
	// Now is the time on a clock that only goes forward: the agent's.
	Now time.Duration
	// MayRaise is the leader's licence to do what Op.Raises.
	MayRaise bool
	// Ceiling is the most that the canary may have in basis points, whatever
	// is assigned: less than rollout.Full after a broadcast or a lost lease.
	Ceiling int
	// Frontend says that HAProxy takes the service's traffic as assigned.
	Frontend bool
	// Images are the pinned images that are at hand.
	Images     []string
	Containers []Container // those with our labels, in order of name
	Slots      []Slot
	Split      Split
	// MinStep is how finely HAProxy can split, in basis points; 1 or more.
	MinStep int
	// OldWorkers says that HAProxy processes from before a reload still serve
	// connections, by a list of servers that nobody can change any more.
	OldWorkers bool
}

// State is what a container does.
type State string

// The states of a container.
const (
	Created State = "created" // never started
	Running State = "running"
	Stopped State = "stopped" // exited; may be started again
	Broken  State = "broken"  // cannot be started again
	Leaving State = "leaving" // is being removed
)

// Container is one container with our labels.
type Container struct {
	ID       string
	Revision string
	Slot     string // by its label: a1 to b8
	State    State
	Ready    bool   // proved, since its last start
	Addr     string // ip:port while it runs, else empty
	// Restarted says that it ran before: its caches are cold, others serve.
	Restarted bool
	RetryAt   time.Duration // not to be started before: it keeps dying
	// StopGrace and DrainLimit are those of its revision, by its labels.
	StopGrace, DrainLimit time.Duration
}

// Slot is one server line of the service's HAProxy backend.
type Slot struct {
	Name   string
	Addr   string // ip:port
	Open   bool   // HAProxy may send requests to it: not in maintenance
	Up     bool   // by HAProxy's own checks
	Weight int    // in the traffic that the split does not take
	Idle   bool   // no request was open when last seen, twice
	// QuietSince is since when it gets no new requests, if it gets none.
	QuietSince time.Duration
	// AttachedAt is when it got its address; zero if that is long ago.
	AttachedAt time.Duration
}

// Split is how much of the traffic goes to which bank's slots.
type Split struct {
	Share    int // basis points
	Bank     Bank
	Salt     string // the canary's revision: decides which users are first
	Replicas int
}

// SlotName returns the name of the k-th slot of a bank, from 1.
func SlotName(b Bank, k int) string { return string(b) + strconv.Itoa(k) }

// BankOf returns the bank of a slot, NoBank if the name is none of a slot.
func BankOf(slot string) Bank {
	if len(slot) != 2 || slot[1] < '1' || slot[1] > '8' {
		return NoBank
	}
	switch b := Bank(slot[:1]); b {
	case BankA, BankB:
		return b
	default:
		return NoBank
	}
}

// Private

func (b Bank) other() Bank {
	if b == BankA {
		return BankB
	}
	return BankA
}
