package fleettest_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/fleettest"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestDeadlineOverFailovers has a step that a host cannot take, so that its deadline
// takes the rollout back. Whoever leads then was not there when the step began: the
// deadline passes once, not before its time, and soon after it. Time without a leader
// does not count; nor does, where nobody is left, what was led since the last entry.
func TestDeadlineOverFailovers(t *testing.T) {
	for name, fail := range map[string]func(f *fleettest.Fleet) (away, forgotten time.Duration){
		"leaders killed": func(f *fleettest.Fleet) (away, forgotten time.Duration) {
			for range 3 {
				f.Sleep(rollout.StepDeadline / 4)
				dead := f.KillLeader()
				f.Leader()
				f.StartReplica(dead)
			}
			return 0, 0
		},
		"no quorum for an hour": func(f *fleettest.Fleet) (away, forgotten time.Duration) {
			f.Sleep(rollout.StepDeadline / 2)
			for i := range 3 {
				f.KillReplica(i)
			}
			away = max(anHour(), rollout.StepDeadline)
			f.Sleep(away)
			for i := range 3 {
				f.StartReplica(i)
			}
			f.Leader()
			return away, rollout.StepDeadline / 2
		},
	} {
		t.Run(name, func(t *testing.T) {
			fleettest.Run(t, fleettest.Options{}, func(f *fleettest.Fleet) {
				const spec = `,"lost_after":"3h","deadline":"6h","gates":{"errors":"off"},"steps":[{"hosts":1,"weight":"10%","approve":true},{"hosts":"100%","weight":"50%"},{}]`
				f.Install("1", "")
				f.Push("2", fleettest.App{})
				id := f.Start(api.Trigger{ID: "2", Spec: fleettest.Spec("2", spec)})
				r := f.Until(id, rollout.Paused)
				cut := hostOf(t, r.Hosts[len(r.Hosts)-1])
				f.CutHost(cut)
				f.Command(api.Promote, api.Command{})
				for r.Step == 0 {
					f.Sleep(100 * time.Millisecond)
					r = f.Until(id, rollout.Paused, rollout.Progressing)
				}
				began, stepAt := time.Now(), r.StepAt
				away, forgotten := fail(f)
				if r, _ := f.State().Find(id); r.Phase != rollout.Progressing || r.StepAt != stepAt {
					t.Fatalf("before its deadline, after the failovers: %s, step at %s", r.Phase, r.StepAt)
				}
				r = f.Until(id, rollout.RollingBack)
				took, counted := time.Since(began)-away, r.PhaseAt-stepAt
				t.Logf("taken back after %s, %s of the fleet's clock", took, counted)
				early, late := took < rollout.StepDeadline-30*time.Second, took > rollout.StepDeadline+forgotten+time.Minute
				if counted < rollout.StepDeadline || early || late {
					t.Errorf("the deadline of %s passed after %s, %s of the fleet's clock", rollout.StepDeadline, took, counted)
				}
				f.HealHost(cut)
				if r = f.Until(id, rollout.RolledBack); r.Cause != rollout.CauseDeadline {
					t.Errorf("taken back for %s: %s", r.Cause, r.Text)
				}
				if n := len(kinds(f, id, rollout.KindRollingBack)); n != 1 {
					t.Errorf("the deadline passed %d times", n)
				}
				stable(t, f, "1")
			})
		})
	}
}

// hostOf returns the index of a host.
func hostOf(t *testing.T, name string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimPrefix(name, "web-"))
	if err != nil {
		t.Fatal(err)
	}
	return n - 1
}
