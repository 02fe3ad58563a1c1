package coordinator

import (
	"slices"
	"testing"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/trace"
	"github.com/serin-rollouts/serin/internal/trace/tracetest"
)

// Where a trigger was sent goes into the state only if somebody is to see it, and
// every replica can read it.
func TestTracesOfTriggers(t *testing.T) {
	const sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	x := trace.Open(t.Context(), trace.Config{
		Transport: &tracetest.Collector{}, Log: zerolog.Nop(),
		Env: func(name string) string { return map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}[name] },
	})
	defer func() {
		if err := x.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	on, svc := &tracing{exporter: x, source: "/serin/test"}, &rollout.Service{Active: &rollout.Rollout{ID: "shop-1", Trace: sent, Phase: rollout.Progressing, Step: 1}}
	for name, c := range map[string]struct {
		tracing *tracing
		sent    string
		level   int
		want    string
	}{
		"on":                  {on, sent, rollout.LevelTrace, sent},
		"not sent in a trace": {on, "", rollout.LevelTrace, ""},
		"nonsense":            {on, "nonsense", rollout.LevelTrace, ""},
		"earlier release":     {on, sent, rollout.LevelRenew, ""},
		"off":                 {&tracing{}, sent, rollout.LevelTrace, ""},
		"nobody":              {nil, sent, rollout.LevelTrace, ""},
	} {
		if got := c.tracing.Sent(c.sent, c.level); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		off := c.tracing == nil || !c.tracing.exporter.On()
		place := c.tracing.of(svc)
		if off != (place == "") || c.tracing.of(&rollout.Service{}) != "" {
			t.Errorf("%s: the rollout is at %q", name, place)
		}
		if got := c.tracing.header(place); off && got != nil || !off && !slices.Equal(got[bus.TraceHeader], []string{place}) {
			t.Errorf("%s: header %v", name, got)
		}
	}
	if got, want := on.of(svc), trace.Of("/serin/test", *svc.Active).At(rollout.Progressing, 2).String(); got != want {
		t.Errorf("the rollout is at %s, want %s", got, want)
	}
}
