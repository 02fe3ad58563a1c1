package analysis

import "testing"

// One is one request, and more are requests.
func TestReasonsCount(t *testing.T) {
	for want, c := range map[string]struct {
		needed, least int64
	}{
		"undecided; about 1 more canary request needed":    {1, 0},
		"undecided; about 2 more canary requests needed":   {2, 0},
		"undecided; about 340 more canary requests needed": {338, 0},
		"undecided; needs 1 canary request at least":       {0, 1},
		"undecided; needs 100 canary requests at least":    {0, 100},
	} {
		if got := (scores{safeLimit: 1}).claim(Finding{Needed: c.needed}, c.least, false); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
