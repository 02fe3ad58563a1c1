package control

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
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

// What is said of a way back is the path that a rollback would take.
func TestDiffHasThePath(t *testing.T) {
	svc := past("1", "2")
	for k := range svc.History {
		svc.History[k].Service = "checkout"
		svc.History[k].Spec = rollout.Spec{Deadline: time.Hour, Steps: []rollout.Step{{Hosts: rollout.HostCount{Count: 1}, Weight: 500, Hold: time.Hour}}}
	}
	state := rollout.NewState()
	state.Services["checkout"] = svc
	view := View{Hosts: []Host{{Health: wire.Health{Host: "a"}, Live: true}, {Health: wire.Health{Host: "b"}, Live: true}, {Health: wire.Health{Host: "c"}}}}
	for id, want := range map[string]string{"checkout-1": "2500 on 2 for 2000, 5000 on 2 for 2000, 7500 on 2 for 2000, 10000 on 2 for 0", "checkout-2": ""} {
		data, err := readDiff(state, id, nil, view)
		if err != nil {
			t.Fatal(err)
		}
		d, err := api.DecodeAnswer[api.Diff](data)
		if err != nil {
			t.Fatal(err)
		}
		var steps []string
		for _, s := range d.Path {
			steps = append(steps, fmt.Sprintf("%d on %d for %d", s.Weight, s.Hosts, s.Hold))
		}
		if got := strings.Join(steps, ", "); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
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

// Two rollouts of a service are compared by what runs and by the rules, whichever
// is stable, by their own ids or those of their revisions.
func TestDiffOfTwoRollouts(t *testing.T) {
	svc := past("1", "2", "3")
	for k := range svc.History {
		r := &svc.History[k]
		r.Service, r.To.Replicas, r.To.Image = "checkout", k+1, r.To.Name
	}
	svc.History[1].Spec.Deadline = time.Hour
	state := rollout.NewState()
	state.Services["checkout"] = svc
	state.Services["search"] = &rollout.Service{Name: "search", History: []rollout.Rollout{{ID: "search-1", Service: "search"}}}
	for _, c := range []struct{ from, to, against, says, refused string }{
		{"checkout-1", "checkout-2", "checkout-1", "replicas: 1 -> 2", ""},
		{"checkout-2", "checkout-1", "checkout-2", "replicas: 2 -> 1", ""},
		{"rev-1", "rev-2", "checkout-1", "replicas: 1 -> 2", ""},
		{"checkout-1", "checkout-2", "checkout-1", "deadline: ", ""},
		{"checkout-1", "checkout-1", "checkout-1", "", ""},
		{"checkout-9", "checkout-1", "", "", `no rollout or revision "checkout-9"`},
		{"checkout-1", "checkout-9", "", "", `no rollout or revision "checkout-9"`},
		{"search-1", "checkout-1", "", "", "search-1 is of search and checkout-1 of checkout: name two of one service"},
	} {
		data, err := readDiff(state, c.to, fmt.Appendf(nil, `{"from":%q}`, c.from), View{})
		if err != nil {
			t.Fatal(err)
		}
		d, err := api.DecodeAnswer[api.Diff](data)
		if (err == nil) != (c.refused == "") || err != nil && err.Error() != c.refused {
			t.Errorf("%s and %s: %v, want %q", c.from, c.to, err, c.refused)
			continue
		}
		all := strings.Join(d.Changes, "\n")
		if d.Against != c.against || !strings.Contains(all, c.says) || c.from == c.to && all != "" || d.Why != "" || len(d.Path) > 0 {
			t.Errorf("%s and %s: %+v", c.from, c.to, d)
		}
	}
	if data, err := readDiff(state, "checkout-1", []byte("from"), View{}); err != nil || !strings.Contains(string(data), "request is not understood") {
		t.Errorf("of nonsense: %s, %v", data, err)
	}
}
