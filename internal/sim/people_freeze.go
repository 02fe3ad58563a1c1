package sim

import (
	"strconv"
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// Private

// freeze freezes or thaws a service, or the fleet. Who thaws ends what is in force.
func (p *person) freeze(l *leader, svc *rollout.Service, k Kind) rollout.Command {
	name := svc.Name
	if p.chance.below(2) == 0 {
		name = rollout.Fleet
	}
	if k != OperatorThaws {
		return rollout.Freeze{Service: name, For: pick(&p.chance, 0, time.Minute, 5*time.Minute, 20*time.Minute), Reason: "by " + p.name}
	}
	if _, frozen := l.r.state.Frozen[name]; !frozen {
		return nil
	}
	return rollout.Thaw{Service: name, Reason: "by " + p.name}
}

// back returns to what was stable before (coordinator/control, rollback).
func (p *person) back(l *leader, svc *rollout.Service) rollout.Command {
	if svc.Active != nil || svc.Stable == nil || l.r.state.AtLevel() < rollout.LevelLost {
		return nil
	}
	hosts := l.live()
	for _, r := range svc.History {
		if r.Phase != rollout.Succeeded || r.To.ID == svc.Stable.ID || len(hosts) == 0 {
			continue
		}
		p.asked++
		spec := r.Spec
		if r.Kept != nil {
			spec = *r.Kept
		}
		return rollout.Submit{
			Key: "rollback:" + svc.Name + ":" + p.name + strconv.Itoa(p.asked), Spec: spec.At(l.r.state.AtLevel()), Back: true,
			To: r.To, Hosts: hosts, By: p.name,
		}
	}
	return nil
}

// live are the hosts that the leader has heard of lately, in order.
func (l *leader) live() []string {
	var hosts []string
	for _, h := range l.w.hosts {
		if k := l.fleet[h.name]; k != nil && l.clock()-k.seen < liveFor {
			hosts = append(hosts, h.name)
		}
	}
	return hosts
}
