package control

import (
	"context"
	"slices"
	"strings"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// staleTries is how often a verb that means the same at every epoch is tried
// when a decision of the leader's own has come between.
const staleTries = 5

const byPerson = "by " // begins the text of what a person has done

const somebody = "operator" // who asks and gives no name

// verb carries out one verb on a service.
func (s *server) verb(ctx context.Context, verb, service string, c api.Command) (rollout.Result, error) {
	if c.By == "" {
		c.By = somebody
	}
	if err := s.Leader.Verify(ctx); err != nil {
		return rollout.Result{}, err
	}
	switch verb {
	case api.Promote:
		return s.once(ctx, service, c, s.promote)
	case api.Pause:
		return s.anyway(ctx, service, c, func(t rollout.Target) rollout.Command {
			return rollout.Pause{Target: t, Why: rollout.Why{Cause: rollout.CauseOperator, Text: reason(c)}}
		})
	case api.Resume:
		return s.anyway(ctx, service, c, func(t rollout.Target) rollout.Command {
			return rollout.Resume{Target: t, Reason: reason(c)}
		})
	case api.Abort:
		return s.anyway(ctx, service, c, func(t rollout.Target) rollout.Command {
			return rollout.Abort{Target: t, Reason: reason(c)}
		})
	case api.Rollback:
		return s.rollback(ctx, service, c)
	case api.Release:
		return s.release(ctx, service, c)
	case api.Freezing:
		return s.freeze(ctx, service, c)
	case api.Thawing:
		return s.thaw(ctx, service, c)
	}
	return refused(rollout.CodeInvalid, "", "no verb %q; known are promote, pause, resume, abort, rollback, release, freeze, thaw, plan", verb)
}

// Private

// anyway proposes until the command meets the epoch that it names: it means
// the same wherever the rollout stands.
func (s *server) anyway(ctx context.Context, service string, c api.Command, command func(rollout.Target) rollout.Command) (rollout.Result, error) {
	var result rollout.Result
	for range staleTries {
		svc, refusal := active(s.Leader.State(), service, c)
		if refusal != nil {
			return declined(refusal)
		}
		var err error
		result, err = s.Leader.Propose(ctx, c.By, command(targetOf(svc)))
		if err != nil || result.Refused == nil || result.Refused.Code != rollout.CodeStale {
			return result, err
		}
	}
	return result, nil
}

// once proposes what is right for the state as it is, or says that it has
// moved: a second try could take a step that the person has not seen.
func (s *server) once(ctx context.Context, service string, c api.Command, choose func(*rollout.Service, View, api.Command) (rollout.Command, *rollout.Refusal)) (rollout.Result, error) {
	view, err := s.Leader.View(ctx)
	if err != nil {
		return rollout.Result{}, err
	}
	svc, refusal := active(s.Leader.State(), service, c)
	if refusal != nil {
		return declined(refusal)
	}
	command, refusal := choose(svc, view, c)
	if refusal != nil {
		return declined(refusal)
	}
	return s.Leader.Propose(ctx, c.By, command)
}

// promote gives the approval that a step asks for, or else takes the next step
// without waiting for hold and gate; with Full it goes all the way.
func (s *server) promote(svc *rollout.Service, view View, c api.Command) (rollout.Command, *rollout.Refusal) {
	r := svc.Active
	target := targetOf(svc)
	why := rollout.Why{Cause: rollout.CauseOperator, Text: reason(c)}
	step := r.Spec.Steps[r.Step]
	switch {
	case c.Full:
		return rollout.Promote{Target: target, Why: why}, nil
	case r.Phase == rollout.Preparing:
		return nil, refusal(rollout.CodePhase, r.ID, "%s is still fetching the image; promote when the canary runs", r.ID)
	case step.Approve && !r.Approved:
		return rollout.Approve{Target: target, Reason: reason(c)}, nil
	}
	e := view.Evidence[r.Service]
	for _, name := range r.Hosts[:r.Wave()] {
		if h := e.Hosts[name]; h.Epoch != svc.Epoch || !h.Settled {
			return nil, refusal(rollout.CodePhase, r.ID, "%s has not taken step %d yet; promote again when it has, or promote fully, which waits for no host", name, r.Step+1)
		}
	}
	return rollout.Advance{Target: target, Why: why, Baseline: e.Baseline, Next: r.Ahead(e.Verdict, view.Now)}, nil
}

// rollback takes a running rollout back, or else returns to an earlier
// revision in one step.
func (s *server) rollback(ctx context.Context, service string, c api.Command) (rollout.Result, error) {
	state := s.Leader.State()
	svc := state.Services[service]
	key := ""
	if c.ID != "" {
		key = "rollback:" + service + ":" + c.ID
	}
	known, repeated := state.Known(key)
	switch {
	case svc == nil:
		return refused(rollout.CodeUnknown, "", "no service %q", service)
	case repeated:
		return rollout.Result{Rollout: known.Rollout, Refused: known.Refusal, Repeat: true}, nil
	case svc.Active != nil && returning(svc):
		return rollout.Result{Rollout: svc.Active.ID, Repeat: true}, nil
	case svc.Active != nil && c.To != "":
		return refused(rollout.CodeConflict, svc.Active.ID, "%s runs; abort it before a rollback to %s", svc.Active.ID, c.To)
	case svc.Active != nil:
		return s.anyway(ctx, service, c, func(t rollout.Target) rollout.Command {
			return rollout.Abort{Target: t, Reason: reason(c)}
		})
	}
	good, refusal := earlier(svc, c.To)
	if refusal != nil {
		return declined(refusal)
	}
	view, err := s.Leader.View(ctx)
	if err != nil {
		return rollout.Result{}, err
	}
	level := state.AtLevel()
	spec := wayBack(good, level)
	if level < rollout.LevelLost {
		spec = spec.Back() // an earlier release does not know how to keep the other one
	}
	hosts := view.live(spec.Hosts)
	if problem := spec.Back().CheckHosts(hosts); problem != nil {
		return declined(problem.Refused())
	}
	return s.Leader.Propose(ctx, c.By, rollout.Submit{
		Key: key, Spec: spec, Back: level >= rollout.LevelLost, To: good.To, Hosts: hosts, By: c.By,
		Reason: strings.TrimSuffix("rollback to "+good.ID+": "+c.Reason, ": "),
		Trace:  s.Tracing.Sent(c.Trace, level),
	})
}

// wayBack is what is submitted for a return to a rollout's revision, without the
// path that it takes: Spec.Back.
func wayBack(good rollout.Rollout, level int) rollout.Spec {
	if good.Kept != nil {
		return good.Kept.At(level)
	}
	return good.Spec.At(level)
}

// release lets a host that was excluded follow again. One that the running
// rollout excluded cannot join it any more.
func (s *server) release(ctx context.Context, service string, c api.Command) (rollout.Result, error) {
	svc := s.Leader.State().Services[service]
	switch {
	case svc == nil:
		return refused(rollout.CodeUnknown, "", "no service %q", service)
	case c.Host == "":
		return declined(&rollout.Refusal{Code: rollout.CodeInvalid, Field: "host", Message: "is missing; name the host to release"})
	}
	if _, is := svc.Held[c.Host]; !is && svc.Active != nil {
		for _, x := range svc.Active.Excluded {
			if x.Host == c.Host {
				return refused(rollout.CodePhase, svc.Active.ID, "%s goes on without %s; if it is promoted, release the host then", svc.Active.ID, c.Host)
			}
		}
	}
	return s.Leader.Propose(ctx, c.By, rollout.Release{Service: service, Host: c.Host, Reason: reason(c)})
}

// returning reports whether the running rollout is a rollback already: a
// repeated request must not take that one back.
func returning(svc *rollout.Service) bool {
	r := svc.Active
	if r.Kept != nil {
		return true
	}
	if !slices.Equal(r.Spec.Steps, r.Spec.Back().Steps) || r.Spec.Gates.Acting() || r.Install() {
		return false
	}
	for _, old := range svc.History {
		if old.Phase == rollout.Succeeded && old.To.ID == r.To.ID {
			return true
		}
	}
	return false
}

// earlier finds where a rollback goes: the rollout that made that revision
// stable. Without a name it is the last revision before the current one was
// stable for the first time: after a rollback from 2 to 1, 2 is not before 1.
func earlier(svc *rollout.Service, to string) (rollout.Rollout, *rollout.Refusal) {
	end := len(svc.History)
	for i, r := range svc.History {
		if to == "" && r.Phase == rollout.Succeeded && svc.Stable != nil && r.To.ID == svc.Stable.ID {
			end = i
			break
		}
	}
	for _, r := range slices.Backward(svc.History[:end]) {
		if r.Phase != rollout.Succeeded || svc.Stable == nil || r.To.ID == svc.Stable.ID {
			continue
		}
		if to == "" || to == r.ID || to == r.To.ID || to == r.To.Version() || to == r.To.Name {
			return r, nil
		}
	}
	if to == "" {
		return rollout.Rollout{}, refusal(rollout.CodeUnknown, "", "no revision of %s before the stable one is remembered; name another one by --to, see `serin history %s`", svc.Name, svc.Name)
	}
	return rollout.Rollout{}, refusal(rollout.CodeUnknown, "", "no revision %q of %s was stable before the current one; see `serin history %s`", to, svc.Name, svc.Name)
}

// active returns the service if the rollout that is meant runs.
func active(s *rollout.State, service string, c api.Command) (*rollout.Service, *rollout.Refusal) {
	svc := s.Services[service]
	switch {
	case svc == nil:
		return nil, refusal(rollout.CodeUnknown, "", "no service %q", service)
	case svc.Active == nil:
		return nil, refusal(rollout.CodePhase, "", "no rollout of %s runs", service)
	case c.Rollout != "" && c.Rollout != svc.Active.ID:
		return nil, refusal(rollout.CodeStale, svc.Active.ID, "%s does not run; %s does", c.Rollout, svc.Active.ID)
	}
	return svc, nil
}

func targetOf(svc *rollout.Service) rollout.Target {
	return rollout.Target{Service: svc.Name, Rollout: svc.Active.ID, Epoch: svc.Epoch}
}

// reason renders who asked and why, for the record.
func reason(c api.Command) string {
	if c.Reason == "" {
		return byPerson + c.By
	}
	return byPerson + c.By + ": " + c.Reason
}

func refused(code rollout.Code, id, format string, args ...any) (rollout.Result, error) {
	return declined(refusal(code, id, format, args...))
}

// declined is a result, not an error: it is what was asked for.
func declined(r *rollout.Refusal) (rollout.Result, error) { return rollout.Result{Refused: r}, nil }
