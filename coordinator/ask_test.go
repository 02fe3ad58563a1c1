package coordinator

import (
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Leaders that change too often to see a condition false three times running do
// not let it pass, required or not: the deadline ends the step. One that stays
// takes the canary back.
func TestFailingConditionOverLeaders(t *testing.T) {
	const steps = `,"deadline":"3m","steps":[{"hosts":"100%","weight":"20%"},{"hosts":"100%","weight":"100%"}]`
	for name, c := range map[string]struct {
		gate  string // besides what both have
		calm  bool
		cause rollout.Cause
	}{
		"required":               {``, false, rollout.CauseDeadline},
		"optional":               {`,"required":false`, false, rollout.CauseDeadline},
		"required, they stay":    {``, true, rollout.CauseGate},
		"optional, they stay":    {`,"required":false`, true, rollout.CauseGate},
		"optional, only watched": {`,"required":false,"observe":true`, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 3, func(b *bench) {
				b.marked()
				b.follow("c3")
				for _, a := range b.agents {
					a.mu.Lock()
					a.queue = 70
					a.mu.Unlock()
				}
				b.install()
				gates := `,"gates":{"errors":{"max_increase":"5%"},"metrics":[{"name":"queue","read":{"queue":"queue_depth"},"when":"canary.queue < 10.0","every":"10s"` + c.gate + `}]}`
				id := b.must(api.Trigger{ID: "2", Spec: specText("shop/checkout:2", gates+steps)})
				led := "c1"
				for term := uint64(2); term < 20 && !c.calm; term++ {
					time.Sleep(15 * time.Second)
					b.ends[led]()
					led = map[bool]string{true: "c2", false: "c3"}[term%2 == 0]
					b.group.elect(led)
					b.lead(led, term)
				}
				r := b.until(id, rollout.RolledBack, rollout.Succeeded)
				if (r.Phase == rollout.Succeeded) != (c.cause == "") {
					t.Errorf("%s", r.Phase)
				}
				for _, e := range b.checkEvents() {
					if e.Rollout == id && e.Kind == rollout.KindRollingBack && e.Cause != c.cause {
						t.Errorf("rolled back by %s: %s", e.Cause, e.Text)
					}
				}
			})
		})
	}
}
