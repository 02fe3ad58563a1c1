package control

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus/bustest"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

func revisionOf(id string) rollout.Revision {
	return rollout.Revision{ID: id, Name: "shop/checkout:" + strings.TrimPrefix(id, "rev-")}
}

// past makes a service with that history of revisions; those with a ! were
// rolled back.
func past(ids ...string) *rollout.Service {
	svc := &rollout.Service{Name: "checkout"}
	for i, id := range ids {
		r := rollout.Rollout{ID: "checkout-" + string(rune('1'+i)), Phase: rollout.Succeeded}
		if bad, ok := strings.CutSuffix(id, "!"); ok {
			id, r.Phase = bad, rollout.RolledBack
		}
		r.To = revisionOf("rev-" + id)
		svc.History = append(svc.History, r)
		if r.Phase == rollout.Succeeded {
			stable := r.To
			svc.Stable = &stable
		}
	}
	return svc
}

func TestEarlierIsTheLastGoodRevision(t *testing.T) {
	for _, c := range []struct {
		history []string
		to      string
		want    string // rollout; empty: refused
	}{
		{[]string{"1"}, "", ""},
		{[]string{"1", "2"}, "", "checkout-1"},
		{[]string{"1", "2", "3!"}, "", "checkout-1"},
		{[]string{"1", "2", "1"}, "", ""}, // back from 2 already: 2 is not before 1
		{[]string{"1", "2", "3", "2"}, "", "checkout-1"},
		{[]string{"1", "2", "1", "3"}, "", "checkout-3"},
		{[]string{"1", "2", "3"}, "1", "checkout-1"},
		{[]string{"1", "2", "3"}, "checkout-2", "checkout-2"},
		{[]string{"1", "2", "3"}, "rev-1", "checkout-1"},
		{[]string{"1", "2!", "3"}, "2", ""},
		{[]string{"1", "2"}, "2", ""},
	} {
		r, refusal := earlier(past(c.history...), c.to)
		if got := r.ID; got != c.want || (refusal == nil) != (c.want != "") {
			t.Errorf("%v back to %q: %q, %v; want %q", c.history, c.to, got, refusal, c.want)
		}
	}
}

func TestReturningKnowsARollback(t *testing.T) {
	svc := past("1", "2")
	stable, to := revisionOf("rev-2"), revisionOf("rev-1")
	spec := rollout.Spec{Service: "checkout", Steps: make([]rollout.Step, 4)}.Back()
	svc.Active = &rollout.Rollout{From: &stable, To: to, Spec: spec}
	if !returning(svc) {
		t.Error("a rollback is not known as one")
	}
	svc.Active.To = revisionOf("rev-3")
	if returning(svc) {
		t.Error("a new version passes for a rollback")
	}
}

func TestPromoteApprovesOrAdvances(t *testing.T) {
	step := rollout.Step{Hosts: rollout.HostCount{Count: 1}, Weight: 500, Approve: true}
	svc := &rollout.Service{Name: "checkout", Epoch: 7, Active: &rollout.Rollout{
		ID: "checkout-2", Service: "checkout", Hosts: []string{"a"}, Phase: rollout.Progressing,
		Spec: rollout.Spec{Steps: []rollout.Step{step, {Hosts: rollout.HostCount{Share: rollout.Full}, Weight: rollout.Full}}},
	}}
	view := func(epoch uint64) View {
		return View{Evidence: rollout.Evidence{"checkout": {Hosts: map[string]rollout.HostEvidence{"a": {Epoch: epoch, Settled: true}}}}}
	}
	s := &server{}
	target := rollout.Target{Service: "checkout", Rollout: "checkout-2", Epoch: 7}
	check := func(name string, v View, c api.Command, want rollout.Command) {
		t.Helper()
		got, refusal := s.promote(svc, v, c)
		if diff := cmp.Diff(want, got); diff != "" || (want == nil) != (refusal != nil) {
			t.Errorf("%s (-want +got):\n%s refusal %v", name, diff, refusal)
		}
	}
	why := rollout.Why{Cause: rollout.CauseOperator, Text: "by ann"}
	check("approval", view(7), api.Command{By: "ann"}, rollout.Approve{Target: target, Reason: "by ann"})
	svc.Active.Approved = true
	check("next step", view(7), api.Command{By: "ann"}, rollout.Advance{Target: target, Why: why})
	svc.Active.From, svc.Active.Spec.Pace, svc.Active.Spec.Auto = &rollout.Revision{}, rollout.AutoPace, &rollout.Auto{Regression: 100, Exposure: 50}
	check("a step of an automatic pace, not everything", view(7), api.Command{By: "ann"}, rollout.Advance{
		Target: target, Why: why, Next: &rollout.Step{Hosts: step.Hosts, Weight: 2500},
	})
	svc.Active.Spec.Pace = rollout.FixedPace
	check("not settled", view(6), api.Command{By: "ann"}, nil)
	check("all the way", view(6), api.Command{By: "ann", Full: true}, rollout.Promote{Target: target, Why: why})
	svc.Active.Phase = rollout.Preparing
	check("too early", view(7), api.Command{By: "ann"}, nil)
}

// TestHostMissesStable: a host that is as it should be, and whose containers
// HAProxy finds down, says so.
func TestHostMissesStable(t *testing.T) {
	state := rollout.NewState()
	state.Services["shop"] = &rollout.Service{Name: "shop", Stable: &rollout.Revision{ID: "r1", Replicas: 2}}
	for _, c := range []struct {
		health wire.ServiceHealth
		want   string
	}{
		{wire.ServiceHealth{Settled: true, Stable: "r1", StableReady: 2}, ""},
		{wire.ServiceHealth{Settled: true, Stable: "r1"}, "0 of 2 stable containers ready"},
		{wire.ServiceHealth{Settled: true, Stable: "r1", StableReady: 1, Problem: "no disk"}, "no disk"},
		{wire.ServiceHealth{Stable: "r1"}, ""},                // it is at work
		{wire.ServiceHealth{Settled: true, Stable: "r0"}, ""}, // another revision's
	} {
		c.health.Service = "shop"
		got := hostStatus(state, Host{Health: wire.Health{Host: "a", Services: []wire.ServiceHealth{c.health}}})
		if p := got.Services[0].Problem; p != c.want {
			t.Errorf("%+v: problem %q, want %q", c.health, p, c.want)
		}
	}
}

// TestFrozenCanaryIsAProblem: a canary container that runs, has a share, and does
// not serve is one with its host and with the rollout. One that starts is not.
func TestFrozenCanaryIsAProblem(t *testing.T) {
	stable, to := rollout.Revision{ID: "r1", Name: "shop:1.4", Replicas: 2}, rollout.Revision{ID: "r2", Name: "shop:1.5", Replicas: 2}
	run := rollout.Rollout{ID: "shop-7", Service: "shop", Phase: rollout.Progressing, From: &stable, To: to, Hosts: []string{"a", "b"}}
	run.Spec.Steps = []rollout.Step{{Hosts: rollout.HostCount{Count: 2}, Weight: 1000}}
	svc := &rollout.Service{Name: "shop", Stable: &stable, Active: &run}
	state := rollout.NewState()
	state.Services["shop"] = svc
	well := wire.ServiceHealth{Service: "shop", Settled: true, Stable: "r1", StableReady: 2, Canary: "r2", CanaryReady: 2, Weight: 1000}
	starts, frozen := well, well
	starts.Settled, starts.Canary, starts.CanaryReady, starts.Weight = false, "", 0, 0
	frozen.Canary, frozen.CanaryReady = "", 0
	for name, c := range map[string]struct {
		health wire.ServiceHealth
		want   string
	}{"well": {well, ""}, "starts": {starts, ""}, "frozen": {frozen, "0 of 2 canary containers ready"}} {
		host := Host{Live: true, Health: wire.Health{Host: "b", Services: []wire.ServiceHealth{c.health}}}
		v := View{Hosts: []Host{host}, Evidence: rollout.Evidence{"shop": {}}}
		if got := hostStatus(state, host).Services[0]; got.Problem != c.want || got.StableVersion != "1.4" || got.Canary != "" && got.CanaryVersion != "1.5" {
			t.Errorf("%s: host says %+v", name, got)
		}
		d := detail(state, run, v)
		if got := d.Hosts[1].Problem; got != c.want {
			t.Errorf("%s: rollout says %q of the host", name, got)
		}
		if told := strings.HasPrefix(d.Waiting, "b: "+c.want+"; "); told != (c.want != "") {
			t.Errorf("%s: it waits: %q", name, d.Waiting)
		}
	}
}

// TestExplainKeepsNames: a sentence begins with a capital, a name does not.
func TestExplainKeepsNames(t *testing.T) {
	for text, want := range map[string]string{"p99 404 ms on canary": " p99 404 ms on canary.", "canary containers died": " Canary containers died."} {
		d := api.RolloutDetail{RolloutStatus: api.RolloutStatus{Phase: rollout.RolledBack, Text: text}}
		if got := explain(d); !strings.Contains(got, want) {
			t.Errorf("%q", got)
		}
	}
}

func TestExplainTellsNumbers(t *testing.T) {
	d := api.RolloutDetail{
		RolloutStatus: api.RolloutStatus{
			ID: "checkout-7", Phase: rollout.RolledBack, From: "1.3.2", To: "1.4.0", Step: 3, Steps: 6,
			Text: "5xx 2.31% on canary", Started: 1000, Ended: 95_000,
		},
		Decisions: []api.Decision{
			api.DecisionOf(rollout.Event{Kind: rollout.KindRollingBack, Verdict: &analysis.Verdict{
				Canary: analysis.Counts{Requests: 2468, Errors: 57}, Stable: analysis.Counts{Requests: 24630, Errors: 101},
			}}),
			api.DecisionOf(rollout.Event{Kind: rollout.KindRolledBack, ZeroMillis: 180}),
		},
	}
	want := "checkout-7 (1.4.0 over 1.3.2) ended RolledBack at step 3 of 6 after 1m34s. 5xx 2.31% on canary." +
		" Errors when it was decided: 2.31% (57 of 2468) on 1.4.0, 0.41% (101 of 24630) on 1.3.2." +
		" The last host reported weight 0 after 180ms."
	if got := explain(d); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestExplainTellsWhoAndWhy(t *testing.T) {
	for text, c := range map[string]struct {
		phase rollout.Phase
		want  string
	}{
		"by ann: lunch":              {rollout.Paused, " Paused by ann: lunch."},
		"by ann: customers complain": {rollout.Aborted, " Taken back by ann: customers complain."},
		"waits for approval":         {rollout.Paused, " Waits for approval."},
		"5xx 2.31%.":                 {rollout.RolledBack, " 5xx 2.31%."},
	} {
		d := api.RolloutDetail{RolloutStatus: api.RolloutStatus{ID: "checkout-7", Phase: c.phase, Text: text, Waiting: "paused: " + text}}
		if got := explain(d); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s: %q does not end with %q", text, got, c.want)
		}
	}
}

func TestExplainNamesTheHostsInTrouble(t *testing.T) {
	d := api.RolloutDetail{
		RolloutStatus: api.RolloutStatus{
			ID: "checkout-1", Phase: rollout.Preparing, To: "1.0.0", Step: 1, Steps: 2, Fleet: 2,
			Waiting: "waits for the image on web-01, web-02",
		},
		Hosts: []api.RolloutHost{{Host: "web-01"}, {Host: "web-02", Problem: "no space left"}},
	}
	want := "checkout-1 (1.0.0 over nothing) is Preparing at step 1 of 2: 0% of the traffic of 0 of 2 hosts." +
		" It waits for the image on web-01, web-02. web-02: no space left."
	if got := explain(d); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWhatTheGroupCannotDoIsAConflict(t *testing.T) {
	s := &server{}
	r := s.cannot(api.Member{}, fmt.Errorf("%w: there is no other replica to lead", ErrImpossible))
	want := &rollout.Refusal{Code: rollout.CodeConflict, Message: "not possible: there is no other replica to lead"}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// alone is a group of one replica.
type alone struct{ Cluster }

func (alone) Status() (api.ClusterStatus, error) {
	return api.ClusterStatus{Members: []api.ClusterMember{{ID: "c1", Voter: true}}}, nil
}

// The state keeps an event until the next entry tells that it is published;
// operators are told of those that are not.
func TestUnpublishedEventsAreThoseTheStreamLacks(t *testing.T) {
	s := &server{Config: Config{ID: "c1", Cluster: alone{}}}
	state := &rollout.State{EventSeq: 7, Outbox: []rollout.Event{{Seq: 6}, {Seq: 7}}}
	for published, want := range map[uint64]int{0: 2, 6: 1, 7: 0} {
		data, err := s.readCluster(t.Context(), state, View{Published: published})
		if err != nil {
			t.Fatal(err)
		}
		got, err := api.DecodeAnswer[api.ClusterStatus](data)
		if err != nil || got.Outbox != want || got.Events != 7 {
			t.Errorf("%d published: %+v, %v; want %d to come", published, got, err, want)
		}
	}
}

// An explanation has all events that concern the rollout, or says that it may
// lack some. Of the triggers that it was in the way of the last are enough.
func TestExplanationIsWholeOrSaysSo(t *testing.T) {
	run := rollout.Rollout{ID: "checkout-7", Service: "checkout"}
	state := &rollout.State{}
	for seq := uint64(1); seq <= 30; seq++ {
		e := rollout.Event{Seq: seq, Kind: rollout.KindRefused, Service: "checkout", Rollout: run.ID}
		if seq%15 == 1 {
			e.Kind, e.Phase = rollout.KindStep, rollout.Progressing
		}
		state.Outbox = append(state.Outbox, e)
	}
	state.Outbox = append(state.Outbox, rollout.Event{Seq: 31, Kind: rollout.KindStep, Rollout: "checkout-6", Phase: rollout.Progressing})
	empty := bustest.Connect(t, bustest.StartEmpty(t))
	got, incomplete := (&server{Config: Config{Bus: empty, Log: zerolog.Nop()}}).decisions(t.Context(), state, run)
	if !strings.Contains(incomplete, "stream of events could not be read") {
		t.Errorf("without a stream: %q", incomplete)
	}
	var seqs []uint64
	for _, e := range got {
		seqs = append(seqs, e.Seq)
	}
	if want := []uint64{1, 16, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30}; !slices.Equal(seqs, want) {
		t.Errorf("events %v, want %v", seqs, want)
	}
	full := bustest.Connect(t, bustest.Start(t))
	if _, incomplete := (&server{Config: Config{Bus: full, Log: zerolog.Nop()}}).decisions(t.Context(), state, run); incomplete != "" {
		t.Errorf("with a stream: %q", incomplete)
	}
}
