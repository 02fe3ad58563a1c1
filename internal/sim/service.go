package sim

import (
	"slices"
	"time"

	"github.com/serin-rollouts/serin/agent/fence"
	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// service is one service on one host: what it shall be, what was last seen, and
// the two parties that work on it, the loop and the reflex (agent/service.go).
type service struct {
	w     *world
	agent *agent
	h     *host
	name  string

	post     fence.Post
	fence    uint64 // the highest that the post has had, for checkFence
	errand   errand
	urgent   timer
	stopping map[string]bool
	seen     sighting
	shown    sight
	status   status
	meter    meter
	memory   memory

	job     *job // the operation under way; nil: none
	raising bool // the share is being raised
	again   bool // the reflex lowers once more after that
	looking timer
	asks    int
}

// errand is what the reflex is to do.
type errand struct {
	lower, blind bool
	detach       []string
}

// sighting is what the last look at the host showed.
type sighting struct {
	split plan.Split
	floor int // what the canary keeps because stable cannot take it
	units map[string]plan.Container
}

func newService(a *agent, name string) *service {
	s := &service{w: a.w, agent: a, h: a.h, name: name, stopping: map[string]bool{}, memory: newMemory(), meter: newMeter()}
	s.wake()
	return s
}

// accept takes an assignment that the fence let through and the disk holds.
func (s *service) accept(a rollout.Assignment, until time.Duration) {
	was := s.post.Assigned.Rollout
	changed := s.post.Accept(a, until)
	s.w.checkFence(s)
	if changed {
		if s.w.telling {
			s.w.tell("%s: accepts epoch %d of %s%s", s.h.name, a.Epoch, s.name, describeAssignment(a))
		}
		s.status.settled, s.status.hasImages, s.status.wantsRaise, s.status.problem = false, false, false, problem{}
		if was != a.Rollout {
			s.status.deaths, s.status.death = 0, ""
		}
		s.lower(false)
		s.interrupt()
	}
	if changed || s.status.wantsRaise {
		s.wake()
	}
}

// hold takes a broadcast; it reports whether it is newer than what is assigned.
func (s *service) hold(w rollout.Wave) (newer bool) {
	newer, lowered := s.post.Hold(w)
	s.w.checkFence(s)
	if lowered {
		s.held()
	}
	return newer
}

// refuse does what an assignment lowers that could not be written down.
func (s *service) refuse(a rollout.Assignment) {
	if s.post.Refuse(a) {
		s.held()
	}
	s.status.trouble(problem{text: "the disk refuses"})
}

// loseControl takes the canary's share away when no leader is heard.
func (s *service) loseControl() {
	if s.post.LoseControl() {
		s.w.tell("%s: no leader heard within the lease", s.h.name)
		s.lower(false)
		s.wake()
	}
}

// onDeath closes the slot of a container that died, and zeroes its canary.
func (s *service) onDeath(c *container) {
	unit, open := s.seen.units[c.slot]
	if !open || unit.ID != c.id || s.stopping[c.id] {
		return
	}
	s.errand.detach = append(s.errand.detach, c.slot)
	s.post.Turn++
	if s.seen.split.Share > 0 && plan.BankOf(c.slot) == s.seen.split.Bank {
		s.lower(true)
	}
	s.react()
}

// Private

func (s *service) held() {
	s.lower(false)
	s.interrupt()
	s.wake()
}

// lower has the reflex lower the share, if it is more than allowed.
func (s *service) lower(blind bool) {
	if s.seen.split.Share > s.post.Allowed(s.seen.split) || blind {
		s.errand.lower, s.errand.blind = true, s.errand.blind || blind
		s.react()
	}
}

// react has the reflex do its errand at once, whatever the loop is doing.
func (s *service) react() {
	s.w.set(&s.urgent, s.agent.chance.between(500*time.Microsecond, 5*time.Millisecond), &s.agent.alive, s.reflex)
}

func (s *service) reflex() {
	todo, split, limit := s.errand, s.seen.split, max(s.post.Allowed(s.seen.split), s.seen.floor)
	s.errand = errand{}
	if todo.blind {
		limit = 0
	}
	defer s.wake()
	if todo.lower && limit < split.Share && !s.lowerTo(limit) {
		return
	}
	for _, name := range todo.detach {
		s.h.steer(s, plan.Detach{Slot: name})
	}
}

// lowerTo lowers the share; a raise that is under way may come last, and then
// it is lowered once more.
func (s *service) lowerTo(limit int) bool {
	b := s.h.balancer
	back := b.backends[s.name]
	if !b.up || back == nil || b.chance.strikes(BalancerFails) {
		s.h.hurt(0)
		return true
	}
	if s.agent.mayDie() {
		return false
	}
	split := back.split
	split.Share = min(limit, split.Share)
	s.h.act(s, plan.Share{Split: split}, s.basis(), func() { back.split = split })
	s.again = s.raising
	s.status.weight, s.seen.split.Share = limit, limit
	s.agent.reportNow()
	return true
}

// interrupt ends a wait that is under way.
func (s *service) interrupt() {
	if s.job != nil && s.job.waits {
		s.job.over = true
		s.job = nil
		s.wake()
	}
}

func (s *service) inFlight() bool { return s.post.Assigned.Rollout != "" || !s.status.settled }

// wake has the loop look again soon.
func (s *service) wake() {
	if s.job == nil {
		s.lookIn(time.Millisecond)
	}
}

func (s *service) lookIn(d time.Duration) {
	s.w.set(&s.looking, d, &s.agent.alive, s.pass)
}

// sight is what HAProxy shows of the service now.
func (s *service) sight() sight {
	b := s.h.balancer
	back := b.backends[s.name]
	shown := sight{up: b.up && back != nil}
	if !shown.up {
		return shown
	}
	shown.split = back.split
	for i := range back.slots {
		shown.slots[i].addr, shown.slots[i].open, shown.slots[i].weight = back.slots[i].addr, back.slots[i].open, back.slots[i].weight
	}
	return shown
}

// status is what a report says of a service (agent/status.go).
type status struct {
	settled, hasImages, wantsRaise bool
	weight                         int
	deaths                         int
	death                          string
	problem                        problem
}

func (st *status) trouble(p problem) { st.settled, st.problem = false, p }

func (st *status) look(a rollout.Assignment, h plan.Host, op plan.Op) {
	_, st.settled = op.(plan.Settled)
	_, st.wantsRaise = op.(plan.Ask)
	if st.settled || st.problem.cause == "" {
		st.problem = problem{}
	}
	st.weight = h.Split.Share
	st.hasImages = true
	for _, image := range wantedImages(a) {
		runs := slices.ContainsFunc(h.Containers, func(c plan.Container) bool {
			return a.Stable != nil && a.Stable.Image == image && c.Revision == a.Stable.ID ||
				a.Canary != nil && a.Canary.Image == image && c.Revision == a.Canary.ID
		})
		if !slices.Contains(h.Images, image) && !runs {
			st.hasImages = false
		}
	}
}

func wantedImages(a rollout.Assignment) []string {
	images := slices.Clone(a.Prefetch)
	for _, rev := range []*rollout.Revision{a.Stable, a.Canary} {
		if rev != nil && !slices.Contains(images, rev.Image) {
			images = append(images, rev.Image)
		}
	}
	return images
}

func describeAssignment(a rollout.Assignment) string {
	text := ""
	if a.Stable != nil {
		text += ", stable " + a.Stable.ID
	}
	if a.Canary != nil {
		text += ", canary " + a.Canary.ID + " at " + rollout.Percent(a.Weight)
	}
	return text
}
