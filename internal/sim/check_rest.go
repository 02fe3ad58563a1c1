package sim

import (
	"fmt"

	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// noteSettled is called when the plan finds a host as it should be; so it has
// to be.
func (w *world) noteSettled(s *service) {
	r := w.record
	if r.settled[s.name] == nil {
		r.settled[s.name] = map[string]uint64{}
	}
	if w.now < s.h.docker.away {
		return
	}
	r.settled[s.name][s.h.name] = max(r.settled[s.name][s.h.name], s.post.Assigned.Epoch)
	if invariant, text := s.h.misfit(s.name, s.post.Assigned); text != "" {
		w.violate(invariant, "%s calls itself settled at epoch %d: %s", s.h.name, s.post.Assigned.Epoch, text)
	}
	for _, image := range s.post.Assigned.Prefetch {
		if !s.h.docker.images[image] {
			w.violate("I10", "%s calls itself settled without %s", s.h.name, image)
		}
	}
}

// misfit says in which way a host is not what an assignment asks for, and which
// promise that is against; "" if it is.
func (h *host) misfit(service string, a rollout.Assignment) (invariant, text string) {
	want := map[string]bool{}
	for _, rev := range []*rollout.Revision{a.Stable, a.Canary} {
		if rev != nil {
			want[rev.ID] = true
		}
	}
	have := map[string]int{}
	for _, c := range h.docker.containers {
		switch {
		case c.service != service:
		case !want[c.revision.ID] || c.state != plan.Running:
			return "I8", fmt.Sprintf("%s is left over, %s", c.id, c.state)
		default:
			have[c.revision.ID]++
		}
	}
	for _, rev := range []*rollout.Revision{a.Stable, a.Canary} {
		if rev != nil && have[rev.ID] != rev.Replicas {
			return "I10", fmt.Sprintf("%d of %d containers of %s run", have[rev.ID], rev.Replicas, rev.ID)
		}
	}
	back := h.balancer.backends[service]
	switch {
	case len(want) == 0 && back != nil && h.balancer.up:
		return "I8", "HAProxy has the service still"
	case len(want) == 0:
		return "", ""
	case back == nil || !h.balancer.up:
		return "I10", "HAProxy does not have the service"
	}
	return h.misrouted(service, a, back)
}

// Private

// misrouted says in which way HAProxy is not what an assignment asks for.
func (h *host) misrouted(service string, a rollout.Assignment, back *backend) (invariant, text string) {
	share := 0
	if a.Canary != nil {
		share = a.Weight
	}
	if back.split.Share != share {
		return "I10", fmt.Sprintf("the canary has %s, not %s", rollout.Percent(back.split.Share), rollout.Percent(share))
	}
	if share > 0 && back.split.Salt != a.Canary.ID {
		return "I10", "the split is " + back.split.Salt + "'s"
	}
	open := 0
	for i := range back.slots {
		x := &back.slots[i]
		if !x.open {
			continue
		}
		open++
		if invariant, text := h.misled(service, a, back, x); text != "" {
			return invariant, text
		}
	}
	for _, rev := range []*rollout.Revision{a.Stable, a.Canary} {
		if rev != nil {
			open -= rev.Replicas
		}
	}
	if open != 0 {
		return "I10", fmt.Sprintf("%+d slots are open beside those that should be", open)
	}
	return "", ""
}

// misled says what is wrong with an open slot.
func (h *host) misled(service string, a rollout.Assignment, back *backend, x *slot) (invariant, text string) {
	c := h.balancer.live(service, x)
	switch {
	case c == nil:
		return "I8", x.name + " leads to no container"
	case a.Stable != nil && c.revision.ID == a.Stable.ID && x.weight != plan.FullWeight:
		return "I7", fmt.Sprintf("%s, which is stable, has weight %d", x.name, x.weight)
	case (a.Stable == nil || c.revision.ID != a.Stable.ID) && x.weight != 0:
		return "I5", fmt.Sprintf("%s, which is not stable, has weight %d", x.name, x.weight)
	case a.Canary != nil && c.revision.ID == a.Canary.ID && a.Weight > 0 && x.bank != back.split.Bank:
		return "I10", x.name + " is not in the bank of the split"
	}
	return "", ""
}

// seekRest looks whether the healed world has come to rest.
func (w *world) seekRest() {
	if _, text := w.unrest(); text == "" {
		w.resting = true
		return
	}
	w.after(quietEvery, nil, w.seekRest)
}

// checkEnd is what must be so at last.
func (w *world) checkEnd() {
	if invariant, text := w.unrest(); text != "" {
		w.violate(invariant, "%s after all faults ended: %s", patience, text)
		return
	}
	r, s := w.record, w.cluster.truth
	for _, key := range sortedKeys(r.answers) {
		answer := r.answers[key]
		known, ok := s.Known(key)
		switch {
		case !ok:
			w.violate("I3", "trigger %s was answered and is not known any more", key)
		case droppedFrom(answer.Rollout, known.Refusal):
		case (known.Refusal == nil) != (answer.Refused == nil), answer.Refused == nil && known.Rollout != answer.Rollout:
			w.violate("I3", "trigger %s was answered %q and is remembered as %q", key, answer.Rollout, known.Rollout)
		case answer.Refused == nil && r.starts[key] != answer.Rollout:
			w.violate("I3", "trigger %s was accepted as %s, and %q was started", key, answer.Rollout, r.starts[key])
		}
	}
	for _, l := range w.cluster.replicas {
		l.catchUp()
		w.cluster.compare(l)
	}
}

// unrest says what has not come to rest, and which promise that is against.
func (w *world) unrest() (invariant, text string) {
	s := w.cluster.truth
	for _, name := range s.Names() {
		svc := s.Services[name]
		if svc.Active != nil {
			return "I4", svc.Active.ID + " is still " + string(svc.Active.Phase)
		}
		for _, h := range w.hosts {
			if h.gone {
				continue
			}
			if invariant, text := w.unsettled(svc, h); text != "" {
				return invariant, h.name + ": " + text
			}
		}
	}
	if last := w.stream.last(); last != s.EventSeq {
		return "I11", fmt.Sprintf("the stream has %d of %d events", last, s.EventSeq)
	}
	return "", ""
}

func (w *world) unsettled(svc *rollout.Service, h *host) (invariant, text string) {
	a, ok := w.cluster.truth.Assignment(svc.Name, h.name, nil)
	if !ok {
		return "", ""
	}
	want := svc.Stable
	if held, is := svc.Held[h.name]; is {
		want = &held
	}
	if want != nil && (a.Stable == nil || a.Stable.ID != want.ID) {
		return "I10", "is not told of " + want.ID
	}
	if h.agent == nil {
		return "I10", "has no agent"
	}
	if at := h.disk[svc.Name].Assignment.Epoch; at != svc.Epoch {
		return "I10", fmt.Sprintf("works on epoch %d, not %d", at, svc.Epoch)
	}
	return h.misfit(svc.Name, a)
}
