package coordinator

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestFrozenFleet: from the freeze to its end by itself, as operators and CI see it,
// over a change of leader.
func TestFrozenFleet(t *testing.T) {
	inBubble(t, 3, func(b *bench) {
		b.install()
		fleet := func(verb string, c api.Command) api.Reply { return b.reply(bus.CommandSubject(verb, rollout.Fleet), c) }
		status := func() api.ServiceStatus {
			s, err := api.DecodeAnswer[api.ServiceStatus](b.request(bus.GetSubject(api.GetService, checkout), ""))
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		if r := fleet(api.Freezing, api.Command{By: "ann", Reason: "release week", For: time.Hour.Milliseconds()}); !r.OK {
			t.Fatalf("freeze: %+v", r)
		}
		r := b.trigger(api.Trigger{ID: "2", Spec: specText("shop/checkout:2", "")})
		if r.OK || r.Code != rollout.CodeFrozen || !strings.Contains(r.Message, "the fleet is frozen by ann until ") || !strings.Contains(r.Message, " UTC: release week; `serin thaw` ends it") {
			t.Errorf("a trigger while frozen: %+v", r)
		}
		s := status()
		if len(s.Frozen) != 1 || s.Frozen[0].By != "ann" || time.UnixMilli(s.Frozen[0].Until).Sub(time.UnixMilli(s.Frozen[0].Since)).Round(time.Minute) != time.Hour {
			t.Errorf("frozen: %+v", s.Frozen)
		}
		plan, err := api.DecodeAnswer[api.Plan](b.request(bus.CommandSubject(api.PlanVerb, checkout), `{"image":"shop/checkout:2"}`))
		if err != nil || len(plan.Frozen) != 1 {
			t.Errorf("plan: %+v, %v", plan.Frozen, err)
		}
		if r := b.trigger(api.Trigger{ID: "3", Spec: specText("shop/checkout:2", ""), Override: true}); r.Code != rollout.CodeInvalid || r.Field != "reason" {
			t.Errorf("through the freeze without a reason: %+v", r)
		}
		id := b.must(api.Trigger{ID: "4", Spec: specText("shop/checkout:2", ""), Override: true, Reason: "it is down"})
		if d := b.until(id, rollout.Succeeded); !strings.Contains(d.Override, "the fleet is frozen by ann") {
			t.Errorf("through the freeze: %+v", d)
		}
		if r := b.verb(api.Rollback, api.Command{}); !r.OK {
			t.Errorf("rollback while frozen: %+v", r)
		} else {
			b.until(r.Rollout, rollout.Succeeded)
		}
		b.group.elect("c2")
		b.ends["c1"]()
		synctest.Wait()
		b.lead("c2", 2)
		if s := status(); len(s.Frozen) != 1 {
			t.Errorf("after a change of leader: %+v", s.Frozen)
		}
		time.Sleep(time.Hour)
		if s := status(); len(s.Frozen) != 0 {
			t.Errorf("its time is over: %+v", s.Frozen)
		}
		b.until(b.must(api.Trigger{ID: "5", Spec: specText("shop/checkout:3", "")}), rollout.Succeeded)
		var texts []string
		for _, e := range b.checkEvents() {
			if e.Kind == rollout.KindFrozen || e.Kind == rollout.KindThawed {
				texts = append(texts, e.Service+" "+e.Text)
			}
		}
		if len(texts) != 2 || texts[1] != "_fleet thawed: the time of the freeze is over" {
			t.Errorf("events: %q", texts)
		}
	})
}
