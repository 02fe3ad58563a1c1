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

// dead makes hosts that report and answer no question: for some seconds that is
// how an agent that died looks.
func (b *bench) dead(dead bool, hosts ...int) {
	for _, i := range hosts {
		a := b.agents[i]
		a.mu.Lock()
		a.deaf = dead
		a.mu.Unlock()
	}
}

func TestAnotherHostIsAskedForTheImage(t *testing.T) {
	inBubble(t, 5, func(b *bench) {
		b.install()
		b.dead(true, 0, 1, 2)
		began := time.Now()
		id := b.must(api.Trigger{ID: "2", Image: "shop/checkout:2"})
		if took := time.Since(began); took > 3*resolveHedge {
			t.Errorf("%s was told after %s", id, took)
		}
	})
}

func TestARequestThatNoAgentAnswersMayBeRepeated(t *testing.T) {
	for _, id := range []string{"", "build-1"} {
		t.Run("id="+id, func(t *testing.T) {
			inBubble(t, 3, func(b *bench) {
				b.install()
				b.dead(true, 0, 1, 2)
				r := b.trigger(api.Trigger{ID: id, Image: "shop/checkout:2"})
				if r.OK || r.Code != rollout.CodeBusy || !strings.Contains(r.Message, "web-01, web-02, web-03") {
					t.Fatalf("nobody answered: %+v", r)
				}
				b.dead(false, 0, 1, 2)
				if id != "" {
					b.must(api.Trigger{ID: id, Image: "shop/checkout:2"})
				}
				b.until("checkout-2", rollout.Succeeded) // else by the copy
				time.Sleep(2 * silentFor)
				if n := b.submissions(); n != 2 {
					t.Errorf("%d rollouts, want the install and one more", n)
				}
				b.checkEvents()
			})
		})
	}
}

func TestAPublishedTriggerWaitsForAnAgent(t *testing.T) {
	inBubble(t, 3, func(b *bench) {
		b.install()
		b.dead(true, 0, 1, 2)
		b.publish(checkout, `{"image":"shop/checkout:2"}`)
		time.Sleep(silentFor / 2)
		b.dead(false, 0, 1, 2)
		b.until("checkout-2", rollout.Succeeded)
	})
}

func TestAPublishedTriggerIsRefusedAloudInTheEnd(t *testing.T) {
	inBubble(t, 3, func(b *bench) {
		b.install()
		before := len(b.checkEvents())
		b.dead(true, 0, 1, 2)
		b.publish(checkout, `{"image":"shop/checkout:2"}`)
		time.Sleep(2 * silentFor)
		synctest.Wait()
		b.dead(false, 0, 1, 2)
		time.Sleep(2 * silentFor)
		events := b.checkEvents()[before:]
		if len(events) != 1 || events[0].Kind != rollout.KindRefused || events[0].Refusal.Code != rollout.CodeImage ||
			!strings.Contains(events[0].Text, "no agent answers") {
			t.Errorf("events: %+v", events)
		}
	})
}

// A local image that a host does not speak about is not known to be missing.
func TestALocalImageWaitsForEveryHost(t *testing.T) {
	inBubble(t, 3, func(b *bench) {
		b.dead(true, 2)
		spec := specText("local:1", ungated)
		r := b.trigger(api.Trigger{ID: "1", Spec: spec})
		if r.OK || r.Code != rollout.CodeBusy || !strings.Contains(r.Message, "web-03") {
			t.Errorf("one host is silent: %+v", r)
		}
		b.dead(false, 2)
		b.until(b.must(api.Trigger{ID: "1", Spec: spec}), rollout.Succeeded)
	})
}

// publish sends a trigger as `nats pub` does.
func (b *bench) publish(service, body string) {
	b.t.Helper()
	if err := b.conn.Publish(bus.TriggerSubject(service), []byte(body)); err != nil {
		b.t.Fatal(err)
	}
}

// Nobody waits for an answer to these, so that each has to make an event.
func TestABadPublishedTriggerMakesAnEvent(t *testing.T) {
	inBubble(t, 2, func(b *bench) {
		whole := string(specText("shop/checkout:1", ungated))
		for _, c := range []struct{ name, body, service, field, says string }{
			{checkout, `{"image":`, checkout, "trigger", "JSON"},
			{checkout, `{"imag":"shop/checkout:1"}`, checkout, "trigger", `unknown field "imag"`},
			{checkout, strings.Replace(whole, `"20%"`, `"20 s"`, 1), checkout, "steps[0].weight", "20 s"},
			{checkout, strings.Replace(whole, `"port"`, `"prot"`, 1), checkout, "container.prot", "prot"},
			{"cart", whole, "cart", "service", "checkout"},
			{checkout, `{"image":"` + strings.Repeat("x", 100<<10) + `"}`, checkout, "trigger", "bytes"},
			{checkout, `{"image":"` + strings.Repeat("x", 500<<10) + `"}`, checkout, "trigger", "bytes"},
			{checkout, "", checkout, "trigger", "empty"},
			{"Bad%20Name", whole, noService, "service", "Bad%20Name"},
			{"shop.checkout", whole, noService, "service", "shop.checkout"},
			{"Bad%20Name", strings.Replace(`{"id":"7",`+whole[1:], `"service":"checkout",`, "", 1), noService, "service", "Bad%20Name"},
		} {
			before := len(b.checkEvents())
			b.publish(c.name, c.body)
			time.Sleep(time.Minute)
			events := b.checkEvents()[before:]
			if len(events) != 1 {
				t.Errorf("%.60s on %s made %d events: %+v", c.body, c.name, len(events), events)
				continue
			}
			e := events[0]
			if e.Kind != rollout.KindRefused || e.Service != c.service || e.Refusal.Field != c.field || !strings.Contains(e.Text, c.says) {
				t.Errorf("%.60s on %s gave %s of %q: field %q, %s", c.body, c.name, e.Kind, e.Service, e.Refusal.Field, e.Text)
			}
		}
		if r := b.reply(bus.TriggerSubject("Bad%20Name"), whole); r.OK || r.Code != rollout.CodeInvalid || r.Field != "service" {
			t.Errorf("a request is told %+v", r)
		}
	})
}
