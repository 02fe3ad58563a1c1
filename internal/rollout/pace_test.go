package rollout_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestAutoPace follows the weights that the pace chooses when every step passes
// after a minute, for fleets of several traffics and rollouts that may fail so
// many requests of a regression of one percentage point, whose finding takes 36
// of them, and two more in later steps.
func TestAutoPace(t *testing.T) {
	fast := []int{100, 500, 2500, 5000, 10000}
	for _, c := range []struct {
		perSecond, exposure int64
		want                []int
	}{
		{10, 50, fast},
		{1_000, 50, fast},
		// 1 % of this fails 70 in the time of a reaction, and all of it 7,000, of which the second
		// step meets a twentieth. Of the 892 left it may have three quarters.
		{100_000, 1000, fast},
		// Of the 92 that are left it may have 69: 19.7 % of its 350; of those left the next one
		// has more than it needs to grow by the most.
		{100_000, 200, []int{100, 500, 2500, 5000, 10000}},
		// 108 are risked anyway, more than may fail: the second step adds a twentieth of that.
		{100_000, 50, []int{100, 154, 770, 3850, 5000, 10000}},
		{1_000_000, 50, []int{100, 105, 525, 2625, 5000, 10000}},
		{1_000_000, 800, []int{100, 132, 660, 3300, 5000, 10000}},
		// So few that no pace keeps it: it is as fast as where what it adds is little beside that.
		{10, 1, fast},
	} {
		t.Run(fmt.Sprintf("%d a second, %d may fail", c.perSecond, c.exposure), func(t *testing.T) {
			if got := autoPath(t, c.perSecond*60, c.exposure); !slices.Equal(got, c.want) {
				t.Errorf("weights %v, want %v", got, c.want)
			}
		})
	}
}

// TestFinding: the smaller the regression beside what is allowed, the more of it
// fails before it is found, and one that is hardly beyond that is not found.
func TestFinding(t *testing.T) {
	gates := rollout.Spec{Gates: rollout.Gates{Errors: &rollout.ErrorsGate{MaxIncrease: 50}}}.WithDefaults().Gates
	stable := analysis.Counts{Requests: 100_000, Errors: 100}
	last := int64(math.MaxInt64)
	for _, points := range []int{60, 100, 200} {
		got := rollout.Auto{Regression: points}.Finding(gates, stable)
		if got < 1 || got >= last {
			t.Errorf("%d basis points: %d fail, of less %d", points, got, last)
		}
		last = got
	}
	if usual := (rollout.Auto{Regression: rollout.DefaultRegression, Exposure: rollout.DefaultExposure}); !usual.Kept(usual.Finding(gates, stable)) {
		t.Errorf("of the default regression %d fail, too many for the default exposure", last)
	}
	if got := (rollout.Auto{Regression: 50}).Finding(gates, stable); got >= 0 || (rollout.Auto{Exposure: 50}).Kept(got) {
		t.Errorf("a regression that is allowed is found after %d failures", got)
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
