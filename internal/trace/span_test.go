package trace_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/trace"
)

const sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// course is a rollout that goes through some commands, one a second by the wall.
type course struct {
	t      *testing.T
	state  *rollout.State
	events []rollout.Event
	places []trace.Context // as the state has them, after each command
}

func newCourse(t *testing.T, submit rollout.Submit) *course {
	t.Helper()
	c := &course{t: t, state: rollout.NewState()}
	c.apply(rollout.Raise{Level: rollout.LevelNewest})
	c.state.Services["web"] = &rollout.Service{Name: "web", Stable: &rollout.Revision{ID: "r1", Name: "1"}}
	submit.Hosts, submit.To = []string{"a", "b", "c"}, rollout.Revision{ID: "r2", Name: "2", Image: "web@sha256:2"}
	submit.Spec = rollout.Spec{Service: "web", Steps: []rollout.Step{
		{Hosts: rollout.HostCount{Count: 1}, Weight: 500}, {Hosts: rollout.HostCount{Share: rollout.Full}, Weight: rollout.Full},
	}}
	c.apply(submit)
	return c
}

func (c *course) target() rollout.Target {
	return rollout.Target{Service: "web", Rollout: "web-1", Epoch: c.state.Services["web"].Epoch}
}

func (c *course) apply(command rollout.Command) {
	c.t.Helper()
	index := c.state.Index + 1
	r := c.state.Apply(index, rollout.Entry{Stamp: rollout.Stamp{At: time.Duration(index) * time.Second, Wall: int64(index) * 1000, By: "serin"}, Command: command})
	if r.Refused != nil {
		c.t.Fatalf("%T: %v", command, r.Refused)
	}
	c.events = append(c.events, r.Events...)
	if found, ok := c.state.Find("web-1"); ok {
		c.places = append(c.places, trace.Of("/serin/test", found).At(found.Phase, found.Step+1))
	}
}

func (c *course) spans() []trace.Span {
	r, _ := c.state.Find("web-1")
	return trace.Of("/serin/test", r).Spans(c.events)
}

// brief is what the tests compare of spans.
type brief struct {
	Name       string
	Start, End int64 // seconds
	Outcome    trace.Outcome
	Notes      []string
}

func briefs(spans []trace.Span) []brief {
	var all []brief
	for _, s := range spans {
		b := brief{Name: s.Name, Start: s.Start / 1e6, End: s.End / 1e6, Outcome: s.Outcome}
		for _, n := range s.Notes {
			b.Notes = append(b.Notes, n.Name)
		}
		all = append(all, b)
	}
	return all
}

func attribute(s trace.Span, key string) any {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value
		}
	}
	return nil
}

func TestSpansOfASuccess(t *testing.T) {
	c := newCourse(t, rollout.Submit{Trace: sent})
	c.apply(rollout.Advance{Target: c.target()})
	c.apply(rollout.Pause{Target: c.target(), Why: rollout.Why{Cause: rollout.CauseApproval}})
	c.apply(rollout.Resume{Target: c.target()})
	c.apply(rollout.Exclude{Target: c.target(), Host: "b"})
	c.apply(rollout.Advance{Target: c.target(), Why: rollout.Why{Verdict: &analysis.Verdict{Outcome: analysis.Pass, Canary: analysis.Counts{Requests: 70, Errors: 1}}}})
	c.apply(rollout.Promote{Target: c.target()})
	c.apply(rollout.Finish{Target: c.target()})
	spans := c.spans()
	want := []brief{
		{"prepare", 2, 3, trace.Done, nil},
		{"step 1", 3, 7, trace.Done, []string{"paused", "resumed", "excluded"}},
		{"step 2", 7, 8, trace.Done, nil},
		{"promote", 8, 9, trace.Done, nil},
		{"rollout", 2, 9, trace.Done, nil},
	}
	if diff := cmp.Diff(want, briefs(spans)); diff != "" {
		t.Error(diff)
	}
	root := spans[4]
	if parent, _ := trace.Parse(sent); root.Parent != parent || root.At.Trace != parent.Trace {
		t.Errorf("the whole stands at %v below %v", root.At, root.Parent)
	}
	for _, s := range spans[:4] {
		if s.Parent != root.At || s.At.Trace != root.At.Trace || !slices.Contains(c.places, s.At) {
			t.Errorf("%s stands at %v below %v; the state had places %v", s.Name, s.At, s.Parent, c.places)
		}
	}
	for key, want := range map[string]any{"serin.step": int64(1), "serin.weight": 0.05, "serin.wave": int64(1), "serin.verdict": "pass", "serin.canary.requests": int64(70)} {
		if got := attribute(spans[1], key); got != want {
			t.Errorf("%s of step 1 is %v, want %v", key, got, want)
		}
	}
	if got := attribute(root, "serin.outcome"); got != "succeeded" {
		t.Errorf("outcome: %v", got)
	}
}

func TestSpansOfAReturn(t *testing.T) {
	failed := rollout.Why{Cause: rollout.CauseGate, Text: "5xx", Verdict: &analysis.Verdict{Outcome: analysis.Fail, Gate: "errors"}}
	for name, x := range map[string]struct {
		back  func(rollout.Target) rollout.Command
		step  trace.Outcome
		whole trace.Outcome
		says  string
	}{
		"serin":  {func(t rollout.Target) rollout.Command { return rollout.RollBack{Target: t, Why: failed} }, trace.Failed, trace.Failed, "rolledback"},
		"person": {func(t rollout.Target) rollout.Command { return rollout.Abort{Target: t, Reason: "no"} }, trace.Unset, trace.Unset, "aborted"},
	} {
		c := newCourse(t, rollout.Submit{})
		c.apply(rollout.Advance{Target: c.target()})
		c.apply(x.back(c.target()))
		c.apply(rollout.Finish{Target: c.target(), ZeroMillis: 1500})
		spans := c.spans()
		want := []brief{
			{"prepare", 2, 3, trace.Done, nil}, {"step 1", 3, 4, x.step, nil}, {"rollback", 4, 5, trace.Done, nil}, {"rollout", 2, 5, x.whole, nil},
		}
		if diff := cmp.Diff(want, briefs(spans)); diff != "" {
			t.Fatalf("%s: %s", name, diff)
		}
		if root := spans[3]; root.Parent.Valid() || attribute(root, "serin.outcome") != x.says || attribute(root, "serin.rollback.seconds") != 1.5 {
			t.Errorf("%s: %+v", name, root)
		}
		if gate := attribute(spans[1], "serin.gate"); x.step == trace.Failed && gate != "errors" {
			t.Errorf("%s: gate %v", name, gate)
		}
	}
}

// Whoever makes the spans of the same events makes the same; more events add to
// them. Spans of different rollouts have different ids.
func TestSpansOnlyGrow(t *testing.T) {
	c := newCourse(t, rollout.Submit{})
	c.apply(rollout.Advance{Target: c.target()})
	c.apply(rollout.Advance{Target: c.target()})
	c.apply(rollout.Promote{Target: c.target()})
	c.apply(rollout.Finish{Target: c.target()})
	r, _ := c.state.Find("web-1")
	scope, all := trace.Of("/serin/test", r), c.spans()
	for n := range c.events {
		some := scope.Spans(c.events[:n])
		if diff := cmp.Diff(all[:len(some)], some, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("after %d events: %s", n, diff)
		}
	}
	ids := map[[8]byte]bool{}
	others := []rollout.Rollout{r, {ID: "web-2", Started: r.Started}, {ID: "web-1", Started: r.Started + 1}, {ID: "web-1", Started: r.Started, Trace: sent}}
	for i, other := range others {
		at := trace.Of("/serin/test", other).At(rollout.Preparing, 1)
		if ids[at.Span] && i < 3 {
			t.Errorf("rollout %d has the span of another", i)
		}
		ids[at.Span] = true
	}
	if one, two := trace.Of("/serin/test", r).Root(), trace.Of("/serin/other", r).Root(); one.Trace == two.Trace || one.Span == two.Span {
		t.Error("two coordinators share a trace")
	}
}

// The reference knows every attribute.
func TestReference(t *testing.T) {
	page, err := os.ReadFile("../../docs/traces.md")
	if err != nil {
		t.Fatal(err)
	}
	c := newCourse(t, rollout.Submit{})
	c.apply(rollout.Advance{Target: c.target()})
	c.apply(rollout.Exclude{Target: c.target(), Host: "b"})
	c.apply(rollout.RollBack{Target: c.target(), Why: rollout.Why{Cause: rollout.CauseGate, Text: "5xx", Verdict: &analysis.Verdict{Outcome: analysis.Fail, Gate: "errors"}}})
	c.apply(rollout.Finish{Target: c.target(), ZeroMillis: 1500})
	op := trace.Op{Name: "pull", Text: "pull x", Host: "a", Service: "web", Rollout: "web-1", Tries: 1}
	for _, s := range append(c.spans(), op.Span()) {
		attributes := s.Attributes
		for _, n := range s.Notes {
			attributes = append(attributes, n.Attributes...)
		}
		for _, a := range attributes {
			if !strings.Contains(string(page), "`"+a.Key+"`") {
				t.Errorf("%s of %s is not in docs/traces.md", a.Key, s.Name)
			}
		}
		if !strings.Contains(string(page), "`"+s.Name+"`") {
			t.Errorf("%s is not in docs/traces.md", s.Name)
		}
	}
}
