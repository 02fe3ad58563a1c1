package analysis

import (
	"testing"

	"pgregory.net/rapid"
)

// However often evidence begins anew, its parts of alpha come to alpha at most, and to a millionth
// for each time beyond those that the reserve is enough for.
func TestAttemptsKeepAlpha(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alpha := rapid.IntRange(10, 500_000).Draw(t, "alpha")
		sum, last := 0, alpha
		for n := range rapid.IntRange(1, 200).Draw(t, "attempts") {
			part := Gates{Alpha: alpha}.Attempt(n).Alpha
			if part < 1 || part > last {
				t.Fatalf("part %d is %d after %d", n, part, last)
			}
			if last = part; part > 1 {
				sum += part
			}
		}
		if sum > alpha {
			t.Fatalf("the parts of %d come to %d", alpha, sum)
		}
	})
	if part := (Gates{}).Attempt(0).Alpha; part != 9_000 {
		t.Errorf("of the default the first evidence has %d, want 9000", part)
	}
}
