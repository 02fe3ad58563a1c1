package sim

import (
	"slices"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/agent/fence"
	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestSimCheckersSee breaks each promise on purpose, in fleets that keep them
// all otherwise. (What faults of the core break is in internal/sim/mutants.)
func TestSimCheckersSee(t *testing.T) {
	for _, c := range sabotages() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= 200; seed++ {
				done := false
				out := Run(Options{Seed: seed, trap: func(w *world) {
					if !done {
						done = c.spoil(w)
					}
				}})
				if v := out.Violation; v != nil {
					if v.Invariant != c.want {
						t.Fatalf("seed %d: %v", seed, v)
					}
					return
				}
			}
			t.Fatal("nobody has seen it")
		})
	}
}

// sabotage breaks a promise as soon as it can; it reports that it has.
type sabotage struct {
	name, want string
	spoil      func(*world) bool
}

func sabotages() []sabotage {
	return slices.Concat(sabotagesOfState(), sabotagesOfDecisions(), sabotagesOfHosts(), sabotagesOfBroadcasts(), sabotagesOfFailures())
}

func sabotagesOfState() []sabotage {
	return []sabotage{
		{"a trigger is answered twice, differently", "I3", func(w *world) bool {
			for key, t := range w.record.asks {
				if r, ok := w.record.answers[key]; ok && r.Refused == nil {
					w.record.answered(t, rollout.Result{Rollout: "another"})
					return true
				}
			}
			return false
		}},
		{"two triggers are accepted as one rollout", "I15", func(w *world) bool {
			for key, r := range w.record.answers {
				if r.Refused == nil {
					w.record.answered(trigger{key: key + "'"}, rollout.Result{Rollout: r.Rollout})
					return true
				}
			}
			return false
		}},
		{"an accepted trigger is forgotten", "I3", func(w *world) bool {
			if w.healed {
				w.record.answers["id:nobody"] = rollout.Result{Rollout: "svc1-99"}
			}
			return w.healed
		}},
		{"nobody decides any more", "I4", func(w *world) bool {
			for _, l := range w.leaders() {
				for i := range w.mix.services {
					l.pending[serviceName(i)] = true
				}
			}
			return false
		}},
		{"a replica applies something else", "I9", func(w *world) bool {
			r := w.cluster.replicas[0]
			r.state = r.state.Clone()
			r.state.Clock++
			return w.healed
		}},
		{"a published state changes", "I9", func(w *world) bool {
			if w.record.frozen == nil {
				return false
			}
			w.cluster.truth.Clock++
			return true
		}},
		{"the stream takes an event twice", "I11", func(w *world) bool {
			if n := len(w.stream.events); n > 3 {
				w.stream.take(w.stream.events[1], w.stream.last())
				return true
			}
			return false
		}},
		{"a freeze keeps nothing from beginning", "freeze", func(w *world) bool {
			w.record.freezes[rollout.Fleet] = rollout.Never
			return true
		}},
		{"a trigger is refused although nothing is frozen", "freeze", func(w *world) bool {
			clear(w.record.freezes)
			return len(w.cluster.truth.Frozen) > 0
		}},
		{"an event is lost", "I11", func(w *world) bool {
			if len(w.cluster.truth.Outbox) < 2 {
				return false
			}
			w.cluster.commit(rollout.Entry{Command: rollout.Release{}, Stamp: rollout.Stamp{Confirmed: w.cluster.truth.EventSeq}}, w.now)
			return true
		}},
	}
}

// by has serin decide something about the first rollout for which it can.
func by(what string, want string, decide func(*world, *rollout.Service, rollout.Target) rollout.Command) sabotage {
	return sabotage{what, want, func(w *world) bool {
		for _, svc := range w.cluster.truth.Services {
			if svc.Active == nil {
				continue
			}
			c := decide(w, svc, rollout.Target{Service: svc.Name, Rollout: svc.Active.ID, Epoch: svc.Epoch})
			if c == nil {
				continue
			}
			w.cluster.commit(rollout.Entry{Command: c, Stamp: rollout.Stamp{At: w.cluster.truth.Clock, By: "serin"}}, w.now)
			return true
		}
		return false
	}}
}

// ripe tells whether everything that a step asks for is there, but for one thing.
func ripe(w *world, svc *rollout.Service, but string) bool {
	r := svc.Active
	step := r.Spec.Steps[r.Step]
	if r.Phase != rollout.Progressing || r.Install() || r.Parked || step.Approve && !r.Approved && but != "approval" {
		return false
	}
	if but != "hold" && w.now-w.record.marks[r.ID].taken < step.Hold {
		return false
	}
	for _, host := range r.Hosts[:r.Wave()] {
		if w.record.settled[svc.Name][host] < svc.Epoch && but != "settled" {
			return false
		}
	}
	return true
}

func passed() rollout.Why { return rollout.Why{Verdict: &analysis.Verdict{Outcome: analysis.Pass}} }

func sabotagesOfDecisions() []sabotage {
	advance := func(but string, when func(*world, *rollout.Service) bool, why rollout.Why) sabotage {
		return by("a step without "+but, but, func(w *world, svc *rollout.Service, t rollout.Target) rollout.Command {
			if !ripe(w, svc, but) || !when(w, svc) {
				return nil
			}
			return rollout.Advance{Target: t, Why: why}
		})
	}
	step := func(svc *rollout.Service) rollout.Step { return svc.Active.Spec.Steps[svc.Active.Step] }
	return []sabotage{
		advance("hold", func(_ *world, svc *rollout.Service) bool { return step(svc).Hold > 0 }, passed()),
		advance("approval", func(_ *world, svc *rollout.Service) bool { return step(svc).Approve && !svc.Active.Approved }, passed()),
		advance("gate", func(_ *world, svc *rollout.Service) bool {
			return svc.Active.Spec.Gates.Acting() && step(svc).Weight > 0
		}, rollout.Why{}),
		advance("settled", func(w *world, svc *rollout.Service) bool {
			return w.record.settled[svc.Name][svc.Active.Hosts[0]] < svc.Epoch
		}, passed()),
		by("a step out of a pause", "pause", func(_ *world, svc *rollout.Service, t rollout.Target) rollout.Command {
			if svc.Active.Phase != rollout.Paused {
				return nil
			}
			return rollout.Advance{Target: t, Why: passed()}
		}),
		by("a beginning without the image", "image", func(w *world, svc *rollout.Service, t rollout.Target) rollout.Command {
			if r := svc.Active; r.Phase != rollout.Preparing || w.host(r.Hosts[0]).docker.images[r.To.Image] {
				return nil
			}
			return rollout.Advance{Target: t}
		}),
		by("a return before the deadline", "deadline", func(_ *world, _ *rollout.Service, t rollout.Target) rollout.Command {
			return rollout.RollBack{Target: t, Why: rollout.Why{Cause: rollout.CauseDeadline}}
		}),
		by("a return without a cause", "I4", func(_ *world, _ *rollout.Service, t rollout.Target) rollout.Command {
			return rollout.RollBack{Target: t}
		}),
		by("a return without a failure", "gate", func(_ *world, _ *rollout.Service, t rollout.Target) rollout.Command {
			return rollout.RollBack{Target: t, Why: rollout.Why{Cause: rollout.CauseGate}}
		}),
		by("evidence that nobody saw", "evidence", func(_ *world, svc *rollout.Service, t rollout.Target) rollout.Command {
			if svc.Active.Install() || svc.Active.Phase != rollout.Progressing {
				return nil
			}
			many := analysis.Counts{Requests: 1 << 40}
			return rollout.RollBack{Target: t, Why: rollout.Why{Cause: rollout.CauseGate, Verdict: &analysis.Verdict{Outcome: analysis.Fail, Canary: many}}}
		}),
		by("an end before all have followed", "I10", func(w *world, svc *rollout.Service, t rollout.Target) rollout.Command {
			if svc.Active.Phase != rollout.Promoting || w.record.settled[svc.Name][svc.Active.Hosts[0]] >= svc.Epoch {
				return nil
			}
			return rollout.Finish{Target: t}
		}),
		by("a host that was just heard is lost", "lost", func(w *world, svc *rollout.Service, t rollout.Target) rollout.Command {
			r := svc.Active
			if len(r.Hosts) < 2 || r.Phase != rollout.Progressing || r.Spec.LostAfter == 0 || w.now-w.host(r.Hosts[0]).heardOf > r.Spec.LostAfter/2 {
				return nil
			}
			return rollout.Lose{Target: t, Hosts: r.Hosts[:1]}
		}),
	}
}

// onService waits for a service on a host that is as it should be.
func onService(name, want string, spoil func(w *world, s *service, back *backend) bool) sabotage {
	return sabotage{name, want, func(w *world) bool {
		for _, h := range w.hosts {
			if h.agent == nil || !h.balancer.up {
				continue
			}
			for _, s := range h.agent.services {
				if back := h.balancer.backends[s.name]; back != nil && s.status.settled && s.post.Assigned.Stable != nil && spoil(w, s, back) {
					return true
				}
			}
		}
		return false
	}}
}

func sabotagesOfHosts() []sabotage {
	first := func(s *service) plan.Container { return s.seen.units[plan.SlotName(plan.BankA, 1)] }
	return []sabotage{
		onService("an operation of an older epoch", "I2", func(w *world, s *service, _ *backend) bool {
			s.h.performed[s.name] = s.post.Assigned.Epoch + 1
			w.checkBegin(s, plan.Settled{})
			return true
		}),
		onService("a raise long after its epoch", "I12", func(w *world, s *service, back *backend) bool {
			if since, over := w.record.supersededAt(s.name, s.post.Assigned.Epoch-1); !over || w.now-since < time.Minute {
				return false
			}
			s.h.act(s, plan.Share{Split: back.split, Raise: true}, basis{epoch: s.post.Assigned.Epoch - 1}, func() {})
			return true
		}),
		onService("a serving slot is closed", "I7", func(_ *world, s *service, back *backend) bool {
			s.h.act(s, plan.Weights{}, s.basis(), func() { back.slot("a1").weight, back.slot("b1").weight = 0, 0 })
			return true
		}),
		onService("a container is stopped behind its slot", "I6", func(_ *world, s *service, back *backend) bool {
			c := first(s)
			if c.ID == "" || s.h.docker.find(c.ID) == nil || !back.slot("a1").open {
				return false
			}
			s.h.act(s, plan.Stop{ID: c.ID, Slot: "a1"}, s.basis(), func() {})
			return true
		}),
		onService("open requests are cut off", "I6", func(w *world, s *service, back *backend) bool {
			x := back.slot("a1")
			if !x.open || !back.sessions(x, w.now) {
				return false
			}
			s.h.act(s, plan.Detach{Slot: "a1", Cut: true}, s.basis(), func() {})
			return true
		}),
		onService("requests go to what is not ready", "I6", func(_ *world, s *service, _ *backend) bool {
			c := s.h.docker.find(first(s).ID)
			if c == nil {
				return false
			}
			c.readyAt, c.surprise = rollout.Never, false
			return true
		}),
		onService("somebody else's container is stopped", "I8", func(_ *world, s *service, _ *backend) bool {
			s.h.act(s, plan.Stop{ID: foreign}, s.basis(), func() {})
			return true
		}),
		onService("the canary keeps its share after a rollback", "I5", func(w *world, s *service, back *backend) bool {
			svc := w.cluster.truth.Services[s.name]
			if svc.Active != nil && svc.Active.Phase == rollout.RollingBack && !svc.Active.Install() && w.now-w.record.marks[svc.Active.ID].phase > lowerWithin/2 {
				back.split = plan.Split{Share: 100, Salt: svc.Active.To.ID, Bank: plan.BankB}
			}
			return false
		}),
		onService("the lease of a canary does not end", "I5", func(w *world, s *service, back *backend) bool {
			if s.post.Assigned.Canary != nil && s.post.Assigned.OnControlLoss == rollout.RevertOnLoss && back.split.Share > 0 {
				s.h.link.cut, s.agent.leash = w.now+longAway, fence.NewLeash(2*longAway, lease)
			}
			return false
		}),
		onService("a host calls itself settled, and has a container too many", "I8", func(w *world, s *service, _ *backend) bool {
			s.h.docker.containers = append(s.h.docker.containers, &container{id: "left", service: s.name, slot: "b8", state: plan.Stopped})
			w.noteSettled(s)
			return true
		}),
		{"hosts without an agent do not converge", "I10", func(w *world) bool {
			for _, h := range w.hosts {
				if h.agent != nil && w.healed {
					h.agent.alive, h.agent = false, nil
				}
			}
			return false
		}},
	}
}

// sabotagesOfBroadcasts break what an agent owes to a broadcast that it has heard.
func sabotagesOfBroadcasts() []sabotage {
	next := func(s *service) rollout.Wave {
		return rollout.Wave{Service: s.name, Epoch: s.post.Assigned.Epoch + 1}
	}
	return []sabotage{
		onService("what was heard is forgotten", "I2", func(w *world, s *service, _ *backend) bool {
			s.post.Fence--
			w.checkFence(s)
			return true
		}),
		onService("a raise begins after a later broadcast", "I2", func(w *world, s *service, back *backend) bool {
			s.agent.heard[s.name] = next(s)
			w.checkBegin(s, plan.Share{Split: back.split, Raise: true})
			return true
		}),
		onService("a raise is done after a later broadcast", "I2", func(_ *world, s *service, back *backend) bool {
			s.agent.heard[s.name] = next(s)
			split := back.split
			split.Share = 100
			s.h.act(s, plan.Share{Split: split, Raise: true}, s.basis(), func() {})
			return true
		}),
		onService("a broadcast is not obeyed", "I5", func(w *world, s *service, back *backend) bool {
			canary := s.post.Assigned.Canary
			if canary == nil || back.split.Share == 0 || back.split.Salt != canary.ID || w.now-s.h.quietFrom < time.Minute {
				return false
			}
			w.checkHeard(s, next(s))
			return true
		}),
	}
}
