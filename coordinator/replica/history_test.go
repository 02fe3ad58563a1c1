package replica

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"pgregory.net/rapid"

	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/statefile"
)

// Whatever the log holds, a replica that began with a snapshot taken anywhere
// in it ends with the same bytes as one that applied all of it.
func TestAnySnapshotAndTheRestAreTheWholeLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fail := func(err error) { t.Errorf("stopped: %v", err) }
		whole, restored := newMachine(rollout.LevelNewest, fail), newMachine(rollout.LevelNewest, fail)
		n := rapid.IntRange(1, 40).Draw(t, "entries")
		cut := rapid.IntRange(0, n-1).Draw(t, "snapshot at")
		for i := range n {
			if i == cut {
				data, err := statefile.Encode(whole.current.Load().state)
				if err != nil {
					t.Fatal(err)
				}
				if err := restored.Restore(io.NopCloser(strings.NewReader(string(data)))); err != nil {
					t.Fatal(err)
				}
			}
			data, err := encodeEntry(drawEntry(t, whole.current.Load().state))
			if err != nil {
				t.Fatal(err)
			}
			l := &raft.Log{Index: uint64(2*i + 2), Data: data}
			whole.Apply(l)
			if i >= cut {
				restored.Apply(l)
			}
		}
		one, err1 := statefile.Encode(whole.current.Load().state)
		other, err2 := statefile.Encode(restored.current.Load().state)
		if err1 != nil || err2 != nil || string(one) != string(other) {
			t.Fatalf("states differ (%v, %v):\n%s\n%s", err1, err2, one, other)
		}
	})
}

// drawEntry draws a command that may fit the state, or be stale.
func drawEntry(t *rapid.T, s *rollout.State) rollout.Entry {
	service := rapid.SampledFrom([]string{"checkout", "search"}).Draw(t, "service")
	target := rollout.Target{Service: service, Rollout: service + "-1", Epoch: rapid.Uint64Range(0, 80).Draw(t, "epoch")}
	if svc := s.Services[service]; svc != nil && svc.Active != nil && rapid.IntRange(0, 9).Draw(t, "stale") > 0 {
		target.Rollout, target.Epoch = svc.Active.ID, svc.Epoch
	}
	why := rollout.Why{Cause: rollout.CauseGate, Text: "because"}
	started := submit(service, rapid.StringMatching(`[0-9]{2}`).Draw(t, "key")).Command.(rollout.Submit)
	started.Replace = rapid.Bool().Draw(t, "replace")
	command := rapid.SampledFrom([]rollout.Command{
		started,
		rollout.Refuse{Key: started.Key, Service: service, Refusal: rollout.Refusal{Code: rollout.CodeImage, Message: "none"}},
		rollout.Advance{Target: target, Why: why},
		rollout.Approve{Target: target},
		rollout.Pause{Target: target, Why: why, Park: true},
		rollout.Resume{Target: target},
		rollout.Promote{Target: target, Why: why},
		rollout.RollBack{Target: target, Why: why},
		rollout.Abort{Target: target, Reason: "no"},
		rollout.Finish{Target: target, Lost: []string{"web-1"}, ZeroMillis: 12},
	}).Draw(t, "command")
	return rollout.Entry{
		Stamp: rollout.Stamp{
			At: time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "at")), Wall: 1, By: "c1",
			Confirmed: rapid.Uint64Range(0, s.EventSeq).Draw(t, "confirmed"),
		},
		Command: command,
	}
}
