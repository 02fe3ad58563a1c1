package fleettest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// restTime is how long a fleet without faults may take to come to rest.
const restTime = 2 * time.Minute

// probe is how many requests show that a canary has no share left; enough to
// see 0.1 %.
const probe = 1000

// Check fails the test if a promise was seen broken, or if the fleet does not
// come to rest as its state says. No rollout may run, and no part be down or
// cut off. Run calls it at the end.
func (f *Fleet) Check() {
	f.t.Helper()
	if f.t.Failed() {
		return
	}
	var wrong []string
	for end := time.Now().Add(restTime); time.Now().Before(end); time.Sleep(time.Second) {
		if wrong = f.problems(); len(wrong) == 0 {
			break
		}
	}
	for _, w := range wrong {
		f.t.Error(w)
	}
	for _, h := range f.hosts {
		f.checkHost(h)
	}
	f.checkEvents()
}

// Private

// checkHost reports what is wrong with a host whatever the time.
func (f *Fleet) checkHost(h *Host) {
	f.t.Helper()
	if got := h.serve(probe); got.Canary > 0 || got.Stable != probe {
		f.t.Errorf("I10: %s serves %+v of %d requests", h.name, got, probe)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range h.broken {
		f.t.Errorf("%s: %s", h.name, b)
	}
}

// checkEvents compares what the observer has heard with the state.
func (f *Fleet) checkEvents() {
	f.t.Helper()
	final := map[string]int{}
	for i, e := range f.observer.all() {
		if e.Seq != uint64(i+1) {
			f.t.Fatalf("I11: event %d of the observer's has number %d", i+1, e.Seq)
		}
		if e.Phase.Final() && slices.Contains([]rollout.Kind{rollout.KindSucceeded, rollout.KindRolledBack, rollout.KindAborted}, e.Kind) {
			final[e.Rollout]++
		}
	}
	for _, r := range f.State().Services[Service].History {
		if final[r.ID] != 1 {
			f.t.Errorf("I11: the end of %s was told %d times", r.ID, final[r.ID])
		}
	}
}

// problems says what differs from what the state wants.
func (f *Fleet) problems() []string {
	s := f.State()
	svc := s.Services[Service]
	switch {
	case svc == nil || svc.Stable == nil:
		return []string{"I10: nothing is installed"}
	case svc.Active != nil:
		return []string{fmt.Sprintf("I4: %s is still %s", svc.Active.ID, svc.Active.Phase)}
	}
	wrong := f.differences(s)
	if n := uint64(len(f.observer.all())); n != s.EventSeq {
		wrong = append(wrong, fmt.Sprintf("I11: the observer has heard %d of %d events", n, s.EventSeq))
	}
	for _, h := range f.hosts {
		wrong = append(wrong, h.strays(svc)...)
	}
	for _, h := range f.Hosts() {
		if why := misfit(h, svc); why != "" {
			wrong = append(wrong, "I10: "+h.Host+" "+why)
		}
	}
	return wrong
}

// differences compares the replicas' states.
func (f *Fleet) differences(s *rollout.State) []string {
	want, err := json.Marshal(s)
	if err != nil {
		return []string{err.Error()}
	}
	var wrong []string
	for _, slot := range f.replicas {
		r := slot.opened()
		if r == nil {
			wrong = append(wrong, slot.id+" does not run")
			continue
		}
		if got, err := json.Marshal(r.State()); err != nil || !bytes.Equal(got, want) {
			wrong = append(wrong, fmt.Sprintf("I9: the state of %s at entry %d is not that of entry %d elsewhere", slot.id, r.State().Index, s.Index))
		}
	}
	return wrong
}

// misfit says in which way a host's own account differs from the state.
func misfit(h api.HostStatus, svc *rollout.Service) string {
	if !h.Live {
		return "is not live"
	}
	for _, s := range h.Services {
		if s.Service != Service {
			continue
		}
		_, held := svc.Held[h.Host]
		want := api.HostService{
			Service: Service, Epoch: svc.Epoch, Settled: true, Held: held, Stable: stableOn(h.Host, svc).ID, StableVersion: stableOn(h.Host, svc).Version(),
			StableReady: svc.Spec.Replicas,
			Deaths:      s.Deaths, Doing: s.Doing, Counting: s.Counting, StableServed: s.StableServed, CanaryServed: s.CanaryServed,
		}
		if s != want {
			return fmt.Sprintf("says %+v", s)
		}
		return ""
	}
	return "says nothing of " + Service
}

// stableOn is the revision that a host is to be left with.
func stableOn(host string, svc *rollout.Service) rollout.Revision {
	if held, ok := svc.Held[host]; ok {
		return held
	}
	return *svc.Stable
}

// strays looks for containers that are not the stable revision's, or not
// there. A container of somebody else's has to be as it was.
func (h *Host) strays(svc *rollout.Service) []string {
	var wrong []string
	stable, bystander := 0, false
	wanted := stableOn(h.name, svc)
	for _, c := range h.docker.Containers() {
		switch {
		case c.Name == bystanderName:
			bystander = c.State == "running" && c.Restarts == 0
		case strings.HasPrefix(c.Name, "serin-") && c.Labels[labelRevision] == wanted.ID && c.State == "running":
			stable++
		default:
			wrong = append(wrong, fmt.Sprintf("I8: %s has %s, %s", h.name, c.Name, c.State))
		}
	}
	if stable != svc.Spec.Replicas {
		wrong = append(wrong, fmt.Sprintf("I10: %s runs %d of %d containers of %s", h.name, stable, svc.Spec.Replicas, wanted.Version()))
	}
	if !bystander {
		wrong = append(wrong, "I8: somebody else's container on "+h.name+" was touched")
	}
	return wrong
}
