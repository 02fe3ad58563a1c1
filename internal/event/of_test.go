package event_test

import (
	"testing"

	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/rollout"
)

func TestOfTellsARolloutsEvents(t *testing.T) {
	for name, x := range map[string]struct {
		event rollout.Event
		want  bool
		// concerns is what Concerns is to say.
		concerns bool
	}{
		"its own":           {rollout.Event{Kind: rollout.KindStep, Service: "a", Rollout: "a-7", Phase: rollout.Progressing}, true, true},
		"another's":         {rollout.Event{Kind: rollout.KindStep, Service: "a", Rollout: "a-6", Phase: rollout.Progressing}, false, false},
		"it was in the way": {rollout.Event{Kind: rollout.KindRefused, Service: "a", Rollout: "a-7"}, false, true},
		"it was the same":   {rollout.Event{Kind: rollout.KindUnchanged, Service: "a", Rollout: "a-7"}, false, true},
		"of a later kind":   {rollout.Event{Kind: "moonstruck", Service: "a", Rollout: "a-7", Phase: "Shining"}, true, true},
	} {
		if got := event.Of(x.event, "a-7"); got != x.want {
			t.Errorf("%s: %v, want %v", name, got, x.want)
		}
		if got := event.Concerns(x.event, "a-7"); got != x.concerns {
			t.Errorf("%s: concerns: %v, want %v", name, got, x.concerns)
		}
	}
}
