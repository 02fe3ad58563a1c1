package coordinator

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

const holding = `,"gates":{"errors":{"max_increase":"1%"}},"steps":[{"hosts":"100%","weight":"20%","hold":"2m"},{"hosts":"100%","weight":"100%","hold":"1s"}]`

// marked has the agents mark their reports, and a second replica follow.
func (b *bench) marked() {
	b.t.Helper()
	b.follow("c2")
	for _, a := range b.agents {
		a.mu.Lock()
		a.marks = true
		a.mu.Unlock()
	}
	time.Sleep(DefaultLease) // beats tell the time
}

// since returns the commands in the log from its n-th entry on.
func (b *bench) since(n int) []rollout.Entry { return b.group.log()[n:] }

// A replica that has heard everything goes on with the evidence of the leader
// before, with the hold that began under it, and at once.
func TestNewLeaderGoesOnAtOnce(t *testing.T) {
	inBubble(t, 3, func(b *bench) {
		b.marked()
		b.install()
		id := b.must(api.Trigger{ID: "2", Spec: specText("shop/checkout:2", holding)})
		b.until(id, rollout.Progressing)
		time.Sleep(115 * time.Second) // the hold is nearly over
		b.ends["c1"]()
		time.Sleep(10 * time.Second)
		before := len(b.group.log())
		b.group.elect("c2")
		b.lead("c2", 2)
		led := b.replicas["c2"].listener.told.At(time.Now())
		time.Sleep(250 * time.Millisecond)
		synctest.Wait()
		var first rollout.Advance
		for _, e := range b.since(before) {
			if c, ok := e.Command.(rollout.Advance); ok {
				first = c
			}
			if _, anew := e.Command.(rollout.Renew); anew {
				t.Error("the evidence began anew")
			}
		}
		if first.Why.Verdict == nil {
			t.Fatalf("a quarter of a second after %s nothing has happened: %+v", led, b.since(before))
		}
		// 20 requests a second on each of three hosts, for nearly two minutes.
		if n := first.Why.Verdict.Canary.Requests; n < 6000 {
			t.Errorf("the verdict is by %d requests: those before the change of leaders do not count", n)
		}
		// A trigger right after it does not wait for the fleet, either: hosts are known.
		asked := time.Now()
		if plan, err := api.DecodeAnswer[api.Plan](b.request(bus.CommandSubject(api.PlanVerb, checkout), api.Trigger{Image: "shop/checkout:3"})); err != nil || len(plan.Hosts) != 3 {
			t.Errorf("plan: %v, %+v", err, plan)
		}
		if took := time.Since(asked); took > 250*time.Millisecond {
			t.Errorf("the plan took %s", took)
		}
		b.until(id, rollout.Succeeded)
	})
}

// A replica that came late begins the evidence anew, says so in the log, and
// decides nothing by what it has heard before.
func TestLateReplicaBeginsAnew(t *testing.T) {
	inBubble(t, 3, func(b *bench) {
		b.marked()
		b.install()
		id := b.must(api.Trigger{ID: "2", Spec: specText("shop/checkout:2", holding)})
		b.until(id, rollout.Progressing)
		time.Sleep(60 * time.Second)
		b.follow("c3")
		time.Sleep(30 * time.Second)
		b.group.elect("c3")
		b.ends["c1"]()
		b.lead("c3", 2)
		r := b.until(id, rollout.Succeeded)
		if r.Anew != 1 {
			t.Errorf("evidence began anew %d times", r.Anew)
		}
		renewed := false
		for _, e := range b.checkEvents() {
			renewed = renewed || e.Kind == rollout.KindRenewed
			if e.Kind == rollout.KindStep && e.Step == 2 && e.Rollout == id && (!renewed || e.Verdict.Canary.Requests > 9000) {
				t.Errorf("renewed %t, and the step is left by %d requests", renewed, e.Verdict.Canary.Requests)
			}
		}
	})
}

// Hosts that asked when nobody led are answered before they ask again.
func TestNewLeaderAnswersWhoHasAsked(t *testing.T) {
	inBubble(t, 3, func(b *bench) {
		b.marked()
		b.install()
		id := b.must(api.Trigger{ID: "2", Spec: specText("shop/checkout:2", holding)})
		b.until(id, rollout.Progressing)
		b.ends["c1"]()
		time.Sleep(5 * busyInterval)
		b.mute(true)
		time.Sleep(time.Second)
		synctest.Wait()
		var mu sync.Mutex
		answered := map[string]bool{}
		for _, a := range b.agents {
			if _, err := b.conn.Subscribe(bus.AssignSubject(a.name), func(m bus.Msg) {
				if x, err := wire.DecodeAssign(m.Data); err == nil && x.Leader == "c2" && x.Nonce != 0 {
					mu.Lock()
					answered[x.Host] = true
					mu.Unlock()
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		b.group.elect("c2")
		b.lead("c2", 2)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if len(answered) != len(b.agents) {
			t.Errorf("of %d hosts that asked a second ago these are answered: %v", len(b.agents), answered)
		}
	})
}

// Followers say nothing: whatever is on the bus comes from who leads.
func TestFollowerIsSilent(t *testing.T) {
	inBubble(t, 2, func(b *bench) {
		b.marked()
		b.install()
		b.ends["c1"]()
		synctest.Wait()
		heard := 0
		for _, subject := range []string{bus.AllSteps, bus.BeatSubject, "serin.v1.agent.>", bus.AllEvents} {
			if _, err := b.conn.Subscribe(subject, func(bus.Msg) { heard++ }); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if heard > 0 {
			t.Errorf("%d messages though nobody leads", heard)
		}
		if n := len(b.replicas["c2"].listener.fleet.hosts); n != 2 {
			t.Errorf("the follower knows %d hosts", n)
		}
	})
}
