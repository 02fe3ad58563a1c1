package coordinator

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const ungated = `,"gates":{"errors":"off"},"steps":[{"hosts":1,"weight":"20%"},{"hosts":"100%","weight":"100%"}]`

func TestFiveIdenticalTriggersStartOneRollout(t *testing.T) {
	for _, id := range []string{"", "build-77"} {
		t.Run("id="+id, func(t *testing.T) {
			inBubble(t, 2, func(b *bench) {
				b.install()
				replies := make(chan api.Reply, 5)
				for range 5 {
					go func() { replies <- b.trigger(api.Trigger{ID: id, Image: "shop/checkout:2"}) }()
				}
				for range 5 {
					if r := <-replies; !r.OK || r.Rollout != "checkout-2" {
						t.Errorf("reply: %+v", r)
					}
				}
				b.until("checkout-2", rollout.Succeeded)
				time.Sleep(time.Minute) // for copies that come late
				if n := b.submissions(); n != 2 {
					t.Errorf("%d rollouts were started, want the install and one more", n)
				}
				if r := b.trigger(api.Trigger{Image: "shop/checkout:2"}); !r.OK || !r.Unchanged || r.Rollout != "checkout-2" {
					t.Errorf("trigger of what is stable: %+v", r)
				}
			})
		})
	}
}

func (b *bench) submissions() int {
	n := 0
	for _, e := range b.group.log() {
		if _, ok := e.Command.(rollout.Submit); ok {
			n++
		}
	}
	return n
}

func TestPlainPublishAndCloudEvent(t *testing.T) {
	inBubble(t, 2, func(b *bench) {
		if err := b.conn.Publish(bus.TriggerSubject(checkout), specText("shop/checkout:1", ungated)); err != nil {
			t.Fatal(err)
		}
		b.until("checkout-1", rollout.Succeeded)
		event := `{"specversion":"1.0","id":"9","source":"/ci","type":"image.pushed","data":{"image":"shop/checkout:2"}}`
		for range 2 {
			if r := b.reply(bus.TriggerSubject(checkout), event); !r.OK || r.Rollout != "checkout-2" {
				t.Errorf("CloudEvent: %+v", r)
			}
		}
		b.until("checkout-2", rollout.Succeeded)
		b.checkEvents()
	})
}

func TestBadTriggersAreRefusedByField(t *testing.T) {
	inBubble(t, 2, func(b *bench) {
		for _, c := range []struct {
			body, code, field string
		}{
			{`{"image":"shop/checkout:1"}`, "unknown", "service"},
			{`{"imag":"shop/checkout:1"}`, "invalid", "trigger"},
			{`{"image":7}`, "invalid", "image"},
			{`{"replace":true}`, "invalid", "image"},
			{`service: cart
image: a:1
container: {port: 80}`, "invalid", "service"},
			{`service: checkout
image: a:1
container: {port: 80}
steps: [{hosts: 1, weight: 200%}]`, "invalid", "steps[0].weight"},
			{string(specText("shop/missing:1", ungated)), "image", "image"},
			{string(specText("shop/checkout:1", `,"hosts":{"labels":{"role":"db"}}`)), "invalid", "hosts"},
		} {
			r := b.reply(bus.TriggerSubject(checkout), c.body)
			if r.OK || string(r.Code) != c.code || r.Field != c.field || r.Message == "" {
				t.Errorf("%s\ngave %+v, want code %s, field %s", c.body, r, c.code, c.field)
			}
		}
		events := b.checkEvents()
		if len(events) != 8 {
			t.Errorf("%d events for 8 refusals", len(events))
		}
	})
}

// An image that no registry knows runs if every host has it, and is refused
// before anything is changed if one has not.
func TestLocalImage(t *testing.T) {
	inBubble(t, 3, func(b *bench) {
		spec := func(image string) string { return string(specText(image, ungated)) }
		r := b.reply(bus.TriggerSubject(checkout), spec("uneven-local:1"))
		if r.OK || r.Code != rollout.CodeImage || r.Field != "image" || !strings.Contains(r.Message, "web-02 (no such image)") {
			t.Errorf("one host has it not: %+v", r)
		}
		if r := b.reply(bus.TriggerSubject(checkout), spec("local:1")); !r.OK {
			t.Fatalf("every host has it: %+v", r)
		}
		if r := b.until("checkout-1", rollout.Succeeded); !strings.HasPrefix(r.To.Image, "sha256:") {
			t.Errorf("pinned as %s", r.To.Image)
		}
	})
}

func TestConflictAndReplace(t *testing.T) {
	inBubble(t, 3, func(b *bench) {
		b.install()
		second := b.must(api.Trigger{ID: "2", Image: "shop/checkout:2"})
		r := b.trigger(api.Trigger{ID: "3", Image: "shop/checkout:3"})
		if r.OK || r.Code != rollout.CodeConflict || r.Rollout != second {
			t.Fatalf("second trigger: %+v", r)
		}
		third := b.must(api.Trigger{ID: "4", Image: "shop/checkout:3", Replace: true})
		b.until(third, rollout.Succeeded)
		if r := b.until(second, rollout.Aborted); r.Cause != rollout.CauseReplaced {
			t.Errorf("replaced for %s", r.Cause)
		}
		// The refused trigger is told of with the rollout that it met.
		detail, err := api.DecodeAnswer[api.RolloutDetail](b.request(bus.GetSubject(api.GetExplain, second), ""))
		if err != nil {
			t.Fatal(err)
		}
		refused := slices.IndexFunc(detail.Decisions, func(d api.Decision) bool { return d.Kind == rollout.KindRefused })
		if refused < 1 {
			t.Errorf("%s is explained by %+v", second, detail.Decisions)
		}
		if first := detail.Decisions[0].Kind; first != rollout.KindSubmitted {
			t.Errorf("%s began with %s", second, first)
		}
		b.checkEvents()
	})
}

func TestApproval(t *testing.T) {
	inBubble(t, 3, func(b *bench) {
		b.install()
		steps := `,"steps":[{"hosts":1,"weight":"10%","hold":"10s","approve":true},{"hosts":"100%","weight":"100%"}]`
		id := b.must(api.Trigger{ID: "2", Spec: specText("shop/checkout:2", steps)})
		b.until(id, rollout.Paused)
		time.Sleep(10 * time.Minute)
		status, err := api.DecodeAnswer[api.ServiceStatus](b.request(bus.GetSubject(api.GetService, checkout), ""))
		if err != nil || !status.Running || !status.Rollout.NeedsApproval || status.Rollout.Reached != 1 || status.Hosts != 3 {
			t.Errorf("status: %v, %+v", err, status.Rollout)
		}
		if r := b.verb(api.Promote, api.Command{By: "ann"}); !r.OK {
			t.Fatalf("promote: %+v", r)
		}
		r := b.until(id, rollout.Succeeded)
		events := b.checkEvents()
		approved := 0
		for _, e := range events {
			if e.Kind == rollout.KindApproved && e.By == "ann" {
				approved++
			}
		}
		if approved != 1 {
			t.Errorf("%d approvals by ann; rollout %+v", approved, r)
		}
	})
}

func (b *bench) verb(verb string, c api.Command) api.Reply {
	b.t.Helper()
	return b.reply(bus.CommandSubject(verb, checkout), c)
}

func TestPauseResumeAbortRollback(t *testing.T) {
	inBubble(t, 3, func(b *bench) {
		b.install()
		held := `,"steps":[{"hosts":1,"weight":"10%","hold":"5m"},{"hosts":"100%","weight":"100%"}]`
		id := b.must(api.Trigger{ID: "2", Spec: specText("shop/checkout:2", held)})
		b.until(id, rollout.Progressing)
		for _, step := range []struct {
			verb string
			want rollout.Phase
		}{{api.Pause, rollout.Paused}, {api.Resume, rollout.Progressing}, {api.Abort, rollout.Aborted}} {
			if r := b.verb(step.verb, api.Command{By: "ann", Rollout: id}); !r.OK || r.Rollout != id {
				t.Fatalf("%s: %+v", step.verb, r)
			}
			b.until(id, step.want)
		}
		if r := b.verb(api.Abort, api.Command{}); r.OK || r.Code != rollout.CodePhase {
			t.Errorf("abort of nothing: %+v", r)
		}
		third := b.must(api.Trigger{ID: "3", Image: "shop/checkout:3"})
		b.until(third, rollout.Succeeded)
		back := b.verb(api.Rollback, api.Command{ID: "back", By: "ann"})
		again := b.verb(api.Rollback, api.Command{ID: "back", By: "ann"})
		if !back.OK || again.Rollout != back.Rollout {
			t.Fatalf("rollback: %+v, repeated %+v", back, again)
		}
		r := b.until(back.Rollout, rollout.Succeeded)
		if r.To.Version() != "1" {
			t.Errorf("rollback went to %s", r.To.Version())
		}
		if len(r.Spec.Steps) != 4 || r.Spec.Gates.Acting() {
			t.Errorf("cold containers get their traffic by %+v", r.Spec.Steps)
		}
		if svc := b.group.members["c1"].State().Services[checkout]; !svc.Spec.Gates.Acting() || len(svc.Spec.Steps) == 4 {
			t.Errorf("the next version would be rolled out by the return's own steps: %+v", svc.Spec.Steps)
		}
		if r := b.verb(api.Rollback, api.Command{}); r.OK || r.Code != rollout.CodeUnknown {
			t.Errorf("rollback before the first revision: %+v", r)
		}
	})
}

func TestFailoverGoesOn(t *testing.T) {
	inBubble(t, 3, func(b *bench) {
		b.install()
		id := b.must(api.Trigger{ID: "2", Image: "shop/checkout:2"})
		b.until(id, rollout.Progressing)
		b.group.isolate("c1") // it goes on believing that it leads
		b.group.elect("c2")
		b.lead("c2", 2)
		r := b.until(id, rollout.Succeeded, rollout.RolledBack)
		if r.Phase != rollout.Succeeded {
			t.Fatalf("ended %s: %s", r.Phase, r.Text)
		}
		if repeated := b.trigger(api.Trigger{ID: "2", Image: "shop/checkout:2"}); repeated.Rollout != id {
			t.Errorf("repeated trigger: %+v", repeated)
		}
		b.checkEvents()
		b.ends["c1"]()
	})
}

func TestDeposedLeaderRaisesNothing(t *testing.T) {
	inBubble(t, 2, func(b *bench) {
		b.install()
		b.group.isolate("c1")
		b.group.elect("c2")
		for _, a := range b.agents {
			a.mu.Lock()
			a.raisedBy = nil
			a.mu.Unlock()
		}
		b.lead("c2", 2)
		id := b.must(api.Trigger{ID: "2", Image: "shop/checkout:2"})
		b.until(id, rollout.Succeeded)
		for _, a := range b.agents {
			a.mu.Lock()
			for _, leader := range a.raisedBy {
				if leader != "c2" {
					t.Errorf("%s raised on the word of %s", a.name, leader)
				}
			}
			a.mu.Unlock()
		}
		b.checkEvents()
	})
}

// A rollout costs as many entries on 50 hosts as on 3.
func TestEntriesDoNotGrowWithHosts(t *testing.T) {
	lengths := map[int]int{}
	for _, n := range []int{3, 50} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			inBubble(t, n, func(b *bench) {
				b.install()
				before := len(b.group.log())
				b.until(b.must(api.Trigger{ID: "2", Image: "shop/checkout:2"}), rollout.Succeeded)
				lengths[n] = len(b.group.log()) - before
			})
		})
	}
	if lengths[3] != lengths[50] || lengths[3] != 6 {
		t.Errorf("entries by hosts: %v, want 6 for each", lengths)
	}
}

func TestRollingComparesHostsWithHosts(t *testing.T) {
	rolling := `,"strategy":"rolling","gates":{"errors":{"max_increase":"1%"}}`
	for image, want := range map[string]rollout.Phase{"shop/checkout:2": rollout.Succeeded, "shop/checkout:bad-2": rollout.RolledBack} {
		t.Run(strings.ReplaceAll(image, "/", "-"), func(t *testing.T) {
			inBubble(t, 4, func(b *bench) {
				b.install()
				id := b.must(api.Trigger{ID: "2", Spec: specText(image, rolling)})
				if r := b.until(id, rollout.Succeeded, rollout.RolledBack); r.Phase != want {
					t.Errorf("ended %s: %s", r.Phase, r.Text)
				}
			})
		})
	}
}

func TestBlueGreenComparesWithBaseline(t *testing.T) {
	green := `,"strategy":"bluegreen","gates":{"errors":{"max_increase":"1%"}},"steps":[{"hosts":"100%","weight":"0%","hold":"1m"},{"hosts":"100%","weight":"100%","hold":"5m"}]`
	for image, want := range map[string]rollout.Phase{"shop/checkout:2": rollout.Succeeded, "shop/checkout:bad-2": rollout.RolledBack} {
		t.Run(strings.ReplaceAll(image, "/", "-"), func(t *testing.T) {
			inBubble(t, 3, func(b *bench) {
				b.install()
				id := b.must(api.Trigger{ID: "2", Spec: specText(image, green)})
				r := b.until(id, rollout.Succeeded, rollout.RolledBack)
				if r.Phase != want || r.Baseline.Requests == 0 {
					t.Errorf("ended %s: %s; baseline %+v", r.Phase, r.Text, r.Baseline)
				}
			})
		})
	}
}

func TestPlanAndReads(t *testing.T) {
	inBubble(t, 3, func(b *bench) {
		b.install()
		plan, err := api.DecodeAnswer[api.Plan](b.request(bus.CommandSubject(api.PlanVerb, checkout), api.Trigger{Image: "shop/checkout:2"}))
		if err != nil || len(plan.Hosts) != 3 || len(plan.Path) != 3 || plan.From.Version != "1" || plan.To.Version != "2" || len(plan.Changes) != 1 {
			t.Errorf("plan: %v, %+v", err, plan)
		}
		if b.submissions() != 1 {
			t.Error("a plan has started something")
		}
		hosts, err := api.DecodeAnswer[[]api.HostStatus](b.request(bus.GetSubject(api.GetHosts, ""), ""))
		if err != nil || len(hosts) != 3 || !hosts[0].Live || hosts[0].Host != "web-01" || len(hosts[0].Services) != 1 {
			t.Errorf("hosts: %v, %+v", err, hosts)
		}
		cluster, err := api.DecodeAnswer[api.ClusterStatus](b.request(bus.GetSubject(api.GetCluster, ""), ""))
		if err != nil || cluster.Leader != "c1" || cluster.Hosts != 3 {
			t.Errorf("cluster: %v, %+v", err, cluster)
		}
		history, err := api.DecodeAnswer[api.History](b.request(bus.GetSubject(api.GetHistory, checkout), ""))
		if err != nil || len(history.Rollouts) != 1 || history.Rollouts[0].Phase != rollout.Succeeded {
			t.Errorf("history: %v, %+v", err, history)
		}
		if r := b.reply(bus.GetSubject("nonsense", ""), ""); r.OK || r.Code != rollout.CodeInvalid {
			t.Errorf("nonsense: %+v", r)
		}
		ctx, stop := context.WithTimeout(b.ctx, time.Minute)
		defer stop()
		state, err := b.conn.LastState(ctx, checkout)
		var status api.ServiceStatus
		if err == nil {
			err = json.Unmarshal(state.Data, &status)
		}
		if err != nil || status.Stable == nil || status.Stable.Version != "1" || status.Running {
			t.Errorf("last state: %v, %+v", err, status)
		}
	})
}

func TestBeatsComeFromAVerifiedLeaderOnly(t *testing.T) {
	inBubble(t, 1, func(b *bench) {
		var beats atomic.Int64
		if _, err := b.conn.Subscribe(bus.BeatSubject, func(bus.Msg) { beats.Add(1) }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(DefaultLease + time.Second) // between two beats
		synctest.Wait()
		if n := beats.Load(); n < beatsPerLease-1 || n > beatsPerLease+1 {
			t.Errorf("%d beats in one lease, want about %d", n, beatsPerLease)
		}
		b.group.isolate("c1")
		before := beats.Load()
		time.Sleep(10 * DefaultLease)
		if n := beats.Load() - before; n > 0 {
			t.Errorf("%d beats of a leader that is cut off", n)
		}
	})
}

func TestTriggerWaitsForALeader(t *testing.T) {
	inBubble(t, 2, func(b *bench) {
		b.ends["c1"]()
		synctest.Wait()
		for range 3 {
			trigger := encodeJSON(t, api.Trigger{ID: "1", Spec: specText("shop/checkout:1", ungated)})
			if err := b.conn.Publish(bus.TriggerSubject(checkout), trigger); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		b.group.elect("c2")
		b.lead("c2", 2)
		b.until("checkout-1", rollout.Succeeded)
		if n := b.submissions(); n != 1 {
			t.Errorf("%d rollouts were started by one trigger, published three times", n)
		}
	})
}

// Without its streams the bus still carries rollouts.
func TestRolloutWithoutJetStream(t *testing.T) {
	inBubble(t, 2, func(b *bench) {
		ctx, stop := context.WithTimeout(b.ctx, time.Minute)
		defer stop()
		if err := b.dropStreams(ctx); err != nil {
			t.Fatal(err)
		}
		b.install()
		b.group.mu.Lock()
		defer b.group.mu.Unlock()
		if waiting := uint64(len(b.group.state.Outbox)); waiting != b.group.state.EventSeq {
			t.Errorf("%d of %d events wait in the state", waiting, b.group.state.EventSeq)
		}
	})
}

// A trigger that is published and forgotten is not lost where no stream keeps
// it, if it has an id.
func TestPlainTriggerWithoutJetStream(t *testing.T) {
	inBubble(t, 2, func(b *bench) {
		ctx, stop := context.WithTimeout(b.ctx, time.Minute)
		defer stop()
		if err := b.dropStreams(ctx); err != nil {
			t.Fatal(err)
		}
		header := bus.Header{"Nats-Msg-Id": {"build-1"}}
		if err := b.conn.PublishHeader(bus.TriggerSubject(checkout), header, specText("shop/checkout:1", ungated)); err != nil {
			t.Fatal(err)
		}
		b.until("checkout-1", rollout.Succeeded)
	})
}

// dropStreams deletes the streams as an operator might.
func (b *bench) dropStreams(ctx context.Context) error {
	nc, err := nats.Connect("", nats.InProcessServer(b.server))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	for _, name := range []string{bus.TriggersStream, bus.EventsStream, bus.StateStream} {
		if err := js.DeleteStream(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
