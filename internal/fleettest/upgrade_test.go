package fleettest_test

import (
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/fleettest"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestRollingUpgrade replaces replicas of an earlier release one by one, while
// rollouts run. The group says nothing that the last of them would not
// understand; when it is gone, what is new is there.
func TestRollingUpgrade(t *testing.T) {
	fleettest.Run(t, fleettest.Options{Level: rollout.LevelFirst}, func(f *fleettest.Fleet) {
		f.Install("1", gated)
		for _, v := range []string{"2", "3", "4"} {
			f.Push(v, fleettest.App{})
		}
		id := f.Start(api.Trigger{ID: "2", Image: fleettest.Image("2")})
		for i := range 2 {
			f.Sleep(5 * time.Second)
			f.UpgradeReplica(i)
		}
		f.Until(id, rollout.Succeeded)
		r := f.Until(f.Start(api.Trigger{ID: "3", Image: fleettest.Image("3")}), rollout.Succeeded)
		if at := f.State().AtLevel(); at != rollout.LevelFirst || r.Spec.LostAfter != 0 {
			t.Errorf("with a replica of the earlier release the group is at level %d, and rollouts have %s", at, r.Spec.LostAfter)
		}
		f.UpgradeReplica(2)
		f.Sleep(time.Minute)
		if at := f.State().AtLevel(); at != rollout.LevelNewest {
			t.Errorf("after the upgrade the group is at level %d", at)
		}
		r = f.Until(f.Start(api.Trigger{ID: "4", Image: fleettest.Image("4")}), rollout.Succeeded)
		if r.Spec.LostAfter != rollout.DefaultLostAfter {
			t.Errorf("after the upgrade a host is lost after %s", r.Spec.LostAfter)
		}
	})
}
