package api

import "github.com/serin-rollouts/serin/internal/rollout"

// Revision is one immutable version of a service.
type Revision struct {
	ID      string `json:"id"`
	Version string `json:"version"` // the tag, for people
	Name    string `json:"name"`    // the reference as the user wrote it
	Image   string `json:"image"`   // pinned
}

// Counts are requests and server errors.
type Counts struct {
	Requests int64 `json:"requests"`
	Errors   int64 `json:"errors"`
}

// Latency is how long requests took while the rollout has run, on the hosts
// that have the canary; stable's on the others where these have no stable
// traffic. Gates on latency compare otherwise: see Gate.
type Latency struct {
	Canary Times `json:"canary"`
	Stable Times `json:"stable"`
}

// Times are quantiles, from a request's arrival at HAProxy to the head of the
// answer, within 1 %. One that is not known is left out: too few requests
// (1/(1-q) at least), or less than 95 % of them covered.
type Times struct {
	P50 Micros `json:"p50_us,omitempty"`
	P90 Micros `json:"p90_us,omitempty"`
	P99 Micros `json:"p99_us,omitempty"`
	// The bounds of P50 and P99 hold with probability 95 % at all times at once, if
	// requests are independent; left out where a side is not known.
	P50Low   Micros `json:"p50_low_us,omitempty"`
	P50High  Micros `json:"p50_high_us,omitempty"`
	P99Low   Micros `json:"p99_low_us,omitempty"`
	P99High  Micros `json:"p99_high_us,omitempty"`
	Requests int64  `json:"requests"`
	Coverage int64  `json:"coverage_ppm"` // of the requests, that HAProxy's log told of
}

// ServiceStatus is one row of `serin status`.
type ServiceStatus struct {
	Service string    `json:"service"`
	Stable  *Revision `json:"stable,omitempty"` // nil before the first install has ended
	// Rollout is the running one or else the last; nil if there was none.
	Rollout *RolloutStatus `json:"rollout,omitempty"`
	Running bool           `json:"running"`
	Next    string         `json:"next,omitempty"` // version that starts when Rollout has ended
	Hosts   int            `json:"hosts"`          // known hosts that the service selects
	Epoch   uint64         `json:"epoch"`
	// Held are the hosts that keep an older revision, since a rollout that
	// ended well went on without them.
	Held []HeldHost `json:"held,omitempty"`
	// Frozen are the freezes that keep its rollouts from beginning, its own before the
	// fleet's; state.<service> leaves them out.
	Frozen []Freeze `json:"frozen,omitempty"`
}

// HeldHost is a host that does not follow the service's stable revision until
// a later rollout reaches it or a person releases it.
type HeldHost struct {
	Host     string `json:"host"`
	Revision string `json:"revision"` // id of the one that it has
	Version  string `json:"version"`
	Rollout  string `json:"rollout,omitempty"` // that excluded it; empty if that is forgotten
	Why      string `json:"why,omitempty"`     // likewise
}

// RolloutStatus is where one rollout stands, or how it ended.
type RolloutStatus struct {
	ID      string        `json:"id"`
	Service string        `json:"service"`
	Phase   rollout.Phase `json:"phase"`
	From    string        `json:"from,omitempty"` // version; empty: an install
	To      string        `json:"to"`
	Image   string        `json:"image"` // pinned
	Step    int           `json:"step"`  // from 1
	Steps   int           `json:"steps"`
	Weight  int           `json:"weight"` // the canary's share on each of Reached, basis points
	Reached int           `json:"reached"`
	Fleet   int           `json:"fleet"` // hosts of the rollout
	// Waiting says what the rollout waits for, in words; empty once it has ended.
	Waiting string `json:"waiting,omitempty"`
	// NeedsApproval: a person has to promote for it to go on.
	NeedsApproval bool     `json:"needs_approval,omitempty"`
	Verdict       *Verdict `json:"verdict,omitempty"`
	// Excluded are hosts that the rollout went on without.
	Excluded []Exclusion `json:"excluded,omitempty"`
	// Lost are hosts that it went on without because they were silent.
	Lost []string `json:"lost,omitempty"`
	// Latency is nil if nothing is known: no traffic yet, or the end is reached.
	Latency *Latency      `json:"latency,omitempty"`
	Cause   rollout.Cause `json:"cause,omitempty"` // of a pause or of the way back
	Text    string        `json:"text,omitempty"`  // the cause in words
	By      string        `json:"by,omitempty"`
	Reason  string        `json:"reason,omitempty"`
	// Override names the freezes that a person had it go through, in words.
	Override string `json:"override,omitempty"`
	Started  int64  `json:"started"`         // Unix ms
	Ended    int64  `json:"ended,omitempty"` // Unix ms
}

// Exclusion is a host that a rollout went on without, and why.
type Exclusion struct {
	Host string `json:"host"`
	Why  string `json:"why"`
}

// StepStatus is one point of a rollout's path.
type StepStatus struct {
	Hosts   int    `json:"hosts"`  // of the fleet
	Weight  int    `json:"weight"` // basis points of each such host's traffic
	Share   int    `json:"share"`  // basis points of the fleet's hosts times weight
	Hold    int64  `json:"hold"`   // ms
	Approve bool   `json:"approve,omitempty"`
	State   string `json:"state,omitempty"` // done, now or ahead
	// Needs is about how many canary requests the errors gate needs to let the
	// step pass if the canary is as good as stable; in a Plan only, 0 if there
	// is no gate or no telling. See Plan.Stable for how good that is.
	Needs int64 `json:"needs,omitempty"`
	// PerSecond is how many requests a second the canary gets at the step, Takes
	// how long the errors gate takes to let it pass, in ms, and Finds when it
	// fails one that is worse; in a Plan only, and while the service's traffic is
	// known. Takes is 0 if there is no telling.
	PerSecond float64     `json:"per_second,omitempty"`
	Takes     int64       `json:"takes_ms,omitempty"`
	Finds     []Detection `json:"finds,omitempty"`
	// Latency is the same by each gate on latency that is foretold and acts.
	Latency []GateForecast `json:"latency,omitempty"`
}

// GateForecast is what a step is expected to come to by one gate.
type GateForecast struct {
	Gate string `json:"gate"`
	// Needs is how many requests the canary has got by then, and Takes after how long
	// the gate lets one pass that is as good as stable, in ms; 0 if there is no telling.
	// Of latency it is from the begin of the step, with all that the gate waits for
	// before it compares.
	Needs int64       `json:"needs,omitempty"`
	Takes int64       `json:"takes_ms,omitempty"`
	Finds []Detection `json:"finds,omitempty"`
}

// Detection is when a gate fails a canary that is so many times as bad as stable,
// from the begin of the step: the errors gate one that fails in so many times as
// many requests, a gate on latency one all of whose requests take so many times as
// long.
type Detection struct {
	Times int `json:"times"`
	// Allowed: that is no more than the gate allows, so it passes.
	Allowed bool `json:"allowed,omitempty"`
	// After is by when half of such canaries have been failed, in ms, and Requests
	// are what they have got by then; 0 if there is no telling.
	After    int64 `json:"after_ms,omitempty"`
	Requests int64 `json:"requests,omitempty"`
}

// RolloutDetail is everything about one rollout. Decisions is filled by
// get.explain only: what was decided and why, the oldest first, as events with their
// numbers; among them the last ten triggers that the rollout was in the way of.
type RolloutDetail struct {
	RolloutStatus
	Path      []StepStatus  `json:"path"`
	Hosts     []RolloutHost `json:"hosts,omitempty"` // while it runs, in the order of steps
	Decisions []Decision    `json:"decisions,omitempty"`
	// Incomplete says why Decisions may lack events; empty if it has them all.
	Incomplete string `json:"incomplete,omitempty"`
	// Explanation says in a few sentences why it waits, went on or went back. Where the
	// decisions are asked for, it has more to say of a rollout that has ended.
	Explanation string `json:"explanation,omitempty"`
	// Verbs are what a person may ask of it; empty once it has ended.
	Verbs []Verb `json:"verbs,omitempty"`
	// HoldLeft is how long the step holds on at least, in ms; 0 if its hold is over,
	// or has not begun because hosts are not ready.
	HoldLeft int64 `json:"hold_left,omitempty"`
	// DeadlineLeft is the time until the rollout has to be through, in ms: it goes
	// back then. On the way back, and while it is made stable, until it ends without
	// the hosts that have not followed. 0 if that is over.
	DeadlineLeft int64 `json:"deadline_left,omitempty"`
}

// FullPromote is the name of promote with Full among a rollout's verbs.
const FullPromote = "promote_full"

// Verb is one thing that a person may ask of a running rollout at this moment.
type Verb struct {
	Name string `json:"name"` // as in cmd.<name>.<service>, or promote_full
	Does string `json:"does"` // what comes of it, in words
	// Why says why it would be refused now; empty if it would not.
	Why string `json:"why,omitempty"`
}

// RolloutHost is one host's part in a running rollout.
type RolloutHost struct {
	Host    string `json:"host"`
	Reached bool   `json:"reached"` // is to have the canary at this step
	Heard   bool   `json:"heard"`   // reported since the leader took over
	Settled bool   `json:"settled"` // is as the current epoch wants it
	Weight  int    `json:"weight"`  // in force, basis points
	Doing   string `json:"doing,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// History is the rollouts of a service, the newest first.
type History struct {
	Service  string          `json:"service"`
	Rollouts []RolloutStatus `json:"rollouts"`
	// Stable is what the service runs; nil before the first install has ended.
	Stable *Revision `json:"stable,omitempty"`
	// NoReturn says, by id, why `serin rollback --to` one of the rollouts would be
	// refused now; those without an entry can be returned to.
	NoReturn map[string]string `json:"no_return,omitempty"`
}

// DiffWith is what get.diff may be sent with.
type DiffWith struct {
	// From is a rollout of the same service, or the id of a revision, that the other
	// is compared with in place of what is stable.
	From string `json:"from,omitempty"`
}

// Diff is what returning to an earlier rollout would change, or how it differs from
// another.
type Diff struct {
	Service string `json:"service"`
	Rollout string `json:"rollout"`
	// Against is the rollout that was asked for with it; empty: it is compared with
	// what is stable, and Path and Why are of a rollback.
	Against string    `json:"against,omitempty"`
	From    *Revision `json:"from,omitempty"` // that of Against, or stable now; nil: nothing
	To      Revision  `json:"to"`
	Changes []string  `json:"changes,omitempty"` // in words; empty: nothing
	// Path is the steps in which a rollback to it takes the traffic, on the hosts
	// that there are now: its containers are started first.
	Path []StepStatus `json:"path,omitempty"`
	// Why says why a rollback to it would be refused now; empty if it would not.
	Why string `json:"why,omitempty"`
}

// HostStatus is one host as the leader sees it.
type HostStatus struct {
	Host    string            `json:"host"`
	Labels  map[string]string `json:"labels,omitempty"`
	Version string            `json:"version"` // of the agent
	Docker  string            `json:"docker,omitempty"`
	HAProxy string            `json:"haproxy,omitempty"`
	SeenMS  int64             `json:"seen_ms"` // since its last report
	Live    bool              `json:"live"`
	SkewMS  int64             `json:"skew_ms"` // its wall clock less the leader's, at its last report
	// DockerProblem and HAProxyProblem say why the agent cannot use them; empty if
	// it can, or is of a release that does not tell. Disk is that of its state; nil
	// if it does not tell.
	DockerProblem  string `json:"docker_problem,omitempty"`
	HAProxyProblem string `json:"haproxy_problem,omitempty"`
	Disk           *Disk  `json:"disk,omitempty"`

	Services []HostService `json:"services,omitempty"`
}

// HostService is one service on one host, by the host's own account.
type HostService struct {
	Service string `json:"service"`
	Epoch   uint64 `json:"epoch"`
	Behind  bool   `json:"behind"` // works on an older epoch than the current
	Settled bool   `json:"settled"`
	Held    bool   `json:"held,omitempty"`   // keeps an older revision than the service's: see HeldHost
	Stable  string `json:"stable,omitempty"` // revision id
	Canary  string `json:"canary,omitempty"` // revision id
	// StableVersion and CanaryVersion are what people call them; empty if that is
	// forgotten.
	StableVersion string `json:"stable_version,omitempty"`
	CanaryVersion string `json:"canary_version,omitempty"`

	StableReady int `json:"stable_ready"`
	CanaryReady int `json:"canary_ready"`
	Weight      int `json:"weight"` // basis points
	// Deaths are those of canary containers in the rollout that the host works for, and
	// Death is the last one in words, with what the container had said last.
	Deaths  int    `json:"deaths,omitempty"`
	Death   string `json:"death,omitempty"`
	Doing   string `json:"doing,omitempty"`
	Problem string `json:"problem,omitempty"`
	// StableServed and CanaryServed are the requests that each track has answered on
	// the host since Counting became what it is: the counts begin again at zero when
	// it changes, and lose those of a container that goes.
	Counting     string `json:"counting,omitempty"`
	StableServed Counts `json:"stable_served,omitzero"`
	CanaryServed Counts `json:"canary_served,omitzero"`
}

// ClusterStatus is the coordinator's replicas.
type ClusterStatus struct {
	Leader  string          `json:"leader"` // id
	Term    uint64          `json:"term"`
	Applied uint64          `json:"applied"` // index of the last applied entry
	Commit  uint64          `json:"commit,omitempty"`
	Members []ClusterMember `json:"members"`
	Hosts   int             `json:"hosts"`  // live
	Events  uint64          `json:"events"` // number of the last event
	Outbox  int             `json:"outbox"` // events that the stream does not hold yet
	Dropped int64           `json:"dropped_reports"`
}

// ClusterMember is one replica.
type ClusterMember struct {
	ID     string `json:"id"`
	Addr   string `json:"addr"`
	Voter  bool   `json:"voter"`
	Leader bool   `json:"leader,omitempty"`
	// Standing is its own account; nil if it has not answered at once: it is
	// away, cut off, or of a release that tells nothing.
	Standing *Standing `json:"standing,omitempty"`
}

// Standing is how one replica stands, by its own account.
type Standing struct {
	ID      string `json:"id,omitempty"`
	Version string `json:"version,omitempty"`
	Level   int    `json:"level,omitempty"` // what of the log it understands
	Role    string `json:"role"`            // leader, follower, candidate or shutdown
	Term    uint64 `json:"term"`
	Last    uint64 `json:"last"`       // entry in its log
	Applied uint64 `json:"applied"`    // entry that its state holds
	Contact int64  `json:"contact_ms"` // since it heard of its leader; 0 if it leads, -1 if it never has
	// NATS is the URL of the server that it is connected to, which is a part of
	// it if Embedded.
	NATS       string `json:"nats"`
	Embedded   bool   `json:"embedded,omitempty"`
	Reconnects uint64 `json:"reconnects,omitempty"`
	// Streams tells whether the JetStream of its embedded server works, and Peers
	// on how many servers that counts, running or not.
	Streams bool  `json:"streams,omitempty"`
	Peers   int   `json:"peers,omitempty"`
	Disk    *Disk `json:"disk,omitempty"` // of its data; nil if that is not known
}

// Plan says beforehand what a trigger would do.
type Plan struct {
	Service   string    `json:"service"`
	From      *Revision `json:"from,omitempty"`
	To        Revision  `json:"to"`
	Unchanged bool      `json:"unchanged,omitempty"` // To is stable already
	Running   string    `json:"running,omitempty"`   // rollout in the way
	// Frozen are the freezes in the way.
	Frozen  []Freeze     `json:"frozen,omitempty"`
	Changes []string     `json:"changes,omitempty"` // what differs from From, in words
	Hosts   []string     `json:"hosts"`             // in the order of steps
	Path    []StepStatus `json:"path"`
	Holds   int64        `json:"holds"` // sum of all holds, ms: the least it takes
	// Takes is about how long it takes if the canary is as good as stable and
	// nothing but holds and the gates that are foretold is waited for, in ms; 0 if
	// there is no telling, or nothing but holds to wait for. Deadline is the most, in ms: what
	// is not through by then goes back.
	Takes    int64 `json:"takes_ms,omitempty"`
	Deadline int64 `json:"deadline"`
	// Untold are the gates that compare, and that the rollout waits for, of which
	// nothing is foretold; each says why, see PlannedGate.
	Untold []string `json:"untold,omitempty"`
	// PerSecond is how many requests a second the hosts have got of the service
	// lately; 0 if that is not known.
	PerSecond float64 `json:"per_second,omitempty"`
	// Unwell are hosts that the file means and that are not there, and those of
	// Hosts that have a problem.
	Unwell []UnwellHost `json:"unwell,omitempty"`
	// MinRequests is what the errors gate wants to see of the canary at each
	// step at the least before it lets the rollout go on; 0 without the gate.
	MinRequests int64 `json:"min_requests,omitempty"`
	// Stable is what the hosts have counted of the stable version since the last
	// rollout: the steps' Needs follow from it. If it is nil they have counted
	// too little, and Needs holds if no request fails.
	Stable *Counts `json:"stable,omitempty"`
	// Alpha bounds the chance that a version that is no worse is rolled back by
	// any gate, in parts per million; Gates say how it is split. Both are left
	// out at an install, where nothing is compared.
	Alpha int           `json:"alpha,omitempty"`
	Gates []PlannedGate `json:"gates,omitempty"`
	// OneHost is what a host does to the rollout whose canary alone is bad.
	OneHost rollout.OneHost `json:"one_host,omitempty"`
	// Auto bounds an automatic pace, which adds steps to Path; nil if the steps
	// are fixed.
	Auto *rollout.Auto `json:"auto,omitempty"`
	// Finding is how many requests a regression of Auto's size is expected to
	// fail, beyond what the old version would, before the errors gate finds it,
	// at any weight; near what the gate allows it may be 1.6 times as many. It is negative if
	// the regression is hardly found at all, and left out if the steps are fixed.
	Finding int64 `json:"finding,omitempty"`
}

// UnwellHost is a host that a rollout had better not meet.
type UnwellHost struct {
	Host string `json:"host"`
	Why  string `json:"why"`
}

// PlannedGate is one condition on evidence that a rollout will be judged by.
type PlannedGate struct {
	Name    string `json:"name"`
	Observe bool   `json:"observe,omitempty"` // reported, never acted on
	// Optional: passed over while there are no data.
	Optional bool   `json:"optional,omitempty"`
	Allowed  string `json:"allowed"` // what lets it pass, in words
	// Alpha is the gate's part of Plan.Alpha, in parts per million; 0 for one that
	// takes none: it is observed, or its rule has no chance in it.
	Alpha int `json:"alpha,omitempty"`
	// OneHost is what of Alpha is for finding the one host whose canary alone is
	// bad.
	OneHost int    `json:"one_host_alpha,omitempty"`
	Needs   string `json:"needs"` // what it wants to see before it passes, in words
	// Untold says why nothing is foretold of it at any step, in words; empty if
	// something is, or nobody waits for it.
	Untold string `json:"untold,omitempty"`
}
