package control

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// journalTimeout bounds how long an explanation waits for the event stream.
const journalTimeout = 3 * time.Second

// read answers get.<what>[.<id>] from a verified state. data is what was sent with
// the question; most take nothing.
func (s *server) read(ctx context.Context, what, id string, data []byte, v View) ([]byte, error) {
	state := s.Leader.State()
	switch what {
	case api.GetServices:
		all := []api.ServiceStatus{}
		for _, name := range state.Names() {
			all = append(all, ServiceStatus(state, name, v))
		}
		return answer(all)
	case api.GetHosts:
		return answer(hostStatuses(state, v))
	case api.GetHost:
		return s.readHost(state, id, v)
	case api.GetCluster:
		return s.readCluster(ctx, state, v)
	case api.GetCheckup:
		return s.readCheckup(ctx, state, v)
	case api.GetStanding:
		return nil, bus.ErrSilent // every replica answers it, leader or not
	case api.GetSnapshot:
		return s.readSnapshot(state, id)
	case api.GetService, api.GetHistory:
		svc := state.Services[id]
		if svc == nil {
			return encode(refusef(rollout.CodeUnknown, "no service %q", id))
		}
		if what == api.GetHistory {
			return answer(history(svc, state, v))
		}
		return answer(ServiceStatus(state, id, v))
	case api.GetRollout, api.GetExplain:
		return s.readRollout(ctx, state, what, id, v)
	case api.GetDiff:
		return readDiff(state, id, data, v)
	}
	return encode(refusef(rollout.CodeInvalid, "nothing to get called %q; known are services, service, rollout, explain, history, diff, hosts, host, cluster, checkup, standing, snapshot", what))
}

// Private

func (s *server) readHost(state *rollout.State, id string, v View) ([]byte, error) {
	for _, h := range v.Hosts {
		if token, err := bus.HostToken(h.Health.Host); err == nil && token == id {
			return answer(hostStatus(state, h))
		}
	}
	return encode(refusef(rollout.CodeUnknown, "no host %q has reported", id))
}

func (s *server) readCluster(ctx context.Context, state *rollout.State, v View) ([]byte, error) {
	status, err := s.clusterStatus(ctx, state, v)
	if err != nil {
		return encode(refusef(rollout.CodeBusy, "%v", err))
	}
	return answer(status)
}

func (s *server) readCheckup(ctx context.Context, state *rollout.State, v View) ([]byte, error) {
	status, err := s.clusterStatus(ctx, state, v)
	if err != nil {
		return encode(refusef(rollout.CodeBusy, "%v", err))
	}
	return answer(checkup(state, status, v, s.Version))
}

func (s *server) clusterStatus(ctx context.Context, state *rollout.State, v View) (api.ClusterStatus, error) {
	status, err := s.Cluster.Status()
	if err != nil {
		return status, err
	}
	status.Leader, status.Term, status.Applied = s.ID, s.Term, state.Index
	status.Events, status.Dropped = state.EventSeq, v.Dropped
	for _, e := range state.Outbox {
		if e.Seq > v.Published {
			status.Outbox++
		}
	}
	for i := range status.Members {
		status.Members[i].Leader = status.Members[i].ID == s.ID
	}
	if s.Standings != nil {
		s.Standings(ctx, status.Members)
	}
	for _, h := range v.Hosts {
		if h.Live {
			status.Hosts++
		}
	}
	return status, nil
}

func (s *server) readRollout(ctx context.Context, state *rollout.State, what, id string, v View) ([]byte, error) {
	r, ok := state.Find(id)
	if svc := state.Services[id]; !ok && svc != nil {
		r, ok = svc.Latest()
	}
	if refusal := state.FrozenOut(id); !ok && refusal != nil {
		return encode(api.Refused(refusal))
	}
	if !ok {
		return encode(refusef(rollout.CodeUnknown, "no rollout or service %q", id))
	}
	d := detail(state, r, v)
	d.Verbs = s.verbs(state, r, v)
	if what == api.GetExplain {
		d.Decisions, d.Incomplete = s.decisions(ctx, state, r)
	}
	d.Explanation = explain(d)
	return answer(d)
}

// decisions reads the events that concern the rollout: those that the stream
// holds, and behind them those that it has not confirmed yet. A stream that does
// not answer costs the first, not the answer, which says so.
func (s *server) decisions(ctx context.Context, state *rollout.State, r rollout.Rollout) (decisions []api.Decision, incomplete string) {
	var all []rollout.Event
	ctx, stop := context.WithTimeout(ctx, journalTimeout)
	defer stop()
	last := uint64(0)
	err := s.Bus.Events(ctx, bus.Filter{Service: r.Service, Rollout: r.ID}, func(m bus.EventMsg) error {
		if e, err := event.Decode(m.Data); err == nil && event.Concerns(e, r.ID) {
			all = append(all, e)
			last = e.Seq
		}
		return nil
	})
	if err != nil {
		s.Log.Info().Err(err).Str("rollout", r.ID).Msg("events not read for an explanation")
		incomplete = "the stream of events could not be read: " + err.Error()
	}
	for _, e := range state.Outbox {
		if event.Concerns(e, r.ID) && e.Seq > last {
			all = append(all, e)
		}
	}
	for k := range all {
		if v := all[k].Verdict; v != nil { // the events have the sums; an answer has its limit
			brief := v.WithoutSums()
			all[k].Verdict = &brief
		}
	}
	for _, e := range latestRefusals(all, r.ID) {
		decisions = append(decisions, api.DecisionOf(e))
	}
	return decisions, incomplete
}

// latestRefusals leaves out all but the last few triggers that the rollout was
// in the way of: somebody who does not give up must not fill the answer.
func latestRefusals(all []rollout.Event, id string) []rollout.Event {
	const most = 10
	left := most
	for k, e := range slices.Backward(all) {
		if event.Of(e, id) {
			continue
		}
		if left--; left < 0 {
			all = slices.Delete(all, k, k+1)
		}
	}
	return all
}

// explain says in sentences why a rollout stands where it stands.
func explain(d api.RolloutDetail) string {
	var b strings.Builder
	switch {
	case !d.Phase.Final():
		fmt.Fprintf(&b, "%s (%s over %s) is %s at step %d of %d: %s of the traffic of %d of %d hosts.",
			d.ID, d.To, orNothing(d.From), d.Phase, d.Step, d.Steps, rollout.Percent(d.Weight), d.Reached, d.Fleet)
	default:
		fmt.Fprintf(&b, "%s (%s over %s) ended %s at step %d of %d after %s.",
			d.ID, d.To, orNothing(d.From), d.Phase, d.Step, d.Steps, time.Duration(d.Ended-d.Started)*time.Millisecond)
	}
	if d.Text != "" {
		fmt.Fprintf(&b, " %s.", strings.TrimSuffix(because(d), "."))
	}
	if d.Waiting != "" && !strings.Contains(d.Waiting, d.Text) || d.Waiting != "" && d.Text == "" {
		fmt.Fprintf(&b, " It %s.", strings.TrimSuffix(d.Waiting, "."))
	}
	b.WriteString(troubles(d) + exclusions(d))
	if v := d.Verdict; v != nil {
		fmt.Fprintf(&b, " Errors: %s on %s, %s on %s.", rate(v.Canary), d.To, rate(v.Stable), orNothing(d.From))
	} else if e, ok := lastVerdict(d.Decisions); ok && len(e.Verdict.Findings) == 0 { // else the gates' numbers follow
		c, st := e.Verdict.Canary, e.Verdict.Stable
		fmt.Fprintf(&b, " Errors when it was decided: %s on %s, %s on %s.",
			rate(api.Counts{Requests: c.Requests, Errors: c.Errors}), d.To,
			rate(api.Counts{Requests: st.Requests, Errors: st.Errors}), orNothing(d.From))
	}
	b.WriteString(speeds(d))
	for _, e := range d.Decisions {
		if e.Kind == rollout.KindRolledBack && e.ZeroMillis > 0 {
			fmt.Fprintf(&b, " The last host reported weight 0 after %s.", time.Duration(e.ZeroMillis)*time.Millisecond)
		}
	}
	return b.String()
}

// because begins a sentence with the cause: "Paused by ann: lunch".
func because(d api.RolloutDetail) string {
	switch {
	case !strings.HasPrefix(d.Text, byPerson):
		if word, _, _ := strings.Cut(d.Text, " "); strings.ContainsAny(word, "0123456789") {
			return d.Text // p99 is a name
		}
		_, first := utf8.DecodeRuneInString(d.Text)
		return strings.ToUpper(d.Text[:first]) + d.Text[first:]
	case d.Phase == rollout.Paused:
		return "Paused " + d.Text
	}
	return "Taken back " + d.Text
}

// troubles names up to three hosts that cannot go on, and why, unless the text
// that waits says so already.
func troubles(d api.RolloutDetail) string {
	const most = 3
	var b strings.Builder
	told := 0
	for _, h := range d.Hosts {
		if h.Problem == "" || strings.Contains(d.Waiting, h.Problem) {
			continue
		}
		if told++; told > most {
			b.WriteString(" Other hosts have problems, too.")
			break
		}
		fmt.Fprintf(&b, " %s: %s.", h.Host, strings.TrimSuffix(h.Problem, "."))
	}
	return b.String()
}

func lastVerdict(decisions []api.Decision) (api.Decision, bool) {
	for _, e := range slices.Backward(decisions) {
		if e.Verdict != nil {
			return e, true
		}
	}
	return api.Decision{}, false
}

func rate(c api.Counts) string {
	if c.Requests == 0 {
		return "no requests"
	}
	return fmt.Sprintf("%s (%d of %d)", rollout.Percent(int((c.Errors*rollout.Full+c.Requests/2)/c.Requests)), c.Errors, c.Requests)
}

func orNothing(version string) string {
	if version == "" {
		return "nothing"
	}
	return version
}
