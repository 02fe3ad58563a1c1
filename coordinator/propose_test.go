package coordinator

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestDecisionsAreLogged: a line for each event says which gate came to what,
// and why, in fields of their own.
func TestDecisionsAreLogged(t *testing.T) {
	var out bytes.Buffer
	log := zerolog.New(&out)
	bad := rollout.Event{
		Index: 9, Kind: rollout.KindRollingBack, Service: "checkout", Rollout: "checkout-7", By: "serin", Text: "rolling back",
		Verdict: &analysis.Verdict{Outcome: analysis.Fail, Gate: "latency-p99", Reason: "p99 300 ms on canary"},
	}
	released := rollout.Event{Index: 10, Kind: rollout.KindReleased, Service: "checkout", Host: "web-02", By: "ann", Text: "web-02 follows"}
	for _, e := range []rollout.Event{bad, released} {
		logged(log.Info(), e).Msg(e.Text)
	}
	want := []map[string]any{
		{
			"level": "info", "service": "checkout", "rollout": "checkout-7", "epoch": 9.0, "kind": "rollingback", "by": "serin", "message": "rolling back",
			"outcome": "fail", "gate": "latency-p99", "reason": "p99 300 ms on canary",
		},
		{"level": "info", "service": "checkout", "rollout": "", "epoch": 10.0, "kind": "released", "by": "ann", "message": "web-02 follows", "host": "web-02"},
	}
	lines := json.NewDecoder(&out)
	for i := range want {
		var got map[string]any
		if err := lines.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[i], got); diff != "" {
			t.Errorf("line %d (-want +got):\n%s", i+1, diff)
		}
	}
}
