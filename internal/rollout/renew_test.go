package rollout_test

import (
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestEvidenceBeginsAnew: whenever it does the state says so, if every replica can
// read that; the step, its hold and its deadline go on.
func TestEvidenceBeginsAnew(t *testing.T) {
	for _, level := range []int{rollout.LevelLost, rollout.LevelRenew} {
		s := rollout.NewState()
		index := uint64(0)
		apply := func(c rollout.Command) rollout.Result {
			index++
			return s.Apply(index, rollout.Entry{Stamp: rollout.Stamp{At: time.Duration(index) * time.Second}, Command: c})
		}
		target := func() rollout.Target {
			return rollout.Target{Service: "web", Rollout: "web-1", Epoch: s.Services["web"].Epoch}
		}
		apply(rollout.Raise{Level: level})
		spec := rollout.Spec{Service: "web", Steps: []rollout.Step{{Hosts: rollout.HostCount{Count: 1}, Weight: 100}, {Hosts: rollout.HostCount{Share: rollout.Full}, Weight: rollout.Full}}}
		apply(rollout.Submit{Spec: spec, Hosts: []string{"a"}})
		type mark struct {
			anew int
			cut  uint64
		}
		expect := func(what string, r rollout.Result, want mark) {
			t.Helper()
			if r.Refused != nil {
				t.Fatalf("%s: %v", what, r.Refused)
			}
			if level < rollout.LevelRenew {
				want = mark{}
			}
			active := s.Services["web"].Active
			if got := (mark{active.Anew, active.StepEpoch}); got != want {
				t.Errorf("level %d, %s: %+v, want %+v", level, what, got, want)
			}
		}
		if r := apply(rollout.Renew{Target: target()}); r.Refused == nil || r.Refused.Code != rollout.CodePhase {
			t.Errorf("before the first step: %+v", r)
		}
		expect("first step", apply(rollout.Advance{Target: target()}), mark{0, 4})
		began := s.Services["web"].Active.StepAt
		r := apply(rollout.Renew{Target: target()})
		expect("a leader that has not heard all", r, mark{1, 5})
		if got := s.Services["web"].Active.StepAt; got != began {
			t.Errorf("the step began at %s, and at %s when the evidence began anew", began, got)
		}
		if len(r.Events) != 1 || r.Events[0].Kind != rollout.KindRenewed {
			t.Errorf("events: %+v", r.Events)
		}
		apply(rollout.Pause{Target: target()})
		expect("resumed", apply(rollout.Resume{Target: target()}), mark{1, 7})
		apply(rollout.Pause{Target: target(), Park: true})
		expect("resumed after a failure", apply(rollout.Resume{Target: target()}), mark{2, 9})
		expect("next step", apply(rollout.Advance{Target: target()}), mark{2, 10})
	}
}

// A step that ends by its deadline says what was known when time was up.
func TestDeadlineCarriesTheLastVerdict(t *testing.T) {
	undecided := analysis.Verdict{Outcome: analysis.Wait, Reason: "undecided", Findings: []analysis.Finding{{Gate: "errors"}}}
	for name, c := range map[string]struct {
		phase   rollout.Phase
		verdict analysis.Verdict
		want    bool
	}{
		"undecided":         {rollout.Progressing, undecided, true},
		"nothing to judge":  {rollout.Progressing, analysis.Verdict{}, false},
		"before the canary": {rollout.Preparing, undecided, false},
	} {
		from := rollout.Revision{ID: "old"}
		spec := rollout.Spec{Service: "web", Deadline: time.Hour, Steps: []rollout.Step{{Hosts: rollout.HostCount{Count: 1}, Weight: 100}}}
		spec.Gates.Errors = &rollout.ErrorsGate{Conduct: rollout.Conduct{Name: "errors"}}
		s := rollout.NewState()
		s.Services["web"] = &rollout.Service{Name: "web", Epoch: 5, Stable: &from, Active: &rollout.Rollout{
			ID: "web-1", Service: "web", Spec: spec, From: &from, Hosts: []string{"a"}, Phase: c.phase,
		}}
		e := rollout.Evidence{"web": {
			Hosts:   map[string]rollout.HostEvidence{"a": {Epoch: 5, Settled: c.phase == rollout.Progressing}},
			Verdict: c.verdict,
		}}
		commands, _ := rollout.Decide(s, e, 2*time.Hour)
		if len(commands) != 1 {
			t.Fatalf("%s: %+v", name, commands)
		}
		back, ok := commands[0].(rollout.RollBack)
		if !ok || back.Why.Cause != rollout.CauseDeadline || (back.Why.Verdict != nil) != c.want {
			t.Errorf("%s: %+v", name, commands[0])
		}
	}
}
