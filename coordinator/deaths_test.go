package coordinator

import (
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Whoever resumes what was paused because canaries died has seen to what they died
// of, and is not paused again for these deaths: under the next leader neither. Later
// ones count.
func TestResumeAfterDeathsCountsLaterOnes(t *testing.T) {
	inBubble(t, 3, func(b *bench) {
		b.marked()
		b.install()
		id := b.must(api.Trigger{ID: "2", Spec: specText("shop/checkout:2",
			`,"gates":{"errors":"off"},"on_failure":"pause","steps":[{"weight":"20%","hold":"1h"},{}],"deadline":"3h"`)})
		goesOn := func(when string, d time.Duration) {
			t.Helper()
			time.Sleep(d)
			if r := b.until(id, rollout.Progressing, rollout.Paused); r.Phase != rollout.Progressing {
				t.Fatalf("%s it is %s: %s", when, r.Phase, r.Text)
			}
		}
		b.until(id, rollout.Progressing)
		b.kill(2)
		if r := b.until(id, rollout.Paused); r.Cause != rollout.CauseDeath || !r.Parked {
			t.Fatalf("paused for %s, parked: %t", r.Cause, r.Parked)
		}
		time.Sleep(time.Minute)
		if r := b.verb(api.Resume, api.Command{By: "ann", Rollout: id}); !r.OK {
			t.Fatalf("resume: %+v", r)
		}
		goesOn("just resumed", time.Minute)
		b.ends["c1"]()
		b.group.elect("c2")
		b.lead("c2", 2)
		goesOn("under another leader", time.Minute)
		b.kill(1)
		goesOn("after one more death", time.Minute)
		b.kill(2)
		if r := b.until(id, rollout.Paused); r.Cause != rollout.CauseDeath {
			t.Errorf("after more deaths on two hosts: paused for %s", r.Cause)
		}
	})
}
