package analysis

import (
	"maps"
	"slices"
	"time"
)

const (
	// enough is the number of requests of each track that a window waits for.
	enough = 4
	// enoughAlone is the number of canary requests after which a window no longer waits for
	// stable traffic that hardly comes.
	enoughAlone = 20
	// longest is the time after which a window closes whatever it holds.
	longest = time.Minute
	// stuck is how long a host's counters may stand below what they were before they are taken
	// for restarted ones.
	stuck = time.Minute
	// mostInstances and mostIncarnations bound what is remembered of a host.
	mostInstances    = 256
	mostIncarnations = 16
)

// tally is what a cutter cuts: the cumulative counters of a track or an instance.
type tally[C any] interface {
	plus(o C) C
	minus(o C) C
	// below tells whether a counter is lower than it was, as none may be.
	below(o C) bool
	// settled repairs a window's counts that contradict each other.
	settled() C
	// size is the number of requests that a window waits for.
	size() int64
}

// reading is what a cutter hears: a report's counters of one kind.
type reading[C tally[C]] struct {
	incarnation string
	at          time.Duration
	canary      C
	stable      map[string]C
	instances   int
}

// window is a closed host-window.
type window[C tally[C]] struct {
	at        time.Duration
	canary    C
	instances int
	stable    map[string]C
	whole     bool // false: it covers an unknown time, heard of in one piece
}

// sizes returns the requests of canary and of stable.
func (w window[C]) sizes() (canary, stable int64) {
	for _, c := range w.stable {
		stable += c.size()
	}
	return w.canary.size(), stable
}

// serving counts the instances of stable that had requests.
func (w window[C]) serving() int {
	n := 0
	for _, c := range w.stable {
		if c.size() > 0 {
			n++
		}
	}
	return n
}

// cutter turns one host's cumulative counts into windows. Whether a window closes depends on
// time and on numbers of requests, never on which of them were bad: closing early because of one
// would be a choice of the data by their outcome.
type cutter[C tally[C]] struct {
	incarnation string
	retired     []string // earlier incarnations, oldest first
	canary      C        // last heard
	stable      map[string]C
	present     map[string]bool // instances in the last report
	heard       time.Duration   // time of the last report that counted

	start time.Duration
	open  window[C]
}

func newCutter[C tally[C]](r reading[C]) *cutter[C] {
	c := &cutter[C]{incarnation: r.incarnation}
	c.begin(r)
	return c
}

// begin takes the first report of an incarnation. What canary has served so far becomes one
// window, of whatever length; if that is nothing, there is nothing to compare and counting
// starts here.
func (c *cutter[C]) begin(r reading[C]) {
	if r.canary.size() == 0 {
		c.rebase(r)
		return
	}
	c.forget()
	c.start = r.at
	c.open.whole = false
	c.accrue(r)
}

// forget drops what was last heard and the open window.
func (c *cutter[C]) forget() {
	var zero C
	c.canary, c.stable, c.present = zero, make(map[string]C), make(map[string]bool)
	c.open = window[C]{stable: make(map[string]C), whole: true}
}

// rebase counts from this report on.
func (c *cutter[C]) rebase(r reading[C]) {
	c.forget()
	c.remember(r)
	c.start = r.at
}

func (c *cutter[C]) remember(r reading[C]) {
	c.canary, c.heard = r.canary, max(c.heard, r.at)
	clear(c.present)
	for name, n := range r.stable {
		c.stable[name] = n
		c.present[name] = true
	}
}

// hear takes in a report and tells whether it counted. One does not if it is older than what was
// heard, or of an incarnation that is gone.
func (c *cutter[C]) hear(r reading[C]) bool {
	if r.incarnation != c.incarnation {
		return c.renew(r)
	}
	if c.isBehind(r) {
		if r.at-c.heard >= stuck {
			c.rebase(r)
		}
		return false
	}
	if len(c.stable) > 2*mostInstances {
		maps.DeleteFunc(c.stable, func(name string, _ C) bool { return !c.present[name] })
	}
	c.accrue(r)
	return true
}

// renew begins a new incarnation, whose counters started from zero.
func (c *cutter[C]) renew(r reading[C]) bool {
	if slices.Contains(c.retired, r.incarnation) {
		return false
	}
	c.retired = append(c.retired, c.incarnation)
	if len(c.retired) > mostIncarnations {
		c.retired = slices.Delete(c.retired, 0, 1)
	}
	c.incarnation = r.incarnation
	c.begin(r)
	return true
}

// isBehind tells whether any counter is lower than it was. An instance that has been away is
// excepted: when it comes back its counters may have begun anew.
func (c *cutter[C]) isBehind(r reading[C]) bool {
	if r.canary.below(c.canary) {
		return true
	}
	for name, n := range r.stable {
		if c.present[name] && n.below(c.stable[name]) {
			return true
		}
	}
	return false
}

// accrue adds to the open window what is new in a report.
func (c *cutter[C]) accrue(r reading[C]) {
	c.open.canary = c.open.canary.plus(r.canary.minus(c.canary))
	c.open.instances = r.instances
	for name, n := range r.stable {
		last := c.stable[name]
		if n.below(last) {
			var zero C
			last = zero
		}
		if _, ok := c.open.stable[name]; !ok && len(c.open.stable) >= 2*mostInstances {
			name = "" // a flood of names ends up under one
		}
		c.open.stable[name] = c.open.stable[name].plus(n.minus(last))
	}
	c.remember(r)
}

// due tells whether the open window may close at this time.
func (c *cutter[C]) due(at, length time.Duration) bool {
	age := at - c.start
	if age >= longest {
		return true
	}
	canary, stable := c.open.sizes()
	both := canary >= enough && stable >= enough
	if both && !c.open.whole {
		return true // it has lasted for long already
	}
	if age < length {
		return false
	}
	noStable := stable < enough && canary >= enoughAlone // a few may trail into a step without any
	noCanary := c.open.instances == 0 && canary == 0 && stable >= enough
	return both || noStable || noCanary
}

// cut closes the open window and begins the next.
func (c *cutter[C]) cut(at time.Duration) window[C] {
	w := c.open
	w.at = at
	w.canary = w.canary.settled()
	for name, n := range w.stable {
		w.stable[name] = n.settled()
	}
	c.open = window[C]{stable: make(map[string]C), instances: w.instances, whole: true}
	c.start = at
	return w
}
