package fleettest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/trace/tracetest"
)

// sent is where in a trace a pipeline's trigger was sent.
const (
	pipeline = "4bf92f3577b34da6a3ce929d0e0e4736"
	job      = "00f067aa0ba902b7"
	sent     = "00-" + pipeline + "-" + job + "-01"
)

// untilTraced waits until the collector has the trace of a rollout that has ended,
// and what agents had still to send.
func (f *Fleet) untilTraced(c *tracetest.Collector, id string) {
	f.t.Helper()
	f.eventually("the trace of "+id, patience, func() bool {
		return slices.ContainsFunc(c.Find("rollout"), func(s tracetest.Span) bool { return s.Attributes["serin.rollout"] == id })
	})
	f.Sleep(10 * time.Second)
}

// one returns the only span of that name of a rollout.
func one(t *testing.T, c *tracetest.Collector, id, name string) tracetest.Span {
	t.Helper()
	all := map[string]tracetest.Span{} // a new leader may say one again
	for _, s := range c.Find(name) {
		if s.Attributes["serin.rollout"] == id && s.Program == "serin-coordinator" {
			if was, ok := all[s.ID]; ok && (was.Start != s.Start || was.End != s.End || was.Parent != s.Parent) {
				t.Errorf("%s of %s is told twice, differently:\n%+v\n%+v", name, id, was, s)
			}
			all[s.ID] = s
		}
	}
	if len(all) != 1 {
		t.Fatalf("%d spans are called %s in the trace of %s:\n%+v", len(all), name, id, c.Spans())
	}
	for _, s := range all {
		return s
	}
	panic("unreachable")
}

// below returns the operations of each host under a span.
func below(c *tracetest.Collector, parent tracetest.Span) map[string][]string {
	ops := map[string][]string{}
	for _, s := range c.Spans() {
		if s.Program == "serin-agent" && s.Trace == parent.Trace && s.Parent == parent.ID {
			ops[s.Attributes["host.name"]] = append(ops[s.Attributes["host.name"]], s.Name)
		}
	}
	return ops
}

// wantOps fails the test unless a host has done all of that under the span.
func wantOps(t *testing.T, c *tracetest.Collector, parent tracetest.Span, host string, want ...string) {
	t.Helper()
	got := below(c, parent)[host]
	for _, op := range want {
		if !slices.Contains(got, op) {
			t.Errorf("%s has done %v under %s, %s is missing", host, got, parent.Name, op)
		}
	}
}

// wave returns the hosts of one of the service's rollouts, in their order: more
// than one.
func wave(t *testing.T, f *Fleet, n int) []string {
	t.Helper()
	hosts := f.State().Services[Service].History[n].Hosts
	if len(hosts) < 2 {
		t.Fatalf("a rollout on %v shows little", hosts)
	}
	return hosts
}

// The trace of a rollout has a span for each step and for what each host did in it,
// over the death of the leader, below the trigger's own span.
func TestTraceOfARollout(t *testing.T) {
	var c tracetest.Collector
	Run(t, Options{Collector: &c}, func(f *Fleet) {
		f.Install("1", `,"steps":[{"hosts":1,"weight":"10%","hold":"30s"},{"hosts":"100%","weight":"100%","hold":"30s"}]`)
		f.Push("2", App{})
		id := f.Start(api.Trigger{ID: "go", Image: Image("2"), Trace: sent})
		f.UntilStep(id, 1)
		killed := f.KillLeader()
		f.UntilStep(id, 2)
		f.StartReplica(killed)
		f.Until(id, rollout.Succeeded)
		f.untilTraced(&c, id)

		root := one(t, &c, id, "rollout")
		if root.Trace != pipeline || root.Parent != job || root.Failed || root.Attributes["serin.outcome"] != "succeeded" {
			t.Errorf("the whole: %+v", root)
		}
		for _, name := range []string{"prepare", "step 1", "step 2", "promote"} {
			s := one(t, &c, id, name)
			if s.Trace != pipeline || s.Parent != root.ID || s.Failed || s.Start < root.Start || s.End > root.End || s.End < s.Start {
				t.Errorf("%s: %+v\nin %+v", name, s, root)
			}
		}
		first, second, promote := one(t, &c, id, "step 1"), one(t, &c, id, "step 2"), one(t, &c, id, "promote")
		if first.Attributes["serin.weight"] != "0.1" || first.Attributes["serin.wave"] != "1" || second.Attributes["serin.step"] != "2" {
			t.Errorf("attributes: %v, %v", first.Attributes, second.Attributes)
		}
		order := wave(t, f, 1)
		wantOps(t, &c, first, order[0], "create", "start", "prove", "attach", "share")
		wantOps(t, &c, second, order[0], "share")
		for _, host := range order[1:] {
			wantOps(t, &c, second, host, "create", "start", "prove", "attach", "share")
			if did := below(&c, first)[host]; slices.Contains(did, "create") {
				t.Errorf("%s is not in the first step, and did %v", host, did)
			}
		}
		for _, host := range order {
			wantOps(t, &c, promote, host, "promote", "stop", "remove")
			if !slices.ContainsFunc(c.Find("pull"), func(s tracetest.Span) bool { return s.Trace == pipeline && s.Attributes["host.name"] == host }) {
				t.Errorf("%s has not pulled", host)
			}
		}
	})
}

// A version that goes back has a trace that says why; one that nobody asked for
// within a trace has a trace of its own.
func TestTraceOfARollback(t *testing.T) {
	var c tracetest.Collector
	Run(t, Options{Collector: &c, Rate: 100}, func(f *Fleet) {
		first := f.Install("1", `,"steps":[{"hosts":"100%","weight":"25%","hold":"30s"},{"hosts":"100%","weight":"100%"}]`)
		f.Push("2", App{Errors: 500})
		id := f.Start(api.Trigger{ID: "go", Image: Image("2")})
		f.Until(id, rollout.RolledBack)
		f.untilTraced(&c, id)

		root, step, back := one(t, &c, id, "rollout"), one(t, &c, id, "step 1"), one(t, &c, id, "rollback")
		if root.Parent != "" || !root.Failed || !step.Failed || back.Failed || step.Parent != root.ID || back.Parent != root.ID {
			t.Errorf("the whole %+v\nits step %+v\nthe way back %+v", root, step, back)
		}
		if step.Attributes["serin.gate"] != "errors" || step.Attributes["serin.verdict"] != "fail" || step.Text == "" {
			t.Errorf("why: %v: %s", step.Attributes, step.Text)
		}
		for _, h := range wave(t, f, 1) {
			if did := below(&c, back)[h]; !slices.Contains(did, "lower") && !slices.Contains(did, "share") { // whoever came first
				t.Errorf("%s has not lowered its canary: %v", h, did)
			}
		}
		if other := one(t, &c, first, "rollout"); other.Trace == root.Trace {
			t.Errorf("%s and %s share the trace %s", first, id, root.Trace)
		}
	})
}

// What operators ask for within a trace of their own is a span there, and a rollout
// that comes of it is below that span.
func TestTraceOfCommands(t *testing.T) {
	var c tracetest.Collector
	Run(t, Options{Collector: &c}, func(f *Fleet) {
		f.Install("1", `,"steps":[{"hosts":1,"weight":"10%","hold":"30m"},{"hosts":"100%","weight":"100%"}]`)
		f.Push("2", App{})
		id := f.Start(api.Trigger{ID: "go", Image: Image("2")})
		f.UntilStep(id, 1)
		for _, verb := range []string{api.Pause, api.Resume} {
			if r := f.Command(verb, api.Command{Rollout: id, By: "ann", Trace: sent}); !r.OK {
				t.Fatalf("%s: %+v", verb, r)
			}
		}
		if r := f.Command(api.Resume, api.Command{Rollout: id, By: "ann", Trace: sent}); r.OK {
			t.Fatalf("resumed twice: %+v", r)
		}
		if r := f.Command(api.Promote, api.Command{Rollout: id, Full: true}); !r.OK { // nobody's trace
			t.Fatalf("promote: %+v", r)
		}
		f.Until(id, rollout.Succeeded)
		back := f.Command(api.Rollback, api.Command{ID: "back", By: "ann", Trace: sent})
		f.Until(back.Rollout, rollout.Succeeded)
		f.untilTraced(&c, back.Rollout)

		if root := one(t, &c, back.Rollout, "rollout"); root.Trace != pipeline || root.Parent != job {
			t.Errorf("the way back: %+v", root)
		}
		for name, want := range map[string]string{"command pause": "", "command resume": "cannot resume", "command rollback": "", "command promote": "none"} {
			all := c.Find(name)
			for _, s := range all {
				if s.Trace != pipeline || s.Parent != job || s.Attributes["serin.by"] != "ann" || s.Attributes["serin.service"] != Service || s.Attributes["serin.rollout"] == "" || s.End < s.Start {
					t.Errorf("%+v", s)
				}
			}
			refused := slices.ContainsFunc(all, func(s tracetest.Span) bool { return s.Failed && strings.HasPrefix(s.Text, want) })
			done := slices.ContainsFunc(all, func(s tracetest.Span) bool { return !s.Failed })
			if done != (want != "none") || refused != (want == "cannot resume") {
				t.Errorf("%s: %+v", name, all)
			}
		}
	})
}
