package sim

import (
	"slices"
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// As in the coordinator.
const (
	retryAfter    = 200 * time.Millisecond
	gatherLongest = 6 * time.Second
	liveFor       = 15 * time.Second
	refreshAfter  = 15 * time.Second
	beatEvery     = lease / 6
	proposeLimit  = 5 * time.Second
	idleInterval  = 5 * time.Second
	busyInterval  = 2 * time.Second // slower than the real one: fewer steps for the same story
)

// leader is one term of leading: the coordinator's loop around Decide, as small
// as possible. It stands for coordinator/lead.go, publish.go, answers.go and
// propose.go, which wait on channels and clocks.
type leader struct {
	w      *world
	c      *cluster
	r      *replica
	term   uint64
	chance chance
	alive  bool // it believes that it leads
	born   time.Duration
	base   time.Duration // the state's clock at takeover
	pace   float64       // of its clock

	confirmed uint64
	journal   journal
	fleet     map[string]*known
	watches   map[string]*watch
	pending   map[string]bool
	told      map[string]uint64
	waiting   []question
	asking    bool
	looking   timer // the next look that was asked for
	waking    timer // the one that Decide named
	gathered  bool
	heard     time.Duration // last report of any host
	resumed   time.Duration // first report after a silence of all hosts
}

// known is one host as the leader has heard it.
type known struct {
	health   *report
	seen     time.Duration
	answered time.Duration // negative: never
}

type question struct {
	host  string
	nonce uint64
}

func newLeader(c *cluster, r *replica, term uint64) *leader {
	l := &leader{
		w: c.w, c: c, r: r, term: term, chance: c.w.chance(r.name + "/" + clockText(time.Duration(term))),
		alive: true, born: c.w.now, base: r.state.Clock,
		fleet: map[string]*known{}, watches: map[string]*watch{}, pending: map[string]bool{}, told: map[string]uint64{},
		resumed: -gatherLongest,
	}
	l.pace = 0.99 + 0.02*l.chance.float()
	l.journal.l = l
	return l
}

func (l *leader) begin() {
	l.after(l.chance.between(0, time.Minute), l.raise)
	l.changed()
	l.beat()
}

// raise lets the log hold what is new, once all replicas have said that they
// understand it (coordinator/level.go): some time after the term began.
func (l *leader) raise() {
	if l.r.state.AtLevel() < rollout.LevelNewest {
		l.propose("serin", rollout.Raise{Level: rollout.LevelNewest}, func(rollout.Result, error) { l.after(10*time.Second, l.raise) })
	}
}

// end is when it learns that it leads no more.
func (l *leader) end() {
	if l.alive {
		l.w.tell("%s leads no more (term %d)", l.r.name, l.term)
	}
	l.alive = false
}

// clock is the fleet's own time.
func (l *leader) clock() time.Duration {
	return l.base + time.Duration(float64(l.w.now-l.born)*l.pace)
}

func (l *leader) after(d time.Duration, do func()) { l.w.after(d, &l.alive, do) }

// leads tells whether the others agree.
func (l *leader) leads() bool { return l.alive && l.c.leader == l }

// verify asks the voters, and then does something if they agree.
func (l *leader) verify(then func(ok bool)) {
	l.after(l.chance.between(time.Millisecond, 5*time.Millisecond), func() {
		ok := l.leads()
		l.after(l.chance.between(time.Millisecond, 5*time.Millisecond), func() { then(ok) })
	})
}

// changed is called when the replica has applied something.
func (l *leader) changed() {
	if !l.alive {
		return
	}
	l.publish()
	l.journal.kick()
	l.look()
}

// look has the loop look at everything soon.
func (l *leader) look() {
	l.w.set(&l.looking, time.Millisecond, &l.alive, l.decide)
}

// Private

// decide is one pass of the loop.
func (l *leader) decide() {
	s, now := l.r.state, l.clock()
	l.sync(s, now)
	e := make(rollout.Evidence, len(l.watches))
	for name, watch := range l.watches {
		x := watch.evidence(now)
		x.HeardAt, x.Since = l.heard, max(l.base, l.resumed)
		e[name] = x
	}
	l.renew(s)
	commands, next := rollout.Decide(s, e, now)
	l.w.checkLook(l, e, commands, next <= now)
	for _, watch := range l.watches {
		next = min(next, watch.nextSilence(now))
	}
	for _, c := range commands {
		l.proposeDecision(c)
	}
	if !l.gathered {
		l.gathered = now >= l.base+gatherLongest
		next = min(next, l.base+gatherLongest)
	}
	if next != rollout.Never {
		l.w.set(&l.waking, time.Duration(float64(max(0, next-now))/l.pace)+time.Microsecond, &l.alive, l.decide)
	}
}

func (l *leader) sync(s *rollout.State, now time.Duration) {
	for _, name := range s.Names() {
		svc, have := s.Services[name], l.watches[name]
		switch {
		case svc.Active == nil:
			delete(l.watches, name)
		case have == nil || have.rollout.ID != svc.Active.ID:
			l.watches[name] = newWatch(svc, l.base, now)
			l.watches[name].adopt(s.AtLevel() >= rollout.LevelRenew, now)
			l.replay(l.watches[name], name, now)
		case have.rollout != svc.Active:
			have.sync(svc, now)
			l.replay(have, name, now)
		}
	}
}

func (l *leader) replay(to *watch, service string, now time.Duration) {
	for _, name := range to.rollout.Hosts {
		if h := l.fleet[name]; h != nil {
			to.saw(name, h.seen)
			if x := h.health.service(service); x != nil {
				to.hear(name, x, now)
			}
		}
	}
}

// hear takes in a report.
func (l *leader) hear(h *report) {
	now := l.clock()
	if len(l.fleet) > 0 && now-l.heard > gatherLongest {
		l.resumed = now
	}
	l.heard = now
	k := l.fleet[h.host.name]
	switch {
	case k == nil:
		k = &known{answered: -1}
		l.fleet[h.host.name] = k
	case k.health.started == h.started && h.sequence < k.health.sequence:
		return
	case k.health.started != h.started:
		k.answered = -1
	}
	k.health, k.seen = h, now
	for _, watch := range l.watches {
		watch.saw(h.host.name, now)
	}
	for i := range h.services {
		x := &h.services[i]
		if watch := l.watches[x.service]; watch != nil {
			watch.hear(h.host.name, x, now)
		}
	}
	if l.needsAnswer(k, now) {
		k.answered = now
		l.answer(h.host.name, h.nonce)
	}
	l.look()
}

func (l *leader) needsAnswer(k *known, now time.Duration) bool {
	if k.answered < 0 || now-k.answered >= refreshAfter {
		return true
	}
	for _, name := range l.r.state.Names() {
		a, ok := l.r.state.Assignment(name, k.health.host.name, nil)
		if !ok {
			continue
		}
		x := k.health.service(name)
		if x == nil || x.epoch != a.Epoch || !x.settled || x.wantsRaise {
			return true
		}
	}
	return false
}

// answer echoes a nonce once leadership has been verified after it came.
func (l *leader) answer(host string, nonce uint64) {
	l.waiting = slices.DeleteFunc(l.waiting, func(q question) bool { return q.host == host })
	l.waiting = append(l.waiting, question{host, nonce})
	if !l.asking {
		l.asking = true
		l.ask()
	}
}

func (l *leader) ask() {
	asked := l.waiting
	l.waiting = nil
	l.verify(func(ok bool) {
		for _, q := range asked {
			if ok {
				l.assign(q.host, q.nonce)
			}
		}
		if l.asking = len(l.waiting) > 0; l.asking {
			l.ask()
		}
	})
}

// publish tells the fleet of what has moved: broadcasts first.
func (l *leader) publish() {
	s := l.r.state
	moved := false
	for _, name := range s.Names() {
		wave, ok := s.Wave(name)
		if !ok || l.told[name] == wave.Epoch {
			continue
		}
		l.told[name], moved = wave.Epoch, true
		for _, h := range l.w.hosts {
			h.link.down(func(a *agent) { a.onWave(wave) })
		}
	}
	if !moved {
		return
	}
	if l.chance.strikes(LeaderKilled) { // between the broadcast and the assignments
		l.after(0, func() { l.w.cluster.drop(l) })
		return
	}
	for _, h := range l.w.hosts {
		if l.fleet[h.name] != nil {
			l.assign(h.name, 0)
		}
	}
}

func (l *leader) assign(host string, nonce uint64) {
	s := l.r.state
	m := assign{nonce: nonce, assignments: s.Assignments(host, nil), interval: idleInterval}
	for _, a := range m.assignments {
		if a.Rollout != "" {
			m.interval = busyInterval
		}
	}
	l.w.host(host).link.down(func(a *agent) { a.onAssign(m) })
}

func (l *leader) beat() {
	l.verify(func(ok bool) {
		if ok {
			for _, h := range l.w.hosts {
				h.link.down((*agent).onBeat)
			}
		}
	})
	l.after(beatEvery, l.beat)
}
