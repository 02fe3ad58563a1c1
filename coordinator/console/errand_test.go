package console

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/trace"
	"github.com/serin-rollouts/serin/internal/trace/tracetest"
)

// A command goes to the leader below a span of the console's, in the trace of the
// request or in one that it begins.
func TestCommandsAreTraced(t *testing.T) {
	const theirs, page = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for name, c := range map[string]struct {
		off     bool // no traces are made
		sent    string
		answer  string
		place   string // in front of what the leader is told; "new": of a trace that the console begins
		parent  string
		exports bool
		refused string
	}{
		"begins":         {answer: `{"ok":true,"rollout":"shop-2"}`, place: "new", exports: true},
		"continues":      {sent: "00-" + theirs + "-" + page + "-01", answer: `{"ok":true,"rollout":"shop-2"}`, place: theirs, parent: page, exports: true},
		"is refused":     {answer: `{"ok":false,"code":"phase","message":"it is over"}`, place: "new", exports: true, refused: "it is over"},
		"not sampled":    {sent: "00-" + theirs + "-" + page + "-00", answer: `{"ok":true}`, place: theirs},
		"nonsense":       {sent: "00-nonsense", answer: `{"ok":true}`, place: "new", exports: true},
		"off, hands on":  {off: true, sent: "00-" + theirs + "-" + page + "-01", answer: `{"ok":true}`, place: theirs + "-" + page},
		"off, says none": {off: true, answer: `{"ok":true}`},
	} {
		t.Run(name, func(t *testing.T) {
			var collected tracetest.Collector
			cfg := Config{Operate: true}
			if !c.off {
				cfg.Traces = trace.Open(t.Context(), trace.Config{Program: "serin-coordinator", Transport: &collected, Env: func(name string) string {
					return map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}[name]
				}})
			}
			s := serve(t, cfg)
			s.bus.answer("serin.v1.cmd.abort.shop", c.answer)
			head := map[string]string{}
			if c.sent != "" {
				head["traceparent"] = c.sent
			}
			s.ask(http.MethodPost, "/api/v1/services/shop/"+api.Abort, `{"rollout":"shop-2","reason":"x"}`, head)
			s.stop()
			if err := cfg.Traces.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			told, known := trace.Parse(strings.Join(s.bus.places, " "))
			switch {
			case known != (c.place != ""):
				t.Errorf("the leader is told %q", s.bus.places)
			case c.place != "new" && !strings.Contains(told.String(), c.place):
				t.Errorf("the leader is told %s, not of %s", told, c.place)
			}
			spans := collected.Find("console abort")
			if !c.exports {
				if len(spans) > 0 {
					t.Errorf("%+v", spans)
				}
				return
			}
			k := slices.IndexFunc(spans, func(s tracetest.Span) bool { return strings.Contains(told.String(), s.Trace+"-"+s.ID) })
			if len(spans) != 1 || k < 0 {
				t.Fatalf("%+v; the leader is told %s", spans, told)
			}
			one := spans[k]
			if one.Parent != c.parent || one.Failed != (c.refused != "") || one.Text != c.refused || one.Attributes["serin.by"] != anybody || one.Attributes["serin.rollout"] != "shop-2" {
				t.Errorf("%+v", one)
			}
		})
	}
}
