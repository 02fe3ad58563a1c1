package analysis

import "time"

// Report is what one agent said about one service at one instant. In JSON it lacks the time, which
// whoever writes it puts beside it.
type Report struct {
	Host string `json:"host"`
	// Incarnation names a life of the agent's counters: it changes whenever they restart from
	// zero, and an incarnation that has been replaced never returns. Counters that start anew
	// with each epoch need the epoch in it.
	Incarnation string `json:"incarnation,omitempty"`
	// At is the leader's monotonic time of arrival.
	At time.Duration `json:"-"`
	// Canary is the sum over the canary instances, Stable the counts of each stable instance, by
	// a name that is its own on the host. All are cumulative within the incarnation. An instance
	// that is not in Stable has gone; it may come back, with higher counts or from zero.
	Canary Counts            `json:"canary"`
	Stable map[string]Counts `json:"stable,omitempty"`
	// CanaryInstances is the number of canary instances that may get traffic.
	CanaryInstances int `json:"canary_instances,omitempty"`
	// Pooled says that the host stands for many: what it shows within a minute is of many
	// containers, and no burst of one.
	Pooled bool `json:"pooled,omitempty"`
	// Before is what the hosts that such a one stands for counted while all of them ran stable, by the
	// gate's name; "" for requests and errors. It says how unlike they are by nature; what it does not
	// tell of is unknown. Nil: both tracks are served by the same hosts.
	Before map[string]Sides `json:"before,omitzero"`

	// Latencies are how long requests took, cumulative within the incarnation, by track, stable
	// instance and route class. Nil says nothing new: what the last report said holds on.
	Latencies []Latency `json:"latencies,omitzero"`
	// Signals are cumulative counts of the users' own rate gates, by the gate's name.
	Signals map[string]Signal `json:"signals,omitempty"`
	// Usage is what each container uses, as far as known.
	Usage []Usage `json:"usage,omitempty"`
}

// Latency is how long some requests took.
type Latency struct {
	Canary   bool   `json:"canary,omitempty"`   // the track
	Instance string `json:"instance,omitempty"` // of stable, named as in Report.Stable; "" for canary's sum
	Route    string `json:"route,omitempty"`    // route class; "" for requests in none
	// Requests is how many HAProxy counted in all classes (0 but for the class ""), Lines how many
	// log lines told of this class. Fewer lines than requests means that some were lost.
	Requests int64  `json:"requests,omitempty"`
	Lines    int64  `json:"lines"`
	Sketch   []byte `json:"sketch,omitempty"` // of the class's requests, as internal/latency encodes it
}

// Signal is a user's own count of bad events among all, by track.
type Signal struct {
	Canary Counts            `json:"canary"`
	Stable map[string]Counts `json:"stable,omitempty"` // by instance
}

// Usage is what one container uses and how it fared.
type Usage struct {
	Canary   bool   `json:"canary,omitempty"`
	Instance string `json:"instance"`
	// Memory is what it holds now without the page cache, Limit what it may hold, in bytes; 0: none.
	Memory int64 `json:"memory"`
	Limit  int64 `json:"limit,omitempty"`
	// Periods are CPU periods since it started, Throttled those in which it wanted more than it
	// may have.
	Periods   int64 `json:"periods,omitempty"`
	Throttled int64 `json:"throttled,omitempty"`
	// Restarts and OOMs are how often it was started again, and killed for want of memory.
	Restarts int `json:"restarts,omitempty"`
	OOMs     int `json:"ooms,omitempty"`
}
