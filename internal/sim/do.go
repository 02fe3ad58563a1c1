package sim

import (
	"time"

	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// balancerLongest is the longest that a call of HAProxy's takes; the agent gives it up then.
const balancerLongest = 2 * time.Second

// fate is what becomes of an instruction.
type fate int

const (
	works fate = iota
	fails      // nothing is done, and an error returned
	half       // it is done, and an error returned
	hangs      // a call that ends by its deadline; done later, perhaps
)

// fate draws what becomes of an instruction.
func (h *host) fate(by tool) fate {
	switch by {
	case byDocker:
		return h.docker.fate()
	case byBalancer:
		return h.balancer.fate()
	default:
		return works
	}
}

// instructions are what an operation consists of. Between any two of them the
// agent may die.
func (h *host) instructions(s *service, op plan.Op) []instruction {
	d := h.docker
	dock := func(most time.Duration, do func()) []instruction {
		return []instruction{{by: byDocker, takes: d.chance.between(time.Millisecond, most), do: func() error { do(); return nil }}}
	}
	switch op := op.(type) {
	case plan.Pull:
		return h.pull(op)
	case plan.Create:
		return dock(50*time.Millisecond, func() { d.create(s.name, op) })
	case plan.Start:
		s.memory.start(op.ID, s.agent.now())
		return dock(500*time.Millisecond, func() { d.start(op.ID, false) })
	case plan.Stop:
		s.stopping[op.ID] = true
		return dock(op.Grace, func() { d.stop(op.ID) })
	case plan.Remove:
		return dock(50*time.Millisecond, func() { d.remove(op.ID) })
	case plan.Prove:
		return s.prove(op)
	case plan.Drain:
		return s.drain(op)
	case plan.EnsureFrontend, plan.RemoveFrontend, plan.Attach, plan.Detach, plan.Weights, plan.Share, plan.Promote:
		return h.steering(s, op)
	default:
		return nil
	}
}

// basis is what of an assignment an operation is held against.
type basis struct {
	epoch  uint64
	wanted int    // containers that are to serve
	stable string // the revision that is to serve; "": none
}

func (s *service) basis() basis {
	a := s.post.Assigned
	if a.Stable == nil {
		return basis{epoch: a.Epoch}
	}
	return basis{a.Epoch, a.Stable.Replicas, a.Stable.ID}
}

// act lets an instruction take effect, and has the checkers look at what it did.
func (h *host) act(s *service, op plan.Op, b basis, effect func()) {
	h.balancer.flow()
	h.w.checkBefore(s, op)
	least := h.least(s.name, op, b)
	effect()
	h.w.checkAct(s, op, b, least)
}

// steer does a whole operation on HAProxy at once, for the reflex.
func (h *host) steer(s *service, op plan.Op) {
	if fate := h.balancer.fate(); fate == fails || !h.balancer.up {
		h.hurt(0)
		return
	}
	for _, step := range h.steering(s, op) {
		h.act(s, op, s.basis(), func() { _ = step.do() }) // it lowers or closes: the next look repeats it
	}
}

// Private

func (d *docker) fate() fate {
	if d.h.w.now < d.away {
		return fails
	}
	if d.chance.strikes(DockerFails) {
		return fails
	}
	if d.chance.strikes(DockerHalf) {
		return half
	}
	if d.chance.strikes(DockerHangs) {
		return hangs
	}
	return works
}

func (p *balancer) fate() fate {
	if p.chance.strikes(BalancerFails) {
		return fails
	}
	if p.chance.strikes(BalancerHalf) {
		return half
	}
	return works
}

// lateEffect is what an operation may still do after its caller has given up;
// nil where Docker gives up, too.
func (h *host) lateEffect(op plan.Op) func() {
	if h.chance.below(2) == 0 {
		return nil
	}
	if op, ok := op.(plan.Start); ok {
		return func() { h.docker.start(op.ID, true) }
	}
	return nil
}

func (h *host) pull(op plan.Pull) []instruction {
	d := h.docker
	return []instruction{{by: byDocker, takes: d.chance.between(100*time.Millisecond, 20*time.Second), do: func() error {
		if h.w.versions.all[op.Image].missing {
			return errMissing
		}
		d.images[op.Image] = true
		return nil
	}}}
}

// steering is what an operation on HAProxy consists of.
func (h *host) steering(s *service, op plan.Op) []instruction {
	b := h.balancer
	var steps []instruction
	add := func(raises bool, do func(*backend)) {
		steps = append(steps, instruction{by: byBalancer, raises: raises, takes: b.chance.between(200*time.Microsecond, 5*time.Millisecond), do: func() error {
			back := b.backends[s.name]
			if !b.up || back == nil {
				return errFailed
			}
			do(back)
			return nil
		}})
	}
	switch op := op.(type) {
	case plan.EnsureFrontend:
		return []instruction{{by: byBalancer, takes: b.chance.between(5*time.Millisecond, 2*time.Second), do: func() error { b.ensure(s.name, frontOf(s.post.Assigned)); return nil }}}
	case plan.RemoveFrontend:
		return []instruction{{by: byBalancer, takes: 50 * time.Millisecond, do: func() error { b.forget(s.name); return nil }}}
	case plan.Attach:
		s.memory.attachedAt[op.Slot] = s.agent.now()
		add(false, func(back *backend) { x := back.slot(op.Slot); x.open, x.addr, x.lastSent = false, op.Addr, 0 })
		add(false, func(back *backend) { back.slot(op.Slot).weight = 0 })
		add(false, func(back *backend) { b.open(s.name, back.slot(op.Slot)) })
	case plan.Detach:
		add(false, func(back *backend) { x := back.slot(op.Slot); x.open, x.weight, x.closed = false, 0, h.w.now })
	case plan.Weights:
		for _, set := range op.Set {
			add(false, func(back *backend) { back.slot(set.Slot).weight = set.Weight })
		}
	case plan.Share:
		add(op.Raise, func(back *backend) { back.split = op.Split })
		if op.Raise && b.chance.strikes(BalancerSlow) {
			steps[0].takes = b.chance.between(0, balancerLongest)
			h.hurt(steps[0].takes)
		}
	case plan.Promote:
		add(true, func(back *backend) { back.weigh(op.Bank, plan.FullWeight) })
		add(true, func(back *backend) { back.weigh(other(op.Bank), 0) })
		add(true, func(back *backend) { back.split.Share = 0 })
	default:
	}
	return steps
}

// frontOf is what of an assignment is written into HAProxy's configuration
// (agent/do.go): its checks ask for a path only if both revisions have it.
func frontOf(a rollout.Assignment) string {
	path := ""
	for i, rev := range []*rollout.Revision{a.Stable, a.Canary} {
		if rev == nil {
			continue
		}
		own := rev.Container.Health.Path
		if i > 0 && a.Stable != nil && own != path {
			own = ""
		}
		path = own
	}
	return a.Frontend.Listen + path
}

func (b *backend) weigh(bank plan.Bank, weight int) {
	for i := range b.slots {
		if x := &b.slots[i]; x.bank == bank && (x.open || weight == 0) {
			x.weight = weight
		}
	}
}

func other(b plan.Bank) plan.Bank {
	if b == plan.BankA {
		return plan.BankB
	}
	return plan.BankA
}
