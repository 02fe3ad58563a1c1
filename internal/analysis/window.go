package analysis

import (
	"maps"
	"slices"
	"time"
)

const (
	// enough is the number of requests of each track that a window waits for.
	enough = 5
	// enoughAlone is the number of canary requests after which a window no longer waits for
	// stable traffic that does not come.
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

// window is a closed host-window.
type window struct {
	at        time.Duration
	canary    Counts
	instances int
	stable    map[string]Counts
	whole     bool // false: it covers an unknown time, heard of in one piece
}

// table sums stable's instances.
func (w window) table() Table {
	t := Table{CanaryN: w.canary.Requests, CanaryX: w.canary.Errors}
	for _, c := range w.stable {
		t.StableN += c.Requests
		t.StableX += c.Errors
	}
	return t
}

// cutter turns one host's cumulative counts into windows. Whether a window closes depends on
// time and on numbers of requests, never on errors: closing early because of one would be a
// choice of the data by their outcome.
type cutter struct {
	incarnation string
	retired     []string // earlier incarnations, oldest first
	canary      Counts   // last heard
	stable      map[string]Counts
	present     map[string]bool // instances in the last report
	heard       time.Duration   // time of the last report that counted

	start time.Duration
	open  window
}

func newCutter(r Report) *cutter {
	c := &cutter{incarnation: r.Incarnation}
	c.begin(r)
	return c
}

// begin takes the first report of an incarnation. What canary has served so far becomes one
// window, of whatever length; if that is nothing, there is nothing to compare and counting
// starts here.
func (c *cutter) begin(r Report) {
	if r.Canary.Requests == 0 {
		c.rebase(r)
		return
	}
	c.forget()
	c.start = r.At
	c.open.whole = false
	c.accrue(r)
}

// forget drops what was last heard and the open window.
func (c *cutter) forget() {
	c.canary, c.stable, c.present = Counts{}, make(map[string]Counts), make(map[string]bool)
	c.open = window{stable: make(map[string]Counts), whole: true}
}

// rebase counts from this report on.
func (c *cutter) rebase(r Report) {
	c.forget()
	c.remember(r)
	c.start = r.At
}

func (c *cutter) remember(r Report) {
	c.canary, c.heard = r.Canary, max(c.heard, r.At)
	clear(c.present)
	for name, n := range r.Stable {
		c.stable[name] = n
		c.present[name] = true
	}
}

// hear takes in a report and tells whether it counted. One does not if it is older than what was
// heard, or of an incarnation that is gone.
func (c *cutter) hear(r Report) bool {
	if r.Incarnation != c.incarnation {
		return c.renew(r)
	}
	if c.isBehind(r) {
		if r.At-c.heard >= stuck {
			c.rebase(r)
		}
		return false
	}
	if len(c.stable) > 2*mostInstances {
		maps.DeleteFunc(c.stable, func(name string, _ Counts) bool { return !c.present[name] })
	}
	c.accrue(r)
	return true
}

// renew begins a new incarnation, whose counters started from zero.
func (c *cutter) renew(r Report) bool {
	if slices.Contains(c.retired, r.Incarnation) {
		return false
	}
	c.retired = append(c.retired, c.incarnation)
	if len(c.retired) > mostIncarnations {
		c.retired = slices.Delete(c.retired, 0, 1)
	}
	c.incarnation = r.Incarnation
	c.begin(r)
	return true
}

// isBehind tells whether any counter is lower than it was. An instance that has been away is
// excepted: when it comes back its counters may have begun anew.
func (c *cutter) isBehind(r Report) bool {
	if r.Canary.below(c.canary) {
		return true
	}
	for name, n := range r.Stable {
		if c.present[name] && n.below(c.stable[name]) {
			return true
		}
	}
	return false
}

// accrue adds to the open window what is new in a report.
func (c *cutter) accrue(r Report) {
	c.open.canary = c.open.canary.plus(r.Canary.minus(c.canary))
	c.open.instances = r.CanaryInstances
	for name, n := range r.Stable {
		last := c.stable[name]
		if n.below(last) {
			last = Counts{}
		}
		if _, ok := c.open.stable[name]; !ok && len(c.open.stable) >= 2*mostInstances {
			name = "" // a flood of names ends up under one
		}
		c.open.stable[name] = c.open.stable[name].plus(n.minus(last))
	}
	c.remember(r)
}

// due tells whether the open window may close at this time.
func (c *cutter) due(at, length time.Duration) bool {
	age := at - c.start
	if age >= longest {
		return true
	}
	t := c.open.table()
	both := t.CanaryN >= enough && t.StableN >= enough
	if both && !c.open.whole {
		return true // it has lasted for long already
	}
	if age < length {
		return false
	}
	noStable := t.StableN == 0 && t.CanaryN >= enoughAlone
	noCanary := c.open.instances == 0 && t.CanaryN == 0 && t.StableN >= enough
	return both || noStable || noCanary
}

// cut closes the open window and begins the next.
func (c *cutter) cut(at time.Duration) window {
	w := c.open
	w.at = at
	w.canary = w.canary.settled()
	for name, n := range w.stable {
		w.stable[name] = n.settled()
	}
	c.open = window{stable: make(map[string]Counts), instances: w.instances, whole: true}
	c.start = at
	return w
}
