package control

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// clerk is a leader that writes down what is proposed.
type clerk struct {
	Leader

	state    *rollout.State
	proposed []rollout.Command
}

func (c *clerk) State() *rollout.State        { return c.state }
func (c *clerk) Verify(context.Context) error { return nil }
func (c *clerk) Propose(_ context.Context, _ string, command rollout.Command) (rollout.Result, error) {
	c.proposed = append(c.proposed, command)
	return rollout.Result{}, nil
}

// holding is a service at 2 whose host b is held at 1, and whose rollout of 3
// goes on without c.
func holding() *rollout.State {
	svc := past("1", "2")
	svc.Epoch = 7
	svc.Held = map[string]rollout.Revision{"b": revisionOf("rev-1"), "z": revisionOf("rev-0")}
	svc.History[1].Excluded = []rollout.Exclusion{{Host: "b", Text: "canary is bad on b alone"}}
	svc.Active = &rollout.Rollout{
		ID: "checkout-3", Service: "checkout", From: svc.Stable, To: revisionOf("rev-3"), Phase: rollout.Progressing,
		Hosts: []string{"a", "b"}, Excluded: []rollout.Exclusion{{Host: "c", Text: "canary containers died on c."}},
		Spec: rollout.Spec{
			Steps: []rollout.Step{{Hosts: rollout.HostCount{Share: rollout.Full}, Weight: 500}},
			Gates: rollout.Gates{
				Alpha:      10_000,
				Errors:     &rollout.ErrorsGate{Conduct: rollout.Conduct{Name: "errors"}, MaxIncrease: 50},
				Latency:    []rollout.LatencyGate{{Conduct: rollout.Conduct{Name: "latency-p99", Observe: true}, Quantile: 9900}},
				Saturation: &rollout.SaturationGate{Conduct: rollout.Conduct{Name: "saturation"}, MaxMemory: 2500},
			},
		},
	}
	return &rollout.State{Services: map[string]*rollout.Service{"checkout": svc}}
}

func TestHeldAndExcludedHostsAreShown(t *testing.T) {
	s := holding()
	status := ServiceStatus(s, "checkout", View{})
	want := []api.HeldHost{
		{Host: "b", Revision: "rev-1", Version: "1", Rollout: "checkout-2", Why: "canary is bad on b alone"},
		{Host: "z", Revision: "rev-0", Version: "0"},
	}
	if diff := cmp.Diff(want, status.Held); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]api.Exclusion{{Host: "c", Why: "canary containers died on c."}}, status.Rollout.Excluded); diff != "" {
		t.Error(diff)
	}
	if text := explain(detail(s, *s.Services["checkout"].Active, View{})); !strings.Contains(text, " Without c: canary containers died on c.") {
		t.Error(text)
	}
	for host, held := range map[string]bool{"a": false, "b": true} {
		h := hostStatus(s, Host{Health: wire.Health{Host: host, Services: []wire.ServiceHealth{{Service: "checkout"}, {Service: "gone"}}}})
		if h.Services[0].Held != held || h.Services[1].Held {
			t.Errorf("%s: %+v", host, h.Services)
		}
	}
}

// TestVerdictTellsWhatTheFileSays: of each gate its part of alpha, and of
// saturation how much memory is allowed.
func TestVerdictTellsWhatTheFileSays(t *testing.T) {
	s := holding()
	view := View{Evidence: rollout.Evidence{"checkout": {Verdict: analysis.Verdict{Findings: []analysis.Finding{
		{Gate: "errors", FailLimit: 5298}, {Gate: "latency-p99", Observe: true, Quantile: 9900}, {Gate: "saturation", FailLimit: 5298},
	}}}}}
	v := ServiceStatus(s, "checkout", view).Rollout.Verdict
	if v == nil || len(v.Gates) != 3 {
		t.Fatalf("verdict %+v", v)
	}
	for i, alpha := range []int{4500, 0, 4500} {
		if v.Gates[i].Alpha != alpha {
			t.Errorf("%s has %d of alpha, want %d", v.Gates[i].Name, v.Gates[i].Alpha, alpha)
		}
	}
	if allowed := v.Gates[2].Allowed; allowed == nil || *allowed != 2500 {
		t.Errorf("memory allowed: %v", allowed)
	}
}

func TestReleaseAndReasonsAreProposed(t *testing.T) {
	target := rollout.Target{Service: "checkout", Rollout: "checkout-3", Epoch: 7}
	for _, c := range []struct {
		verb    string
		command api.Command
		want    rollout.Command
		code    rollout.Code
	}{
		{api.Release, api.Command{Host: "b", By: "ann", Reason: "new disk"}, rollout.Release{Service: "checkout", Host: "b", Reason: "by ann: new disk"}, ""},
		{api.Release, api.Command{}, nil, rollout.CodeInvalid},
		{api.Release, api.Command{Host: "c"}, nil, rollout.CodePhase},
		{api.Resume, api.Command{By: "ann", Reason: "lunch is over"}, rollout.Resume{Target: target, Reason: "by ann: lunch is over"}, ""},
		{"praise", api.Command{}, nil, rollout.CodeInvalid},
	} {
		leader := &clerk{state: holding()}
		result, err := (&server{Config: Config{Leader: leader}}).verb(t.Context(), c.verb, "checkout", c.command)
		if err != nil {
			t.Fatal(err)
		}
		var want []rollout.Command
		if c.want != nil {
			want = append(want, c.want)
		}
		if diff := cmp.Diff(want, leader.proposed); diff != "" {
			t.Errorf("%s %+v: %s", c.verb, c.command, diff)
		}
		if (result.Refused == nil) != (c.code == "") || result.Refused != nil && result.Refused.Code != c.code {
			t.Errorf("%s %+v is refused as %+v, want %q", c.verb, c.command, result.Refused, c.code)
		}
	}
	leader := &clerk{state: holding()}
	if result, err := (&server{Config: Config{Leader: leader}}).verb(t.Context(), api.Release, "nothing", api.Command{Host: "b"}); err != nil || result.Refused == nil || result.Refused.Code != rollout.CodeUnknown {
		t.Errorf("unknown service: %+v, %v", result, err)
	}
}
