package coordinator

import (
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// A trigger that comes as soon as the bus is back finds a fleet that has not
// reported yet. It must neither be refused for that nor miss hosts.
func TestTriggerRightAfterAnOutageOfTheBus(t *testing.T) {
	inBubble(t, 3, func(b *bench) {
		b.install()
		b.mute(true)
		time.Sleep(time.Minute)
		b.mute(false)
		r := b.until(b.must(api.Trigger{ID: "2", Image: "shop/checkout:2"}), rollout.Succeeded)
		if len(r.Hosts) != 3 {
			t.Errorf("rolled out on %v", r.Hosts)
		}
	})
}

// Hosts that stay away are given up.
func TestTriggerWithoutAnyHost(t *testing.T) {
	inBubble(t, 3, func(b *bench) {
		b.install()
		b.mute(true)
		time.Sleep(time.Minute)
		if r := b.trigger(api.Trigger{ID: "2", Image: "shop/checkout:2"}); r.OK || r.Field != "hosts" {
			t.Errorf("%+v", r)
		}
	})
}

// mute keeps all hosts' reports away from the leader.
func (b *bench) mute(mute bool) {
	for _, a := range b.agents {
		a.mu.Lock()
		a.mute = mute
		a.mu.Unlock()
	}
}
