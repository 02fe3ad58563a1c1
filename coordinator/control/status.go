package control

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// ServiceStatus renders one service. With a zero View it holds what the state
// alone knows.
func ServiceStatus(s *rollout.State, name string, v View) api.ServiceStatus {
	svc := s.Services[name]
	status := api.ServiceStatus{Service: name, Epoch: svc.Epoch, Running: svc.Active != nil, Held: held(svc)}
	if svc.Stable != nil {
		stable := revision(*svc.Stable)
		status.Stable = &stable
	}
	if v.Wall != 0 {
		status.Frozen = v.freezes(s, name)
	}
	if svc.Next != nil {
		status.Next = svc.Next.To.Version()
	}
	spec := svc.Spec
	if r, ok := svc.Latest(); ok {
		x := rolloutStatus(s, r, v)
		status.Rollout = &x
		if svc.Stable == nil {
			spec = r.Spec
		}
	}
	status.Hosts = len(v.live(spec.Hosts))
	return status
}

// Private

// live returns the names of the live hosts that match, in order.
func (v View) live(selector rollout.Selector) []string {
	var names []string
	for _, h := range v.Hosts {
		if h.Live && selector.Matches(h.Health.Host, h.Health.Labels) {
			names = append(names, h.Health.Host)
		}
	}
	slices.Sort(names)
	return names
}

func revision(r rollout.Revision) api.Revision {
	return api.Revision{ID: r.ID, Version: r.Version(), Name: r.Name, Image: r.Image}
}

// rolloutStatus renders a running or remembered rollout.
func rolloutStatus(s *rollout.State, r rollout.Rollout, v View) api.RolloutStatus {
	status := api.RolloutStatus{
		ID: r.ID, Service: r.Service, Phase: r.Phase, To: r.To.Version(), Image: r.To.Image,
		Step: r.Step + 1, Steps: len(r.Spec.Steps), Fleet: len(r.Hosts),
		Cause: r.Cause, Text: r.Text, By: r.By, Reason: r.Reason, Override: r.Override, Started: r.Started, Ended: r.Ended,
		Excluded: excluded(r), Lost: r.Lost,
	}
	if r.From != nil {
		status.From = r.From.Version()
	}
	status.Weight, status.Reached = reach(r)
	if r.Phase.Final() {
		return status
	}
	status.Latency = latencies(r, v)
	step := r.Spec.Steps[r.Step]
	moving := r.Phase == rollout.Progressing || r.Phase == rollout.Paused
	status.NeedsApproval = moving && step.Approve && !r.Approved
	if e, ok := v.Evidence[r.Service]; ok {
		status.Waiting = v.ailing(s.Services[r.Service], r) + rollout.Waiting(s, r.Service, e, v.Now)
		if moving && r.Spec.Gates.Acting() && !r.Install() {
			status.Verdict = verdict(e.Verdict, r.Spec.Gates, r.Anew, v.Feedback[r.Service])
		}
	}
	return status
}

// reach returns the canary's weight and on how many hosts it has it.
func reach(r rollout.Rollout) (weight, hosts int) {
	switch r.Phase {
	case rollout.Progressing, rollout.Paused:
		return r.Weight(), r.Wave()
	case rollout.Promoting, rollout.Succeeded:
		return rollout.Full, len(r.Hosts)
	case rollout.Preparing, rollout.RollingBack, rollout.RolledBack, rollout.Aborted:
	}
	return 0, 0
}

// path renders the steps of a spec on a fleet of that size. now is the current
// step's index, or the number of steps when all are done.
func path(spec rollout.Spec, fleet, now int) []api.StepStatus {
	steps := make([]api.StepStatus, len(spec.Steps))
	for i, step := range spec.Steps {
		hosts := step.Hosts.Of(fleet)
		steps[i] = api.StepStatus{
			Hosts: hosts, Weight: step.Weight, Hold: step.Hold.Milliseconds(), Approve: step.Approve,
			Share: hosts * step.Weight / max(fleet, 1), State: "ahead",
		}
		switch {
		case i < now:
			steps[i].State = "done"
		case i == now:
			steps[i].State = "now"
		}
	}
	return steps
}

// detail renders everything about a rollout but its decisions.
func detail(s *rollout.State, r rollout.Rollout, v View) api.RolloutDetail {
	now := r.Step
	switch r.Phase {
	case rollout.Preparing:
		now = -1
	case rollout.Promoting, rollout.Succeeded:
		now = len(r.Spec.Steps)
	case rollout.Progressing, rollout.Paused, rollout.RollingBack, rollout.RolledBack, rollout.Aborted:
	}
	d := api.RolloutDetail{RolloutStatus: rolloutStatus(s, r, v), Path: path(r.Spec, len(r.Hosts), now)}
	svc := s.Services[r.Service]
	if r.Phase.Final() || svc.Active == nil {
		return d
	}
	e, heard := v.Evidence[r.Service]
	d.DeadlineLeft = max(0, r.Deadline()-v.Now).Milliseconds()
	if settled := heard && e.SettledAt >= 0; settled && r.Phase == rollout.Progressing {
		d.HoldLeft = max(0, e.SettledAt+r.Spec.Steps[r.Step].Hold-v.Now).Milliseconds()
	}
	for k, name := range r.Hosts {
		h, heard := e.Hosts[name]
		d.Hosts = append(d.Hosts, api.RolloutHost{
			Host: name, Heard: heard, Weight: h.Weight, Problem: cmp.Or(h.Problem, v.frozen(name, svc)),
			Reached: k < r.Wave() && r.Phase != rollout.Preparing,
			Settled: h.Settled && h.Epoch == svc.Epoch, Doing: v.service(name, r.Service).Doing,
		})
	}
	return d
}

// service is what a host last said of a service; zero if nothing.
func (v View) service(host, service string) wire.ServiceHealth {
	for _, h := range v.Hosts {
		if h.Health.Host != host {
			continue
		}
		for _, x := range h.Health.Services {
			if x.Service == service {
				return x
			}
		}
	}
	return wire.ServiceHealth{}
}

func (v View) frozen(host string, svc *rollout.Service) string {
	return frozen(svc, v.service(host, svc.Name))
}

// ailing names a host of a running rollout whose canary has stopped to
// serve, as the beginning of a sentence; empty without one.
func (v View) ailing(svc *rollout.Service, r rollout.Rollout) string {
	first, what := "", ""
	for _, h := range v.Hosts {
		for _, x := range h.Health.Services {
			problem := ""
			if x.Service == r.Service {
				problem = frozen(svc, x)
			}
			name := h.Health.Host
			if problem != "" && (first == "" || name < first) && slices.Contains(r.Hosts, name) {
				first, what = name, name+": "+problem+"; "
			}
		}
	}
	return what
}

func history(svc *rollout.Service, s *rollout.State, v View) api.History {
	h := api.History{Service: svc.Name, Rollouts: []api.RolloutStatus{}, NoReturn: noReturn(svc)}
	if svc.Stable != nil {
		stable := revision(*svc.Stable)
		h.Stable = &stable
	}
	if svc.Active != nil {
		h.Rollouts = append(h.Rollouts, rolloutStatus(s, *svc.Active, v))
	}
	for _, r := range slices.Backward(svc.History) {
		h.Rollouts = append(h.Rollouts, rolloutStatus(s, r, v))
	}
	return h
}

func hostStatuses(s *rollout.State, v View) []api.HostStatus {
	all := make([]api.HostStatus, 0, len(v.Hosts))
	for _, h := range v.Hosts {
		all = append(all, hostStatus(s, h))
	}
	slices.SortFunc(all, func(a, b api.HostStatus) int { return cmp.Compare(a.Host, b.Host) })
	return all
}

// missing tells of stable containers that are not ready on a host that has
// nothing to do: they run, and HAProxy finds them down.
func missing(svc *rollout.Service, x wire.ServiceHealth) string {
	if !x.Settled || svc.Stable == nil || x.Stable != svc.Stable.ID || x.StableReady >= svc.Stable.Replicas {
		return ""
	}
	return fmt.Sprintf("%d of %d stable containers ready", x.StableReady, svc.Stable.Replicas)
}

// frozen tells of canary containers that do not serve while their host gives the
// canary a share: they run, and HAProxy finds them down. One that only starts has
// no share yet, and one that died loses it.
func frozen(svc *rollout.Service, x wire.ServiceHealth) string {
	r := svc.Active
	if r == nil || r.Phase != rollout.Progressing && r.Phase != rollout.Paused || x.Weight == 0 || x.CanaryReady >= r.To.Replicas {
		return ""
	}
	return fmt.Sprintf("%d of %d canary containers ready", x.CanaryReady, r.To.Replicas)
}

func hostStatus(s *rollout.State, h Host) api.HostStatus {
	status := api.HostStatus{
		Host: h.Health.Host, Labels: h.Health.Labels, Version: h.Health.Version,
		Docker: h.Health.Docker, HAProxy: h.Health.HAProxy,
		SeenMS: h.Seen.Milliseconds(), Live: h.Live, SkewMS: h.Skew.Round(time.Millisecond).Milliseconds(),
	}
	if k := h.Health.Checks; k != nil {
		status.DockerProblem, status.HAProxyProblem = k.DockerProblem, k.HAProxyProblem
		if k.DiskSize > 0 {
			status.Disk = &api.Disk{Free: k.DiskFree, Size: k.DiskSize}
		}
	}
	for _, x := range h.Health.Services {
		service := api.HostService{
			Service: x.Service, Epoch: x.Epoch, Settled: x.Settled, Stable: x.Stable, Canary: x.Canary,
			StableVersion: versionIn(s.Services[x.Service], x.Stable), CanaryVersion: versionIn(s.Services[x.Service], x.Canary),
			StableReady: x.StableReady, CanaryReady: x.CanaryReady, Weight: x.Weight,
			Deaths: x.Deaths, Death: x.Death, Doing: x.Doing, Problem: x.Problem,
			Counting: x.Incarnation, CanaryServed: api.Counts(x.CanaryCounts),
		}
		for _, c := range x.StableCounts {
			service.StableServed.Requests += c.Requests
			service.StableServed.Errors += c.Errors
		}
		if svc := s.Services[x.Service]; svc != nil {
			service.Behind = x.Epoch < svc.Epoch
			_, service.Held = svc.Held[h.Health.Host]
			service.Problem = cmp.Or(service.Problem, missing(svc, x), frozen(svc, x))
		}
		status.Services = append(status.Services, service)
	}
	return status
}

// versionIn finds what people call a revision; empty if it is forgotten.
func versionIn(svc *rollout.Service, id string) string {
	if svc == nil || id == "" {
		return ""
	}
	known := slices.Collect(maps.Values(svc.Held))
	if svc.Stable != nil {
		known = append(known, *svc.Stable)
	}
	if r, ok := svc.Latest(); ok {
		known = append(known, r.To)
	}
	for _, r := range svc.History {
		known = append(known, r.To)
	}
	for _, r := range known {
		if r.ID == id {
			return r.Version()
		}
	}
	return ""
}
