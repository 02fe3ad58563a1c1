package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/agent/fence"
	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// As in the agent.
const reportApart = 20 * time.Millisecond

// noteLongest is how long a slow disk takes to hold the epoch of a broadcast.
const noteLongest = 5 * time.Second

// agent is one run of the process: what agent/accept.go, licence.go and
// report.go do, without their goroutines and locks. It ends at any instruction;
// what it must not forget is on the host's disk.
type agent struct {
	w        *world
	h        *host
	chance   chance
	alive    bool
	born     time.Duration
	started  string
	services []*service

	heard map[string]rollout.Wave // the newest broadcast, by service

	leash    fence.Leash
	sequence uint64
	interval time.Duration
	told     time.Duration // the last report
	telling  timer
	leasing  timer
}

func newAgent(h *host) *agent {
	started := fmt.Sprintf("%s#%d", h.name, h.runs)
	a := &agent{w: h.w, h: h, chance: h.w.chance(started), alive: true, born: h.w.now, started: started, interval: idleInterval, heard: map[string]rollout.Wave{}}
	a.leash = fence.NewLeash(a.now(), lease)
	return a
}

// begin takes up what was accepted before.
func (a *agent) begin() {
	for i := range a.w.mix.services {
		name := serviceName(i)
		if p, ok := a.h.disk[name]; ok && p.Assignment.Service != "" {
			a.service(name).post.Restore(p)
		}
	}
	a.w.set(&a.telling, a.chance.between(0, 500*time.Millisecond), &a.alive, a.report)
	a.guardLease()
}

// now is the agent's own monotonic clock.
func (a *agent) now() time.Duration {
	return time.Minute + time.Duration(float64(a.w.now-a.born)*a.h.pace)
}

func (a *agent) after(d time.Duration, do func()) { a.w.after(d, &a.alive, do) }

// mayDie is a place where kill -9 may come; it reports that it has.
func (a *agent) mayDie() bool {
	if a.alive && a.chance.strikes(AgentDies) {
		a.h.killAgent()
	}
	return !a.alive
}

func (a *agent) service(name string) *service {
	for _, s := range a.services {
		if s.name == name {
			return s
		}
	}
	s := newService(a, name)
	a.services = append(a.services, s)
	return s
}

// onAssign takes a leader's message: the fence, the disk, and only then it counts.
func (a *agent) onAssign(m assign) {
	a.leash.Hear(a.now(), 0)
	a.interval = m.interval
	until := a.leash.Redeem(m.nonce, a.now())
	fresh := fence.Fresh(a.h.disk, m.assignments, func(rollout.Assignment, uint64) {})
	if a.mayDie() || !a.persist(fresh) || a.mayDie() {
		return
	}
	for _, as := range fresh {
		a.service(as.Service).accept(as, until)
	}
}

// onWave takes a broadcast: it lowers first, and is written down then.
func (a *agent) onWave(w rollout.Wave) {
	if !slices.ContainsFunc(a.services, func(s *service) bool { return s.name == w.Service }) {
		return
	}
	s := a.service(w.Service)
	newer := s.hold(w)
	a.w.checkHeard(s, w)
	if newer && !a.mayDie() {
		a.after(a.chance.between(0, noteLongest), a.note)
		a.reportNow()
	}
}

// note writes down the epochs of broadcasts.
func (a *agent) note() {
	for _, s := range a.services {
		if p, newer := a.h.disk[s.name].Noted(s.post.Fence); newer && !a.chance.strikes(DiskRefuses) {
			a.h.disk[s.name] = p
		}
	}
}

func (a *agent) onBeat() { a.leash.Hear(a.now(), 0) }

// onDeath is what Docker tells.
func (a *agent) onDeath(c *container) {
	for _, s := range a.services {
		if s.name == c.service {
			s.onDeath(c)
			s.wake()
		}
	}
}

func (a *agent) reportNow() {
	a.w.set(&a.telling, max(0, a.told+reportApart-a.w.now), &a.alive, a.report)
}

// Private

// persist writes what differs from what is written. If the disk refuses, what
// the assignments lower is lowered all the same.
func (a *agent) persist(all []rollout.Assignment) bool {
	pages := fence.Written(a.h.disk, all)
	for _, as := range all { // not in the order of a map: a run has to repeat itself
		p, differs := pages[as.Service]
		if !differs {
			continue
		}
		if a.chance.strikes(DiskRefuses) {
			a.h.hurt(0)
			for _, as := range all {
				a.service(as.Service).refuse(as)
			}
			a.reportNow()
			return false
		}
		a.h.disk[as.Service] = p
	}
	return true
}

func (a *agent) guardLease() {
	left := a.leash.Left(a.now())
	if left <= 0 {
		for _, s := range a.services {
			s.loseControl()
		}
		left = 5 * time.Second
	}
	a.w.set(&a.leasing, left+time.Millisecond, &a.alive, a.guardLease)
}

// report publishes what is known, and counts what HAProxy has counted.
func (a *agent) report() {
	a.told = a.w.now
	a.poll()
	a.sequence++
	nonce := a.chance.next() | 1
	a.leash.Issue(nonce, a.now())
	r := &report{host: a.h, started: a.started, run: a.h.runs, sequence: a.sequence, nonce: nonce}
	for _, s := range a.services {
		if s.post.Assigned.Service != "" {
			r.services = append(r.services, s.report())
		}
	}
	slices.SortFunc(r.services, func(x, y serviceReport) int { return strings.Compare(x.service, y.service) })
	a.h.link.up(r)
	wait := a.interval
	if slices.ContainsFunc(a.services, (*service).inFlight) {
		wait = min(wait, busyInterval)
	}
	a.w.set(&a.telling, wait, &a.alive, a.report)
}

// poll reads HAProxy's counters, and wakes who sees something else than before.
func (a *agent) poll() {
	a.h.balancer.flow()
	for _, s := range a.services {
		s.read()
		if s.shown != s.sight() {
			s.wake()
		}
	}
}

// report is the service's part of a report.
func (s *service) report() serviceReport {
	as, st := s.post.Assigned, s.status
	s.meter.begin(as.Rollout)
	r := serviceReport{
		service: s.name, epoch: as.Epoch, settled: st.settled, hasImage: st.hasImages, wantsRaise: st.wantsRaise, weight: st.weight,
		deaths: st.deaths, death: st.death, problem: st.problem, incarnation: s.agent.started + "-" + as.Rollout,
	}
	if as.Stable != nil {
		_, r.stable = s.meter.sum(as.Stable.ID)
	}
	if as.Canary != nil {
		var each map[string]analysis.Counts
		r.canary, each = s.meter.sum(as.Canary.ID)
		r.canaryInstances = len(each)
	}
	return r
}

// sight is what a look at HAProxy shows, as far as it is compared.
type sight struct {
	up    bool
	split plan.Split
	slots [2 * banks]struct {
		addr   string
		open   bool
		weight int
	}
}
