package sim

import (
	"time"

	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const banks = 8 // slots in each bank

// balancer is a HAProxy of one host: slots with addresses and weights, a split
// between the banks, and the requests that go through them.
type balancer struct {
	h        *host
	chance   chance
	up       bool
	pid      int
	backends map[string]*backend
	flowed   time.Duration // until when requests have been sent
	reloaded time.Duration // when new workers last took over
	oldUntil time.Duration // old workers serve until then
}

// backend is one service of it.
type backend struct {
	slots [2 * banks]slot
	split plan.Split
	front string // how its traffic arrives, and how it is checked
}

// slot is one server line.
type slot struct {
	name     string
	bank     plan.Bank
	addr     string
	open     bool
	weight   int
	counts   analysis.Counts // since the worker started
	owed     float64         // parts of a request
	busy     time.Duration   // until when requests are open after the last one came
	lastSent time.Duration
	opened   time.Duration // when it was opened
	closed   time.Duration // when it was closed
	whose    string        // the revision that it last led to
}

// tracks counts what a service's users got, by revision: the truth that
// evidence is held against.
type tracks struct {
	of map[string]analysis.Counts
}

func newBalancer(h *host) *balancer {
	return &balancer{h: h, chance: h.w.chance(h.name + "/haproxy"), backends: map[string]*backend{}, flowed: h.w.now}
}

func newBackend() *backend {
	b := &backend{}
	for i := range b.slots {
		bank := plan.BankA
		if i >= banks {
			bank = plan.BankB
		}
		b.slots[i] = slot{name: plan.SlotName(bank, i%banks+1), bank: bank}
	}
	return b
}

func (b *backend) slot(name string) *slot {
	i := int(name[1]-'1') + map[byte]int{'a': 0, 'b': banks}[name[0]]
	return &b.slots[i]
}

// die is the end of all its processes. What was configured is in its file.
func (p *balancer) die() {
	if !p.up {
		return
	}
	p.flow()
	p.up = false
	p.h.hurt(0)
	p.h.w.tell("%s: HAProxy dies", p.h.name)
}

// ensure starts it, or reloads it, with a service.
func (p *balancer) ensure(service, front string) {
	p.flow()
	b := p.backends[service]
	if p.up && b != nil && b.front == front {
		return
	}
	if p.up {
		p.reloaded, p.oldUntil = p.h.w.now, p.h.w.now+p.chance.between(0, 5*time.Second)
	}
	if b == nil {
		b = newBackend()
		p.backends[service] = b
	}
	b.front = front
	p.renew()
}

// forget reloads it without a service.
func (p *balancer) forget(service string) {
	p.flow()
	delete(p.backends, service)
	p.renew()
}

// open has requests sent to a slot, if it has a share or a weight.
func (p *balancer) open(service string, s *slot) {
	s.open, s.opened = true, p.h.w.now
	if c := p.live(service, s); c != nil {
		s.whose = c.revision.ID // its container may die before the first request
	}
}

// live returns the running container of the service behind an open slot.
func (p *balancer) live(service string, s *slot) *container {
	if !s.open {
		return nil
	}
	for _, c := range p.h.docker.containers {
		if c.service == service && c.slot == s.name && c.state == plan.Running && c.addr == s.addr {
			return c
		}
	}
	return nil
}

// flow sends the requests that users have made since it was last called.
func (p *balancer) flow() {
	now := p.h.w.now
	took := (now - p.flowed).Seconds()
	p.flowed = now
	if !p.up || took <= 0 {
		return
	}
	for i := range p.h.w.mix.services {
		name := serviceName(i)
		if b := p.backends[name]; b != nil {
			p.send(name, b, took*p.h.w.mix.traffic)
		}
	}
}

// serving tells whether a slot gets requests: by its weight, or by the split.
func (b *backend) serving(s *slot) bool {
	return s.open && (s.weight > 0 && b.split.Share < rollout.Full || b.split.Share > 0 && s.bank == b.split.Bank)
}

// sessions tells whether requests are open on a slot.
func (b *backend) sessions(s *slot, now time.Duration) bool {
	return s.open && s.lastSent > 0 && now < s.busy
}

// Private

// renew starts new workers: all counters begin at zero.
func (p *balancer) renew() {
	p.up = true
	p.pid++
	for _, b := range p.backends {
		for i := range b.slots {
			b.slots[i].counts = analysis.Counts{}
		}
	}
}

func (p *balancer) send(service string, b *backend, requests float64) {
	var inSplit, weighted []*slot
	total := 0
	for i := range b.slots {
		s := &b.slots[i]
		if !b.serving(s) {
			continue
		}
		if b.split.Share > 0 && s.bank == b.split.Bank {
			inSplit = append(inSplit, s)
		}
		if s.weight > 0 {
			weighted = append(weighted, s)
			total += s.weight
		}
	}
	split := requests * float64(b.split.Share) / rollout.Full
	if len(inSplit) == 0 {
		split = 0
	}
	for _, s := range inSplit {
		p.serve(service, s, split/float64(len(inSplit)))
	}
	for _, s := range weighted {
		p.serve(service, s, (requests-split)*float64(s.weight)/float64(total))
	}
}

// serve sends requests to one slot.
func (p *balancer) serve(service string, s *slot, requests float64) {
	w := p.h.w
	s.owed += requests
	n := int64(s.owed)
	if n == 0 {
		return
	}
	s.owed -= float64(n)
	s.lastSent = w.now
	s.busy = w.now + time.Duration(float64(pick(&p.chance, time.Millisecond, 300*time.Millisecond, 20*time.Second))*p.chance.float())
	c := p.live(service, s)
	bad := n
	if c != nil && c.ready(w.now) {
		bad = p.bad(n, w.versions.all[c.revision.Image].errorsOn(p.h.name))
	}
	w.checkServed(p.h, service, s, c, n)
	s.counts.Requests += n
	s.counts.Errors += bad
	if c != nil {
		s.whose = c.revision.ID
	}
	p.h.count(service, s.whose, analysis.Counts{Requests: n, Errors: bad})
}

// bad draws how many of n requests are answered with an error.
func (p *balancer) bad(n int64, share float64) int64 {
	var bad int64
	if n <= 64 {
		for range n {
			if p.chance.float() < share {
				bad++
			}
		}
		return bad
	}
	mean := float64(n) * share * (0.9 + 0.2*p.chance.float())
	bad = int64(mean)
	if p.chance.float() < mean-float64(bad) {
		bad++
	}
	return min(bad, n)
}

func (h *host) count(service, revision string, n analysis.Counts) {
	t := h.served[service]
	if t == nil {
		t = &tracks{of: map[string]analysis.Counts{}}
		h.served[service] = t
	}
	sum := t.of[revision]
	t.of[revision] = analysis.Counts{Requests: sum.Requests + n.Requests, Errors: sum.Errors + n.Errors}
}
