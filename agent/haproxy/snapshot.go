package haproxy

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// State is what HAProxy does with a slot.
type State int

// The states of a slot.
const (
	// Maint gets nothing: the slot is empty, or taken out.
	Maint State = iota
	// Ready may get traffic, by its weight and the split.
	Ready
	// Drain gets no new users. Serin sets weight 0 instead; an operator may drain.
	Drain
	// Down is Ready, but HAProxy's check or its passive observation failed.
	Down
)

// String returns HAProxy's word.
func (s State) String() string {
	switch s {
	case Maint:
		return "maint"
	case Ready:
		return "ready"
	case Drain:
		return "drain"
	case Down:
		return "down"
	default:
		return "state " + strconv.Itoa(int(s))
	}
}

// Slot is one server of a backend.
type Slot struct {
	Name     string         // a1..aN, b1..bN
	Addr     netip.AddrPort // zero if the slot is empty
	State    State
	Weight   int  // 0..256
	Sessions int  // requests in it and waiting for it (scur + qcur)
	Up       bool // HAProxy would send to it
	Counters
}

// Attached tells whether the slot has an address and is not in maintenance.
func (s Slot) Attached() bool { return s.Addr.IsValid() && s.State != Maint }

// Counters are HAProxy's own since its worker started (Snapshot.Pid and Uptime
// tell when that was); they stay with the slot when its container changes.
type Counters struct {
	Requests       int64 // attempts sent to this server that have ended, retries included (stot less scur)
	Errors5xx      int64 // the server answered 5xx (hrsp_5xx)
	ResponseErrors int64 // no or half an answer: crash, timeout (eresp)
	ConnectErrors  int64 // did not connect, no retry left (econ)
	Redispatches   int64 // did not connect, another server answered (wredis)
	Retries        int64 // attempts that were repeated (wretr)
}

// Attempts is how often a request was sent to the server and has ended, by an
// answer or without one: one that is still waited for says nothing yet, or else
// a server that answers nobody would look good until its users give up.
func (c Counters) Attempts() int64 { return c.Requests }

// Errors is an upper bound of the attempts that went wrong: HAProxy may count a
// connection that failed on its last retry as both ConnectErrors and
// Redispatches. Errors5xx alone is blind to a server that crashes, since
// the retries that protect the users hide it.
func (c Counters) Errors() int64 {
	return c.Errors5xx + c.ResponseErrors + c.ConnectErrors + c.Redispatches
}

// Totals count what the users of a service saw, whichever server it was.
type Totals struct {
	Requests  int64 // answered requests (req_tot of the backend)
	Errors5xx int64 // answers 5xx, HAProxy's own 502, 503 and 504 included
}

// Split says which share of the users goes to the canary.
type Split struct {
	// Share is the canary's, in basis points 0..10000.
	Share int
	// Salt makes every revision pick other users first; the revision's id.
	Salt string
	// Bank is the canary's, "a" or "b"; "" if there is no canary.
	Bank string
	// Replicas is how many slots of Bank are used, from the first on.
	Replicas int
}

// encode returns the split map's value "<share>:<salt>:<bank>:<replicas>".
func (s Split) encode() string {
	return fmt.Sprintf("%d:%s:%s:%d", s.Share, orDash(s.Salt), orDash(s.Bank), max(s.Replicas, 1))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func parseSplit(value string) (Split, error) {
	f := strings.Split(value, ":")
	if len(f) != 4 {
		return Split{}, fmt.Errorf("split %q: not four fields", value)
	}
	share, err1 := strconv.Atoi(f[0])
	replicas, err2 := strconv.Atoi(f[3])
	if err1 != nil || err2 != nil {
		return Split{}, fmt.Errorf("split %q: share or replicas is no number", value)
	}
	s := Split{Share: share, Replicas: replicas}
	if f[1] != "-" {
		s.Salt = f[1]
	}
	if f[2] != "-" {
		s.Bank = f[2]
	}
	return s, nil
}

func (s Split) validate(slots int) error {
	if s.Share < 0 || s.Share > 10000 {
		return fmt.Errorf("split share %d: not in 0..10000", s.Share)
	}
	if s.Salt != "" && !saltText.MatchString(s.Salt) {
		return fmt.Errorf("split salt %q: not [A-Za-z0-9_-]", s.Salt)
	}
	if s.Bank != "a" && s.Bank != "b" && (s.Bank != "" || s.Share > 0) {
		return fmt.Errorf("split bank %q: not a or b", s.Bank)
	}
	if s.Replicas < 0 || s.Replicas > slots {
		return fmt.Errorf("split replicas %d: not in 0..%d", s.Replicas, slots)
	}
	return nil
}

// Backend is what HAProxy shows of one service.
type Backend struct {
	Service string
	// Split is the last one asked for, as long as HAProxy still shows it. In
	// weights mode it is otherwise worked out from the weights.
	Split Split
	// Effective is the share that the canary really gets, in basis points. It
	// differs from Split.Share only where weights are too coarse.
	Effective int
	// Slots are sorted: a1..aN, b1..bN.
	Slots []Slot
	Totals
}

// Slot returns the slot of that name.
func (b *Backend) Slot(name string) (Slot, bool) {
	for _, s := range b.Slots {
		if s.Name == name {
			return s, true
		}
	}
	return Slot{}, false
}

// Snapshot is what HAProxy shows at one moment. Counters begin at 0 whenever Pid
// changes.
type Snapshot struct {
	Pid      int // of the worker that serves
	Version  string
	Started  time.Time
	Uptime   time.Duration // of that worker, whole seconds
	Backends map[string]Backend
	// OldWorkers tells that a worker from before a reload still serves its
	// last connections, by a list of servers that no command reaches: do not
	// stop a container now. Always false for an existing HAProxy, where it
	// cannot be seen.
	OldWorkers bool
}
