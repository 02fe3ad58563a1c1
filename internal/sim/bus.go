package sim

import (
	"slices"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// report is what an agent says of itself. It is not changed once it is sent.
type report struct {
	host     *host
	started  string // names the agent's run
	run      int    // counts them, which nobody but the link may know
	sequence uint64
	nonce    uint64
	services []serviceReport
}

// serviceReport is its part about one service.
type serviceReport struct {
	service     string
	epoch       uint64
	settled     bool
	hasImage    bool
	wantsRaise  bool
	weight      int
	deaths      int
	death       string
	problem     problem
	incarnation string

	canary          analysis.Counts
	stable          map[string]analysis.Counts
	canaryInstances int
}

// problem is why a host cannot go on.
type problem struct {
	text  string
	cause rollout.Cause
	fatal bool
}

func (r *report) service(name string) *serviceReport {
	for i := range r.services {
		if r.services[i].service == name {
			return &r.services[i]
		}
	}
	return nil
}

// assign is what a leader sends to one host.
type assign struct {
	nonce       uint64
	assignments []rollout.Assignment
	interval    time.Duration
}

// link is the way between a host and the bus. It loses, delays, reorders (by
// delaying) and repeats, and at times nothing gets through. At times it also does
// what a connection does: what the host is sent is held up, and then comes in order,
// however old it is.
type link struct {
	host   *host
	chance chance
	cut    time.Duration // until when the host is cut off
	stalls time.Duration // until when what the host is sent is held up
	held   []func(*agent)
	// stallChance is of its own, as every source.
	stallChance chance
	// run and sequence are those of the newest report that was delivered.
	run      int
	sequence uint64
}

// up carries a report to whoever believes to lead.
func (l *link) up(r *report) {
	w := l.host.w
	l.carry(func() {
		if r.run < l.run {
			return // a process that ends takes its connection with it
		}
		if r.run > l.run || r.sequence >= l.sequence {
			l.run, l.sequence, l.host.heardOf = r.run, r.sequence, w.now
		}
		for _, leader := range w.leaders() {
			leader.hear(r)
		}
	})
}

// down carries a leader's message to the agent that runs when it arrives.
func (l *link) down(deliver func(*agent)) {
	l.carry(func() {
		if l.host.w.now < l.stalls || len(l.held) > 0 {
			l.held = append(l.held, deliver)
			return
		}
		l.reach(deliver)
	})
}

// stall holds up what the host is sent.
func (l *link) stall(d time.Duration) {
	l.stalls = l.host.w.now + d
	l.host.troubled(d)
	l.host.w.after(d, nil, l.release)
}

// Private

func (l *link) reach(deliver func(*agent)) {
	if a := l.host.agent; a != nil {
		l.host.hears = l.host.w.now
		deliver(a)
	}
}

// release hands over what was held up, one after the other.
func (l *link) release() {
	if len(l.held) == 0 || l.host.w.now < l.stalls {
		return
	}
	next := l.held[0]
	l.held = l.held[1:]
	l.reach(next)
	gap := l.stallChance.between(100*time.Microsecond, pick(&l.stallChance, time.Millisecond, 100*time.Millisecond))
	l.host.troubled(gap)
	l.host.w.after(gap, nil, l.release)
}

func (l *link) open() bool { return l.host.w.now >= l.cut && l.host.w.now >= l.host.w.busAway }

func (l *link) carry(deliver func()) {
	w := l.host.w
	if !l.open() {
		l.host.troubled(0)
		return
	}
	if l.chance.strikes(MessageLost) {
		l.host.troubled(0)
		return
	}
	arrive := func() {
		if l.open() {
			deliver()
		}
	}
	delay := l.chance.between(500*time.Microsecond, 10*time.Millisecond)
	if l.chance.strikes(MessageLate) {
		delay += l.chance.between(100*time.Millisecond, 30*time.Second)
		l.host.troubled(delay)
	}
	w.after(delay, nil, arrive)
	if l.chance.strikes(MessageTwice) {
		w.after(delay+l.chance.between(0, 20*time.Second), nil, arrive)
	}
}

// leaders are all who believe to lead: a deposed one hears, too.
func (w *world) leaders() []*leader {
	c := w.cluster
	c.believers = slices.DeleteFunc(c.believers, func(l *leader) bool { return !l.alive })
	return c.believers
}
