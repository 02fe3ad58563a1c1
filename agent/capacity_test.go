package agent

import (
	"testing"
	"time"

	"github.com/serin-rollouts/serin/agent/docker/dockertest"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// TestWayBackWaitsForStable: three of four stable containers are dead and do not
// start when the canary, which has all traffic, is to be taken back. The one
// that is left gets no more than twice its part; the rest follows as stable
// comes back and warms up. No user is turned away.
func TestWayBackWaitsForStable(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1, r2 := b.revision("1", 4), b.revision("2", 4)
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		b.assign(b.want(6, r1, r2, rollout.Full))
		b.settled(6)
		mend := b.docker.Inject(dockertest.Fault{Method: "POST", Path: "/start", Times: -1, Status: 500, Message: "not now"})
		for _, slot := range []string{"a2", "a3", "a4"} {
			b.docker.Die("serin-web-1-shop-"+slot+"-"+r1.ID, 137)
		}
		b.until("stable is down to one", 5*time.Second, func(s wire.ServiceHealth) bool { return s.StableReady == 1 })
		b.leads(false)
		b.wave(rollout.Wave{Service: shop, Epoch: 7})
		b.until("half of it is back", time.Second, func(s wire.ServiceHealth) bool { return s.Weight == rollout.Full/2 })
		time.Sleep(30 * time.Second)
		if s := b.service(); s.Weight != rollout.Full/2 {
			t.Errorf("with one of four stable containers the canary has %s", rollout.Percent(s.Weight))
		}
		if got := b.serve(400); got.Failed > 0 || got.Canary < 150 || got.Canary > 250 {
			t.Errorf("with one of four: %+v", got)
		}
		mend()
		some, none := false, false
		for deadline := time.Now().Add(time.Minute); !none && time.Now().Before(deadline); time.Sleep(250 * time.Millisecond) {
			got := b.serve(400)
			if got.Failed > 0 {
				t.Fatalf("on the way: %+v", got)
			}
			none = got.Canary == 0
			some = some || !none && got.Canary < 150
		}
		if !some || !none {
			t.Errorf("the rest was not taken in steps: less %v, nothing %v", some, none)
		}
		b.until("all of stable is back", 10*time.Second, func(s wire.ServiceHealth) bool { return s.Weight == 0 && s.StableReady == 4 })
		if got := b.serve(400); got.Failed > 0 || got.Canary > 0 {
			t.Errorf("with all four: %+v", got)
		}
	})
}
