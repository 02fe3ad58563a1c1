package sim

import (
	"fmt"
	"strconv"
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	clientPatience = 4 * time.Second
	clientTries    = 6
	staleTries     = 5
	resolving      = 2 * time.Second
)

// person is somebody who starts rollouts or meddles with them: CI, operators.
// What they ask for goes to whoever leads, and may be lost on its way there or
// back; then they ask again.
type person struct {
	w      *world
	name   string
	chance chance
	asked  int
}

// trigger is what a person asks for.
type trigger struct {
	key     string
	spec    rollout.Spec
	to      rollout.Revision
	replace bool
	// override goes through freezes.
	override bool
}

func newPerson(w *world, name string) *person {
	return &person{w: w, name: name, chance: w.chance(name)}
}

// begin has CI install every service, and all of them come back now and then.
func (p *person) begin() {
	if p.name == "ci" {
		for i := range p.w.mix.services {
			p.ask(p.draw(serviceName(i), p.w.versions.push(true), false))
		}
	}
	p.w.after(p.chance.between(20*time.Second, 90*time.Second), nil, p.act)
}

// act is one of a person's visits.
func (p *person) act() {
	if p.w.healed {
		return
	}
	p.w.after(p.chance.between(5*time.Second, time.Minute), nil, p.act)
	service := serviceName(p.chance.below(p.w.mix.services))
	if p.chance.strikes(Trigger) {
		t := p.draw(service, p.version(), p.chance.strikes(TriggerReplaces))
		if p.chance.below(8) == 0 {
			t = p.stable(t)
		}
		p.ask(t)
		if t.replace && p.chance.strikes(OperatorHalts) {
			p.w.after(p.chance.between(0, 20*time.Second), nil, func() { p.command(service, OperatorHalts, staleTries) })
		}
		return
	}
	for _, k := range []Kind{OperatorPauses, OperatorResumes, OperatorAborts, OperatorPromotes, OperatorForces, OperatorReleases, OperatorFreezes, OperatorThaws, OperatorReturns} {
		if p.chance.strikes(k) {
			p.command(service, k, staleTries)
		}
	}
}

// startled may take a rollout back while its hosts take the step that it has just begun.
func (p *person) startled(service string) {
	if p.chance.strikes(OperatorAborts) {
		p.w.after(p.chance.between(0, 3*time.Second), nil, func() { p.command(service, OperatorAborts, staleTries) })
	}
}

// Private

func serviceName(i int) string { return "svc" + strconv.Itoa(i+1) }

// version is a new one, or, now and then, one that was there before.
func (p *person) version() *version {
	v := p.w.versions
	if p.chance.below(4) > 0 {
		return v.push(false)
	}
	return v.all[fmt.Sprintf("sha256:%064d", 1+p.chance.below(len(v.all)))]
}

func (p *person) draw(service string, v *version, replace bool) trigger {
	p.asked++
	t := trigger{key: "id:" + service + ":" + p.name + strconv.Itoa(p.asked), replace: replace, override: p.chance.strikes(OperatorOverrides)}
	t.spec = p.w.versions.specOf(&p.chance, service, v)
	if problem := t.spec.Validate(); problem != nil {
		panic("a spec of the simulator's own: " + problem.Message)
	}
	t.to = rollout.NewRevision(t.spec, v.image)
	return t
}

// stable asks for what is stable, once more, if anything is.
func (p *person) stable(t trigger) trigger {
	for _, l := range p.w.leaders() {
		if svc := l.r.state.Services[t.spec.Service]; svc != nil && svc.Stable != nil {
			t.spec, t.to = svc.Spec, *svc.Stable
		}
	}
	return t
}

// ask sends a trigger until it is answered.
func (p *person) ask(t trigger) {
	p.w.tally.Triggers++
	p.w.tell("%s triggers %s (%s) as %s", p.name, t.spec.Image, t.to.ID, t.key)
	p.w.record.asked(t)
	answered := false
	p.send(t, &answered, clientTries)
	if p.chance.strikes(TriggerTwice) {
		p.w.after(p.chance.between(0, 30*time.Second), nil, func() { p.send(t, &answered, 1) })
	}
}

func (p *person) send(t trigger, answered *bool, tries int) {
	if tries == 0 || *answered {
		return
	}
	p.reach(func(l *leader) {
		l.take(t, func(result rollout.Result) {
			if !p.chance.strikes(MessageLost) {
				*answered = true
				p.w.record.answered(t, result)
			}
		})
	})
	p.w.after(clientPatience, nil, func() { p.send(t, answered, tries-1) })
}

// reach finds some leader, unless the bus does not.
func (p *person) reach(do func(*leader)) {
	all := p.w.leaders()
	if len(all) == 0 || p.w.now < p.w.busAway || p.chance.strikes(MessageLost) {
		return
	}
	l := all[p.chance.below(len(all))]
	l.after(p.chance.between(time.Millisecond, 10*time.Millisecond), func() { do(l) })
}

// take does with a trigger what coordinator/triggers.go does: a known one is
// answered, any other one becomes a submission or the record of a refusal.
func (l *leader) take(t trigger, answer func(rollout.Result)) {
	s := l.r.state
	if known, ok := s.Known(t.key); ok {
		answer(rollout.Result{Repeat: true, Rollout: known.Rollout, Refused: known.Refusal})
		return
	}
	if !l.gathered {
		return // asked again in a moment
	}
	hosts := l.live()
	if len(hosts) == 0 {
		return
	}
	t.spec = t.spec.At(s.AtLevel())
	var command rollout.Command = rollout.Submit{
		Key: t.key, Spec: t.spec, To: t.to, Hosts: hosts, By: "trigger", Replace: t.replace, IfNew: s.AtLevel() >= rollout.LevelIfNew,
		Override: t.override && s.AtLevel() >= rollout.LevelFreeze,
	}
	if svc := s.Services[t.spec.Service]; svc != nil {
		if unchanged := svc.Unchanged(t.to, t.spec, s.AtLevel()); unchanged != nil {
			command = rollout.Refuse{Key: t.key, Service: t.spec.Service, Refusal: *unchanged}
		}
	}
	propose := func() {
		l.propose("trigger", command, func(result rollout.Result, err error) {
			if err == nil && (result.Refused == nil || result.Refused.Code != rollout.CodeBusy) {
				answer(result)
			}
		})
	}
	l.after(l.chance.between(0, resolving), propose) // a registry tells which bytes the image is
}

// command carries out a verb; one that means the same at every epoch is tried
// again when a decision has come between (coordinator/control).
func (p *person) command(service string, k Kind, tries int) {
	p.reach(func(l *leader) {
		svc := l.r.state.Services[service]
		if svc == nil {
			return
		}
		c := p.choose(l, svc, k)
		if c == nil {
			return
		}
		p.w.tell("%s: %s", p.name, k)
		l.propose(p.name, c, func(result rollout.Result, err error) {
			stale := err == nil && result.Refused != nil && result.Refused.Code == rollout.CodeStale
			if stale && k != OperatorPromotes && tries > 1 {
				p.command(service, k, tries-1)
			}
		})
	})
}

func (p *person) choose(l *leader, svc *rollout.Service, k Kind) rollout.Command {
	why := rollout.Why{Cause: rollout.CauseOperator, Text: "by " + p.name}
	switch k {
	case OperatorFreezes, OperatorHalts, OperatorThaws:
		return p.freeze(l, svc, k)
	case OperatorReturns:
		return p.back(l, svc)
	default:
	}
	if k == OperatorReleases {
		for _, h := range l.w.hosts {
			if _, held := svc.Held[h.name]; held {
				return rollout.Release{Service: svc.Name, Host: h.name}
			}
		}
		return nil
	}
	if svc.Active == nil {
		return nil
	}
	r := svc.Active
	target := rollout.Target{Service: svc.Name, Rollout: r.ID, Epoch: svc.Epoch}
	switch k {
	case OperatorPauses:
		return rollout.Pause{Target: target, Why: why}
	case OperatorResumes:
		return rollout.Resume{Target: target}
	case OperatorAborts:
		return rollout.Abort{Target: target, Reason: "by " + p.name}
	case OperatorForces:
		return rollout.Promote{Target: target, Why: why}
	case OperatorPromotes:
		return p.promote(l, svc, target, why)
	default:
		return nil
	}
}

// promote gives the approval that a step asks for, or takes the next step once
// all hosts have taken this one.
func (p *person) promote(l *leader, svc *rollout.Service, target rollout.Target, why rollout.Why) rollout.Command {
	r := svc.Active
	watch := l.watches[svc.Name]
	switch {
	case r.Phase == rollout.Preparing || watch == nil || watch.rollout.ID != r.ID:
		return nil
	case r.Spec.Steps[r.Step].Approve && !r.Approved:
		return rollout.Approve{Target: target}
	}
	e := watch.evidence(l.clock())
	for _, name := range r.Hosts[:r.Wave()] {
		if h := e.Hosts[name]; h.Epoch != svc.Epoch || !h.Settled {
			return nil
		}
	}
	return rollout.Advance{Target: target, Why: why, Baseline: e.Baseline, Next: r.Ahead(e.Verdict, l.clock())}
}
