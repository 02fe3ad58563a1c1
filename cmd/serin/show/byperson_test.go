package show

import (
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// A step that a person took past the evidence says who did, and why.
func TestStepByAPerson(t *testing.T) {
	e := rollout.Event{Kind: rollout.KindStep, Step: 2, Steps: 2, Hosts: 3, Fleet: 3, Weight: rollout.Full, From: "1", Text: "step 2 of 2: 100% on 3 of 3 hosts: by ann: go on"}
	if got := (Options{}).eventText(e); !strings.HasSuffix(got, "on 3 of 3 hosts  by ann: go on") {
		t.Errorf("%q", got)
	}
	e.Verdict = &analysis.Verdict{}
	e.Text = "step 2 of 2: 100% on 3 of 3 hosts: 5xx 0.00% on canary"
	if got := (Options{}).eventText(e); strings.Contains(got, "by") {
		t.Errorf("%q", got)
	}
}
