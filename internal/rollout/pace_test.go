package rollout_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestAutoPace follows the weights that the pace chooses when every step passes
// after a minute, for fleets of several traffics. The risk is 50 failures of a
// regression of one percentage point.
func TestAutoPace(t *testing.T) {
	for perSecond, want := range map[int64][]int{
		10:      {100, 500, 2500, 5000, 10000},
		1_000:   {100, 500, 2500, 5000, 10000},
		100_000: {100, 500, 2500, 5000, 10000},
		// 1 % of these is more than the risk allows at first: the same weight again, until
		// the evidence is enough for more.
		1_000_000: {100, 137, 685, 3425, 5000, 10000},
	} {
		t.Run(strconv.FormatInt(perSecond, 10), func(t *testing.T) {
			if got := autoPath(t, perSecond*60, 50); !slices.Equal(got, want) {
				t.Errorf("weights %v, want %v", got, want)
			}
		})
	}
}

// TestAutoPaceCountsWhatFindingTakes: where so few may fail that the requests that it takes to find the
// regression harm too many, the same weight is taken again, whatever the traffic.
func TestAutoPaceCountsWhatFindingTakes(t *testing.T) {
	for exposure, want := range map[int64][]int{
		1: {100, 100, 500, 2500, 5000, 10000},
		3: {100, 500, 2500, 5000, 10000},
	} {
		if got := autoPath(t, 10*60, exposure); !slices.Equal(got, want) {
			t.Errorf("%d may fail: weights %v, want %v", exposure, got, want)
		}
	}
}

// autoPath lets a rollout of AutoPace pass every step and returns its weights.
func autoPath(t *testing.T, requests int64, exposure int64) []int {
	t.Helper()
	spec := rollout.Spec{
		Service: "web", Image: "web:2", Container: rollout.Container{Port: 80},
		Pace: rollout.AutoPace, Auto: &rollout.Auto{Regression: 100, Exposure: exposure},
		Gates: rollout.Gates{Errors: &rollout.ErrorsGate{MaxIncrease: 50}},
	}.WithDefaults()
	from, now := rollout.Revision{ID: "old"}, time.Duration(0)
	state := rollout.NewState()
	state.Services["web"] = &rollout.Service{Name: "web", Stable: &from}
	apply := func(c rollout.Command) {
		result := state.Apply(state.Index+1, rollout.Entry{Stamp: rollout.Stamp{At: now}, Command: c})
		if result.Refused != nil {
			t.Fatal(result.Refused)
		}
	}
	apply(rollout.Submit{Spec: spec, To: rollout.Revision{ID: "new"}, Hosts: []string{"a", "b"}})
	var weights []int
	for state.Services["web"].Active.Phase != rollout.Promoting {
		svc := state.Services["web"]
		if len(weights) > 20 {
			t.Fatal("the path does not end")
		}
		now += time.Minute
		h := rollout.HostEvidence{Epoch: svc.Epoch, Settled: true, HasImage: true}
		commands, _ := rollout.Decide(state, rollout.Evidence{"web": {
			Hosts:   map[string]rollout.HostEvidence{"a": h, "b": h},
			Verdict: analysis.Verdict{Outcome: analysis.Pass, Stable: analysis.Counts{Requests: requests}},
		}}, now)
		if len(commands) != 1 {
			t.Fatalf("%d commands in %s", len(commands), svc.Active.Phase)
		}
		apply(commands[0])
		if r := state.Services["web"].Active; r.Phase == rollout.Progressing {
			weights = append(weights, r.Weight())
		}
	}
	if kept := state.Services["web"].Spec.Steps; !slices.Equal(kept, rollout.AutoSteps()) {
		t.Errorf("the next rollout would begin with %v", kept)
	}
	return weights
}
