package api

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

func TestRatio(t *testing.T) {
	for thousandths, want := range map[int64]string{
		10: "0.01 or less", 250: "0.25", 994: "0.99", 996: "1.0", 5000: "5.0", 9949: "9.9", 9950: "10", 20_400: "20", 1_000_000: "1000 or more",
	} {
		if got := ratio(thousandths); got != want {
			t.Errorf("%d: %s, want %s", thousandths, got, want)
		}
	}
}

// TestNumbersAddToTheSentence: what the text of an event says is not said again, and
// what it does not say is not lost.
func TestNumbersAddToTheSentence(t *testing.T) {
	f := analysis.Finding{
		Gate: "errors", Outcome: analysis.Fail, Canary: analysis.Counts{Requests: 2468, Errors: 57}, Stable: analysis.Counts{Requests: 24630, Errors: 101},
		MaxIncrease: 50, Odds: 5000, OddsLow: 2000, OddsHigh: 20_000, Worse: 20_000, Beyond: 9393, FailLimit: 5298, Safe: -100, SafeLimit: 2996, Host: "web-02",
		Reason: "5xx 2.31% on canary, 0.41% on stable; allowed +0.50 points; canary is beyond that",
	}
	waits, queue := f, analysis.Finding{Gate: "queue", Reason: "queue holds: canary.queue 3"}
	waits.Outcome, waits.Beyond, waits.Reason = analysis.Wait, 0, "5xx 0.41% on canary; undecided; about 1 more canary request needed"
	for name, x := range map[string]struct {
		text     string
		findings []analysis.Finding
		want     []string
	}{
		"said":     {"rolling back: " + f.Reason, []analysis.Finding{f}, []string{"errors: odds 5.0 (2.0 to 20); allowed +0.5 points; beyond: 1 in 12000; from web-02"}},
		"unsaid":   {"rolling back", []analysis.Finding{f}, []string{"errors: 5xx 2.31% on canary, 0.41% on stable; odds 5.0 (2.0 to 20); allowed +0.5 points; beyond: 1 in 12000; from web-02"}},
		"waits":    {"", []analysis.Finding{waits}, []string{"errors: " + waits.Reason + "; odds 5.0 (2.0 to 20)"}},
		"overdue":  {"the deadline passed: waits for evidence: " + waits.Reason, []analysis.Finding{waits}, []string{"errors: odds 5.0 (2.0 to 20)"}},
		"rule":     {"", []analysis.Finding{queue}, []string{"queue: queue holds: canary.queue 3"}},
		"its word": {"step 2 of 2: queue holds: canary.queue 3", []analysis.Finding{queue}, nil},
	} {
		got := NumbersOf(rollout.Event{Text: x.text, Verdict: &analysis.Verdict{Findings: x.findings}}, false)
		if diff := cmp.Diff(x.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	died := rollout.Event{Text: "rolling back: canary containers died on web-01, web-02: exit code 1", Blame: []string{"web-01", "web-02"}, Lost: []string{"web-09"}}
	if got := NumbersOf(died, false); !slices.Equal(got, []string{"not followed yet: web-09"}) {
		t.Errorf("%q", got)
	}
}
