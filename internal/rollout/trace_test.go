package rollout_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestTraceIsKept: where a trigger was sent stays with its rollout, also one that
// waits for another to go; without it nothing stands in the state that an earlier
// release could not read.
func TestTraceIsKept(t *testing.T) {
	spec := rollout.Spec{Service: "web", Steps: []rollout.Step{{Hosts: rollout.HostCount{Share: rollout.Full}, Weight: rollout.Full}}}
	for _, trace := range []string{"", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"} {
		s := rollout.NewState()
		apply := func(c rollout.Command) {
			t.Helper()
			if r := s.Apply(s.Index+1, rollout.Entry{Command: c}); r.Refused != nil {
				t.Fatal(r.Refused)
			}
		}
		second := rollout.Submit{Spec: spec, Hosts: []string{"a"}, Replace: true, Trace: trace}
		if needs := rollout.Needs(second); (needs == rollout.LevelTrace) != (trace != "") {
			t.Errorf("with %q it needs level %d", trace, needs)
		}
		apply(rollout.Submit{Spec: spec, Hosts: []string{"a"}})
		apply(second)
		apply(rollout.Finish{Target: rollout.Target{Service: "web", Rollout: "web-1", Epoch: s.Services["web"].Epoch}})
		if got := s.Services["web"].Active; got.ID != "web-2" || got.Trace != trace {
			t.Errorf("%s has %q, want %q", got.ID, got.Trace, trace)
		}
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(data), "trace"); got != (trace != "") {
			t.Errorf("with %q: %s", trace, data)
		}
	}
}
