package rollout

import "slices"

// Assignment is what one host should look like for one service at one epoch:
// the whole of it, never a difference.
type Assignment struct {
	Service  string
	Epoch    uint64
	Rollout  string // that is in flight here; empty if none
	Frontend Frontend
	// Stable and Canary are the revisions to run; nil for none. Containers of
	// any other revision of the service are to be drained and removed.
	Stable *Revision
	Canary *Revision
	// Weight is the canary's share of the host's traffic in basis points.
	Weight int
	// Prefetch names pinned images to have at hand before they are needed.
	Prefetch      []string
	OnControlLoss OnControlLoss
	// Telemetry is what to gather for the gates while a rollout is in flight; nil: nothing.
	Telemetry *Telemetry
}

// Wave is the broadcast form of where a service stands: enough for a host to
// lower a canary at once, never enough to raise one.
type Wave struct {
	Service string
	Epoch   uint64
	Rollout string
	// Canary is the only revision that may be a canary anywhere, and Weight
	// the most that any host may give it, in basis points. A revision that has
	// just become stable still is the canary of hosts that have not followed.
	Canary string
	Weight int
}

// Assignment returns what the named host should be for the service. It reports
// false if the service has nothing to say to that host.
func (s *State) Assignment(service, host string, labels map[string]string) (Assignment, bool) {
	svc := s.Services[service]
	if svc == nil {
		return Assignment{}, false
	}
	a := Assignment{Service: service, Epoch: svc.Epoch, Frontend: svc.Spec.Frontend, Stable: svc.Stable, OnControlLoss: svc.Spec.OnControlLoss}
	if held, ok := svc.Held[host]; ok {
		a.Stable = &held
	}
	if r := svc.Active; r != nil {
		if k := r.position(host); k >= 0 {
			return a.during(r, k), true
		}
	}
	if svc.Stable == nil {
		return a, svc.Active == nil
	}
	return a, svc.Spec.Hosts.Matches(host, labels)
}

// Assignments returns all assignments of one host, in order of service.
func (s *State) Assignments(host string, labels map[string]string) []Assignment {
	var all []Assignment
	for _, name := range s.Names() {
		if a, ok := s.Assignment(name, host, labels); ok {
			all = append(all, a)
		}
	}
	return all
}

// Wave returns the broadcast form of what Assignment tells each host alone.
func (s *State) Wave(service string) (Wave, bool) {
	svc := s.Services[service]
	if svc == nil {
		return Wave{}, false
	}
	w := Wave{Service: service, Epoch: svc.Epoch}
	if svc.Stable != nil {
		w.Canary, w.Weight = svc.Stable.ID, Full
	}
	if r := svc.Active; r != nil {
		w.Rollout = r.ID
		if !r.Install() && (r.Phase == Progressing || r.Phase == Paused) {
			w.Canary, w.Weight = r.To.ID, r.Weight()
		}
	}
	return w, true
}

// Private

// position is a host's place in the rollout, -1 if it has none.
func (r *Rollout) position(host string) int {
	if len(r.places) != len(r.Hosts) { // not indexed
		return slices.Index(r.Hosts, host)
	}
	k, ok := r.places[host]
	if !ok {
		return -1
	}
	return k
}

// index makes position find a host without a search.
func (r *Rollout) index() {
	r.places = make(map[string]int, len(r.Hosts))
	for k, host := range r.Hosts {
		r.places[host] = k
	}
}

// during fills in what a running rollout wants of its k-th host.
func (a Assignment) during(r *Rollout, k int) Assignment {
	a.Rollout = r.ID
	a.OnControlLoss = r.Spec.OnControlLoss
	if r.Install() {
		a.Frontend = r.Spec.Frontend
	}
	moving := r.Phase == Progressing || r.Phase == Paused
	if !r.Install() && (moving || r.Phase == Preparing) { // from before the canary, so that nothing of it is missed
		a.Telemetry = r.Spec.Gates.telemetry()
	}
	switch {
	case moving && k < r.Wave() && r.Install():
		to := r.To
		a.Stable = &to
	case moving && k < r.Wave() && a.Stable.ID == r.To.ID: // held back at what the others return to
	case moving && k < r.Wave():
		to := r.To
		a.Canary, a.Weight = &to, r.Weight()
	case moving || r.Phase == Preparing:
		a.Prefetch = []string{r.To.Image}
	}
	return a
}
