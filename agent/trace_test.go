package agent

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/trace"
	"github.com/serin-rollouts/serin/internal/trace/tracetest"
)

func place(n byte) trace.Context {
	return trace.Context{Trace: [16]byte{15: 1}, Span: [8]byte{7: n}, Sampled: true}
}

// The last two epochs are remembered, and nothing older pushes them out.
func TestPlaces(t *testing.T) {
	var p places
	p.learn(5, place(5))
	p.learn(7, place(7))
	p.learn(4, place(4))
	if p.of(5) != place(5) || p.of(7) != place(7) || p.of(4).Valid() {
		t.Errorf("%v", p)
	}
	p.learn(9, place(9))
	p.learn(9, place(10))
	if p.of(5).Valid() || p.of(7) != place(7) || p.of(9) != place(10) {
		t.Errorf("%v", p)
	}
}

func TestPlacesInAHeader(t *testing.T) {
	all := []rollout.Assignment{{Service: "a", Rollout: "a-1"}, {Service: "b"}, {Service: "c", Rollout: "c-1"}, {Service: "d", Rollout: "d-1"}}
	header := bus.Header{bus.TraceHeader: {place(1).String(), "nonsense", place(3).String()}}
	found := placesIn(header, all)
	if len(found) != 2 || found["a"] != place(1) || found["d"] != place(3) {
		t.Errorf("%v", found)
	}
	if found := placesIn(header, append(all, rollout.Assignment{Service: "e", Rollout: "e-1"})); len(found) != 0 {
		t.Errorf("one place is missing: %v", found)
	}
	if found := placesIn(nil, all); len(found) != 0 {
		t.Errorf("no header: %v", found)
	}
}

// Tries at one operation are one span, below the place of the assignment; what is
// done for no rollout, or for one that has no trace, is none.
func TestOperationsAreSpans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c tracetest.Collector
		x := trace.Open(t.Context(), trace.Config{
			Transport: &c, Program: "serin-agent", Log: zerolog.Nop(),
			Env: func(name string) string { return map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}[name] },
		})
		s := loneService(outside{traces: x})
		a, _ := s.current()
		a.Rollout = "shop-7"
		do := func(op plan.Op, err error, leftOff bool) {
			account := s.begin(a, op)
			time.Sleep(time.Second)
			s.did(account, err, leftOff)
		}
		do(plan.Pull{Image: "before"}, nil, false) // no place is known
		s.learn(a.Epoch, place(1))
		do(plan.Pull{Image: "x"}, errors.New("no route"), false)
		do(plan.Pull{Image: "x"}, errors.New("no such image"), false)
		do(plan.Prove{}, errNotReady, false)
		do(plan.Drain{Slot: "a1"}, errors.New("interrupted"), true)
		s.lowered(time.Now(), 500)
		s.tellOp()
		s.tellOp()
		if err := x.Close(t.Context()); err != nil {
			t.Error(err)
		}
		spans := c.Spans()
		if len(spans) != 4 {
			t.Fatalf("%d spans: %+v", len(spans), spans)
		}
		for i, want := range []struct {
			name, tries string
			took        time.Duration
			failed      bool
		}{{"pull", "2", 2 * time.Second, true}, {"prove", "1", time.Second, false}, {"lower", "1", 0, false}, {"drain", "1", time.Second, false}} {
			got := spans[i]
			if got.Name != want.name || got.Attributes["serin.tries"] != want.tries || got.Failed != want.failed ||
				time.Duration(got.End-got.Start) != want.took || got.Parent != "0000000000000001" || got.Attributes["host.name"] != host {
				t.Errorf("%+v, want %+v", got, want)
			}
		}
		if spans[0].Text != "no such image" || spans[0].Attributes["serin.text"] != "pull x" || spans[0].Attributes["serin.epoch"] != "6" {
			t.Errorf("%+v", spans[0])
		}
	})
}
