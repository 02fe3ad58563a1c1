package coordinator

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// deposed makes c2 the leader, while all hosts are on their way to another
// server of the bus.
func (b *bench) deposed() {
	b.t.Helper()
	b.mute(true)
	b.group.elect("c2")
	b.ends["c1"]()
	synctest.Wait()
	b.lead("c2", 2)
}

// A young leader that no host has reported to knows of no host that could be
// chosen. That is no answer for the record: the fleet may need longer than one
// interval to find another server of the bus.
func TestAYoungLeaderRefusesNothingBeforeItHasHeardAHost(t *testing.T) {
	for _, id := range []string{"", "build-1"} {
		t.Run("id="+id, func(t *testing.T) {
			inBubble(t, 3, func(b *bench) {
				b.install()
				b.deposed()
				r := b.trigger(api.Trigger{ID: id, Image: "shop/checkout:2"})
				if r.OK || r.Code != rollout.CodeBusy || r.Field != "hosts" || !strings.Contains(r.Message, "no host reports") {
					t.Fatalf("nobody has reported: %+v", r)
				}
				b.mute(false)
				if id != "" {
					time.Sleep(2 * idleInterval)
					b.must(api.Trigger{ID: id, Image: "shop/checkout:2"})
				}
				if r := b.until("checkout-2", rollout.Succeeded); len(r.Hosts) != 3 { // else by the copy
					t.Errorf("rolled out on %v", r.Hosts)
				}
				time.Sleep(2 * silentFor)
				if n := b.submissions(); n != 2 {
					t.Errorf("%d rollouts, want the install and one more", n)
				}
				b.checkEvents()
			})
		})
	}
}

// A fleet that stays away is given up, aloud.
func TestAPublishedTriggerOfAFleetThatIsAwayIsRefusedInTheEnd(t *testing.T) {
	inBubble(t, 3, func(b *bench) {
		b.install()
		before := len(b.checkEvents())
		b.deposed()
		b.publish(checkout, `{"image":"shop/checkout:2"}`)
		time.Sleep(2 * silentFor)
		synctest.Wait()
		b.mute(false)
		time.Sleep(2 * silentFor)
		events := b.checkEvents()[before:]
		if len(events) != 1 || events[0].Kind != rollout.KindRefused || events[0].Refusal.Code != rollout.CodeInvalid ||
			events[0].Refusal.Field != "hosts" || !strings.Contains(events[0].Text, "no host reports") {
			t.Errorf("events: %+v", events)
		}
	})
}
