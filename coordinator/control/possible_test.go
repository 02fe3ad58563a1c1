package control

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// What is said to be possible is what a rollout takes in each of its phases, and
// asking changes nothing.
func TestVerbsByPhase(t *testing.T) {
	all := []string{api.Promote, api.FullPromote, api.Pause, api.Resume, api.Abort}
	for phase, possible := range map[rollout.Phase]string{
		rollout.Preparing:   "abort",
		rollout.Progressing: "promote promote_full pause abort",
		rollout.Paused:      "promote promote_full resume abort",
		rollout.Promoting:   "",
		rollout.RollingBack: "",
	} {
		stable := revisionOf("rev-1")
		r := rollout.Rollout{
			ID: "checkout-2", Service: "checkout", Phase: phase, From: &stable, To: revisionOf("rev-2"), Hosts: []string{"a"},
			Spec: rollout.Spec{Steps: []rollout.Step{
				{Hosts: rollout.HostCount{Count: 1}, Weight: 500}, {Hosts: rollout.HostCount{Share: rollout.Full}, Weight: rollout.Full},
			}},
		}
		state := rollout.NewState()
		state.Services["checkout"] = &rollout.Service{Name: "checkout", Epoch: 7, Stable: &stable, Active: &r}
		before := state.Clone()
		view := View{Evidence: rollout.Evidence{"checkout": {Hosts: map[string]rollout.HostEvidence{"a": {Epoch: 7, Settled: true}}}}}
		var names, can []string
		for _, v := range (&server{}).verbs(state, r, view) {
			names = append(names, v.Name)
			if v.Why == "" {
				can = append(can, v.Name)
			}
			if v.Does == "" {
				t.Errorf("%s in %s does nothing", v.Name, phase)
			}
		}
		if got := strings.Join(can, " "); got != possible || !cmp.Equal(names, all) {
			t.Errorf("%s: %q of %v, want %q", phase, got, names, possible)
		}
		if diff := cmp.Diff(before, state, cmp.AllowUnexported(rollout.Rollout{})); diff != "" {
			t.Errorf("%s: the state has changed (-before +after):\n%s", phase, diff)
		}
	}
}

func TestNoReturn(t *testing.T) {
	svc := past("1", "2!", "3")
	got := noReturn(svc)
	if got["checkout-1"] != "" || !strings.Contains(got["checkout-2"], "never") || !strings.Contains(got["checkout-3"], "is stable") {
		t.Errorf("%v", got)
	}
	svc.Active = &rollout.Rollout{ID: "checkout-4"}
	for id := range noReturn(svc) {
		if why := noReturn(svc)[id]; !strings.Contains(why, "checkout-4 runs") {
			t.Errorf("%s: %s", id, why)
		}
	}
	if len(noReturn(svc)) != 4 {
		t.Errorf("%v", noReturn(svc))
	}
}
