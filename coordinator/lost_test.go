package coordinator

import (
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// A host that falls silent in the middle of a rollout is left behind. That
// nobody is heard, and that a leader is young, is no reason to lose anybody.
func TestSilentHostIsLeftBehind(t *testing.T) {
	inBubble(t, 3, func(b *bench) {
		b.install()
		id := b.must(api.Trigger{ID: "2", Spec: specText("shop/checkout:2",
			`,"gates":{"errors":"off"},"steps":[{"weight":"20%","hold":"30m"},{}],"lost_after":"1m","deadline":"2h"`)})
		b.until(id, rollout.Progressing)
		noneLost := func(when string, d time.Duration) {
			t.Helper()
			time.Sleep(d)
			if r := b.until(id, rollout.Progressing); len(r.Lost) > 0 {
				t.Fatalf("%s %v are lost", when, r.Lost)
			}
		}
		noneLost("while all are heard", 5*time.Minute)
		b.hush(true, b.agents...)
		noneLost("without the bus", 10*time.Minute)
		b.hush(false, b.agents[:2]...)
		noneLost("soon after the bus is back", 50*time.Second)
		b.ends["c1"]()
		b.group.elect("c2")
		b.lead("c2", 2)
		noneLost("under a young leader", 50*time.Second)
		r := b.until(id, rollout.Succeeded)
		last := b.agents[2]
		if len(r.Lost) != 1 || r.Lost[0] != last.name || len(r.Hosts) != 2 {
			t.Errorf("lost %v, went on with %v", r.Lost, r.Hosts)
		}
		b.hush(false, last)
		for range 60 {
			time.Sleep(time.Second)
			if last.stables()[checkout] == r.To.ID {
				break
			}
		}
		if got := last.stables()[checkout]; got != r.To.ID {
			t.Errorf("back again, %s runs %s, not %s", last.name, got, r.To.ID)
		}
		b.checkEvents()
	})
}

// hush has agents report nothing, or report again.
func (b *bench) hush(mute bool, agents ...*fakeAgent) {
	for _, a := range agents {
		a.mu.Lock()
		a.mute = mute
		a.mu.Unlock()
	}
}
