package sim

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// As in the agent.
const (
	licenceTime = 3 * time.Second
	maxNonces   = 256
	reportApart = 20 * time.Millisecond
)

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

	nonces   []issued
	heard    time.Duration // a leader, on the agent's clock
	sequence uint64
	interval time.Duration
	told     time.Duration // the last report
	telling  timer
	leasing  timer
}

type issued struct {
	nonce uint64
	at    time.Duration
}

func newAgent(h *host) *agent {
	started := fmt.Sprintf("%s#%d", h.name, h.runs)
	a := &agent{w: h.w, h: h, chance: h.w.chance(started), alive: true, born: h.w.now, started: started, interval: idleInterval}
	a.heard = a.now()
	return a
}

// begin takes up what was accepted before.
func (a *agent) begin() {
	for i := range a.w.mix.services {
		name := serviceName(i)
		if p, ok := a.h.disk[name]; ok && p.assignment.Service != "" {
			s := a.service(name)
			s.accept(p.assignment, 0)
			s.fence = max(s.fence, p.epoch)
			if p.epoch > p.assignment.Epoch {
				s.ceiling = ceiling{on: true, epoch: p.epoch}
			}
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
	a.heard, a.interval = a.now(), m.interval
	until := a.redeem(m.nonce)
	var fresh []rollout.Assignment
	for _, as := range m.assignments {
		if as.Epoch >= a.h.disk[as.Service].epoch {
			fresh = append(fresh, as)
		}
	}
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
	if !s.hold(w) || a.mayDie() {
		return
	}
	if p := a.h.disk[w.Service]; w.Epoch > p.epoch && !a.chance.strikes(DiskRefuses) {
		p.epoch = w.Epoch
		a.h.disk[w.Service] = p
	}
	a.reportNow()
}

func (a *agent) onBeat() { a.heard = a.now() }

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

// redeem returns until when, on the agent's clock, the echo of a nonce is a
// licence.
func (a *agent) redeem(nonce uint64) time.Duration {
	for _, n := range a.nonces {
		if nonce != 0 && n.nonce == nonce && a.now()-n.at < licenceTime {
			return n.at + licenceTime
		}
	}
	return 0
}

// persist writes what differs from what is written. If the disk refuses, what
// the assignments lower is lowered all the same.
func (a *agent) persist(all []rollout.Assignment) bool {
	refused := false
	for _, as := range all {
		p := page{epoch: as.Epoch, assignment: as}
		if reflect.DeepEqual(a.h.disk[as.Service], p) {
			continue
		}
		if refused = refused || a.chance.strikes(DiskRefuses); !refused {
			a.h.disk[as.Service] = p
		}
	}
	if refused {
		a.h.hurt(0)
		for _, as := range all {
			a.service(as.Service).lowerFor(as)
		}
		a.reportNow()
	}
	return !refused
}

func (a *agent) guardLease() {
	left := lease - (a.now() - a.heard)
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
	a.nonces = append(a.nonces, issued{nonce, a.now()})
	if over := len(a.nonces) - maxNonces; over > 0 {
		a.nonces = a.nonces[over:]
	}
	r := &report{host: a.h, started: a.started, run: a.h.runs, sequence: a.sequence, nonce: nonce}
	for _, s := range a.services {
		if s.assigned.Service != "" {
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
	as, st := s.assigned, s.status
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
