package control

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

func TestFreezesAreProposed(t *testing.T) {
	for _, c := range []struct {
		verb    string
		level   int
		command api.Command
		want    rollout.Command
		code    rollout.Code
	}{
		{api.Freezing, rollout.LevelFreeze, api.Command{By: "ann", Reason: "release week", For: 90_000}, rollout.Freeze{Service: "checkout", For: 90 * time.Second, Reason: "release week"}, ""},
		{api.Freezing, rollout.LevelFreeze, api.Command{}, rollout.Freeze{Service: "checkout"}, ""},
		{api.Freezing, rollout.LevelFreeze, api.Command{For: -1}, nil, rollout.CodeInvalid},
		{api.Freezing, rollout.LevelFreeze, api.Command{For: 1 << 60}, nil, rollout.CodeInvalid},
		{api.Freezing, rollout.LevelIfNew, api.Command{}, nil, rollout.CodeBusy},
		{api.Thawing, rollout.LevelFreeze, api.Command{By: "ann", Reason: "found it"}, rollout.Thaw{Service: "checkout", Reason: "by ann: found it"}, ""},
		{api.Thawing, rollout.LevelIfNew, api.Command{}, nil, rollout.CodeBusy},
	} {
		leader := &clerk{state: holding()}
		leader.state.Level = c.level
		result, err := (&server{Config: Config{Leader: leader}}).verb(t.Context(), c.verb, "checkout", c.command)
		if err != nil {
			t.Fatal(err)
		}
		var want []rollout.Command
		if c.want != nil {
			want = append(want, c.want)
		}
		if diff := cmp.Diff(want, leader.proposed); diff != "" {
			t.Errorf("%s %+v: %s", c.verb, c.command, diff)
		}
		if (result.Refused == nil) != (c.code == "") || result.Refused != nil && result.Refused.Code != c.code {
			t.Errorf("%s %+v is refused as %+v, want %q", c.verb, c.command, result.Refused, c.code)
		}
	}
}

// TestFreezesAreShown: with what the leader's clocks say of their ends; where nobody
// knows these, not at all.
func TestFreezesAreShown(t *testing.T) {
	s := holding()
	s.Frozen = map[string]rollout.Frozen{
		"checkout":    {Service: "checkout", By: "bob", Since: 1},
		rollout.Fleet: {Service: rollout.Fleet, By: "ann", Reason: "release week", Since: 2, Until: time.Hour},
	}
	const wall = 1_700_000_000_000
	now := View{Now: 59 * time.Minute, Wall: wall}
	want := []api.Freeze{
		{Service: "checkout", By: "bob", Since: 1},
		{Service: rollout.Fleet, By: "ann", Reason: "release week", Since: 2, Until: wall + 60_000},
	}
	if diff := cmp.Diff(want, ServiceStatus(s, "checkout", now).Frozen); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[:1], ServiceStatus(s, "checkout", View{Now: time.Hour, Wall: wall}).Frozen); diff != "" {
		t.Errorf("when one is over: %s", diff)
	}
	if got := ServiceStatus(s, "checkout", View{}).Frozen; got != nil {
		t.Errorf("without clocks: %+v", got)
	}
}
