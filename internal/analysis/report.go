package analysis

import "time"

// Report is what one agent said about one service at one instant.
type Report struct {
	Host string
	// Incarnation names a life of the agent's counters: it changes whenever they restart from
	// zero, and an incarnation that has been replaced never returns. Counters that start anew
	// with each epoch need the epoch in it.
	Incarnation string
	// At is the leader's monotonic time of arrival.
	At time.Duration
	// Canary is the sum over the canary instances, Stable the counts of each stable instance, by
	// a name that is its own on the host. All are cumulative within the incarnation. An instance
	// that is not in Stable has gone; it may come back, with higher counts or from zero.
	Canary Counts
	Stable map[string]Counts
	// CanaryInstances is the number of canary instances that may get traffic.
	CanaryInstances int

	// Latencies are how long requests took, cumulative within the incarnation, by track, stable
	// instance and route class. Nil says nothing new: what the last report said holds on.
	Latencies []Latency
	// Signals are cumulative counts of the users' own rate gates, by the gate's name.
	Signals map[string]Signal
	// Usage is what each container uses, as far as known.
	Usage []Usage
}

// Latency is how long some requests took.
type Latency struct {
	Canary   bool   // the track
	Instance string // of stable, named as in Report.Stable; "" for canary's sum
	Route    string // route class; "" for requests in none
	// Requests is how many HAProxy counted in all classes (0 but for the class ""), Lines how many
	// log lines told of this class. Fewer lines than requests means that some were lost.
	Requests, Lines int64
	Sketch          []byte // of the class's requests, as internal/latency encodes it
}

// Signal is a user's own count of bad events among all, by track.
type Signal struct {
	Canary Counts
	Stable map[string]Counts // by instance
}

// Usage is what one container uses and how it fared.
type Usage struct {
	Canary   bool
	Instance string
	// Memory is what it holds now without the page cache, Limit what it may hold, in bytes; 0: none.
	Memory, Limit int64
	// Periods are CPU periods since it started, Throttled those in which it wanted more than it
	// may have.
	Periods, Throttled int64
	// Restarts and OOMs are how often it was started again, and killed for want of memory.
	Restarts, OOMs int
}
