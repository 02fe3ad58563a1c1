// Package history is what happened in a run, as those saw it who were there:
// users, operators, whoever broke things, and whoever looked. Times are since
// the run's beginning by one monotonic clock.
package history

import (
	"sync"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Request is one request of a user.
type Request struct {
	At, Took time.Duration
	Host     string
	Service  string
	Version  string // that answered; empty if the app did not
	Owner    string // service whose container answered; empty if it does not say
	Status   int    // 0: no answer
	Failure  string // why it counts as failed; empty if it does not
}

// Failed tells whether the user got no answer, or a 5xx that the app did not
// give itself.
func (r Request) Failed() bool { return r.Failure != "" }

// Verb is what an operator asked for.
type Verb string

// The verbs.
const (
	Trigger Verb = "trigger"
	Abort   Verb = "abort"
	Pause   Verb = "pause"
	Resume  Verb = "resume"
	Promote Verb = "promote" // approves the step, takes the next one or, with Full, goes all the way
	Release Verb = "release" // of a host that is held back
	Look    Verb = "look"
)

// Op is one call of an operator.
type Op struct {
	Client  int
	Verb    Verb
	Service string
	Called  time.Duration
	Back    time.Duration // when the answer came
	Unknown bool          // none came: it may have been carried out, or may still be

	// ID is a trigger's. Another command has one as well: it is who asks, so that
	// events say which call they came of.
	ID      string
	Version string    // of a trigger
	Replace bool      // a trigger that ends what runs
	Rollout string    // that another command names
	Full    bool      // a promotion on all hosts at once
	Host    string    // that is released
	Reply   api.Reply // to all but a look
	Seen    View      // by a look
}

// View is what a look at a service shows.
type View struct {
	Running string // rollout; empty if none runs
	Phase   rollout.Phase
	Last    string // the running rollout or else the last
	Stable  string // version

	To            string   // version of Last
	Step          int      // of Last, from 1
	NeedsApproval bool     // it has to be given before that step is left
	Held          []string // hosts that are held back
}

// Fault is one thing that was done to the fleet.
type Fault struct {
	Kind    string
	Targets []string // nodes
	// Users says that users of the targets may get no answer, whatever serin does:
	// their host, its HAProxy or its network is gone.
	Users bool
	Began time.Duration
	// Mending is when the cause began to be taken away, Healed when it was,
	// Recovered when the fleet was seen whole again; 0 if that did not happen.
	Mending, Healed, Recovered time.Duration
	Note                       string
	Missed                     bool // it could not be made, or not all of it; Note says why
}

// Weight is a canary's share of a host's traffic for a service, as HAProxy has it.
type Weight struct {
	At       time.Duration // HAProxy had answered
	Took     time.Duration // to answer
	Host     string
	Service  string
	Share    int    // basis points
	Revision string // whose share it is; empty: nobody's yet, or the record is an early one
}

// Since is when HAProxy was asked: what it said was so at some time from then on.
func (w Weight) Since() time.Duration { return w.At - w.Took }

// Report is what an agent says that it works on. Only the first of some reports
// of a run that say the same is kept.
type Report struct {
	At            time.Duration
	Host, Service string
	Run           string // of the agent
	Sequence      uint64 // of the report in it
	Epoch         uint64
}

// Licence is an answer to a host's question: within it the host may raise.
type Licence struct {
	At           time.Duration
	Leader, Host string
}

// Stop is a signal to one of serin's containers that somebody asked its dockerd for.
type Stop struct {
	At                 time.Duration
	Host, Service, How string
}

// Event is one of serin's events, and when it was first seen.
type Event struct {
	At time.Duration
	rollout.Event
}

// Plan is what the workload knows of a trigger that it sent: what was to come of it.
type Plan struct {
	ID, Service, Version string
	Ill                  string // what is wrong with the version; empty: nothing
	Approvals            []int  // steps that wait for a person, from 1
}

// Container is one on a host at the end of the run.
type Container struct {
	ID, Name, State, Address string
	Labels                   map[string]string
	StartedAt                string
}

// Rest is a host at the end of the run.
type Rest struct {
	Host       string
	Containers []Container
	Open       map[string][]string // addresses behind open slots of HAProxy, by service
	Shares     map[string]int      // the canary's, by service
	Problem    string              // why it could not be looked at
}

// Stranger is a container that is not serin's, as it was before the run.
type Stranger struct{ Host, ID, StartedAt string }

// Crash is an end of a program that nobody asked for, such as "exit code 2".
type Crash struct {
	At                 time.Duration
	Node, Program, How string
}

// End is the fleet at the end of the run, after everything was healed.
type End struct {
	Services  []api.ServiceStatus
	Hosts     []Rest
	Events    []rollout.Event // all, read anew
	Strangers []Stranger
	Crashes   []Crash // programs that ended by themselves
	Problem   string  // why it could not be read
}

// Record is a whole run.
type Record struct {
	Seed     uint64
	Nemesis  string            // how the fleet was broken, as the run was told; empty in early records
	Versions map[string]string // by the ids of their revisions
	Lease    time.Duration
	Hosts    []string
	Replicas []string
	Requests []Request
	Ops      []Op
	Plans    []Plan
	Faults   []Fault
	Weights  []Weight
	Events   []Event
	Reports  []Report
	Licences []Licence
	Stops    []Stop
	End      End
	Took     time.Duration
}

// Log gathers a record. Its methods may be called from several goroutines.
type Log struct {
	began time.Time

	mu     sync.Mutex
	record Record
}

// New begins a record.
func New(seed uint64) *Log { return &Log{began: time.Now(), record: Record{Seed: seed}} }

// Now is the time since the run's beginning.
func (l *Log) Now() time.Duration { return time.Since(l.began) }

// Request adds a request.
func (l *Log) Request(r Request) { l.add(func(all *Record) { all.Requests = append(all.Requests, r) }) }

// Op adds a call.
func (l *Log) Op(o Op) { l.add(func(all *Record) { all.Ops = append(all.Ops, o) }) }

// Plan adds what is to come of a trigger.
func (l *Log) Plan(p Plan) { l.add(func(all *Record) { all.Plans = append(all.Plans, p) }) }

// Weight adds a share that was seen.
func (l *Log) Weight(w Weight) { l.add(func(all *Record) { all.Weights = append(all.Weights, w) }) }

// Report adds a report that was heard.
func (l *Log) Report(r Report) { l.add(func(all *Record) { all.Reports = append(all.Reports, r) }) }

// Licence adds a licence that was overheard.
func (l *Log) Licence(x Licence) { l.add(func(all *Record) { all.Licences = append(all.Licences, x) }) }

// Revision adds the version that a revision is of.
func (l *Log) Revision(id, version string) {
	l.add(func(all *Record) {
		if all.Versions == nil {
			all.Versions = map[string]string{}
		}
		all.Versions[id] = version
	})
}

// Stop adds a signal to a container.
func (l *Log) Stop(s Stop) { l.add(func(all *Record) { all.Stops = append(all.Stops, s) }) }

// Event adds an event that was seen.
func (l *Log) Event(e rollout.Event) {
	at := l.Now()
	l.add(func(all *Record) { all.Events = append(all.Events, Event{At: at, Event: e}) })
}

// Begin adds a fault; the returned function changes it.
func (l *Log) Begin(f Fault) (change func(func(*Fault))) {
	f.Began = l.Now()
	i := 0
	l.add(func(all *Record) {
		i = len(all.Faults)
		all.Faults = append(all.Faults, f)
	})
	return func(do func(*Fault)) { l.add(func(all *Record) { do(&all.Faults[i]) }) }
}

// Set changes the record otherwise.
func (l *Log) Set(do func(*Record)) { l.add(do) }

// Read shows the record as it is; it must not be kept.
func (l *Log) Read(do func(*Record)) { l.add(do) }

// Private

func (l *Log) add(do func(*Record)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do(&l.record)
}
