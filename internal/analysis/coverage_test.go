package analysis

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestCoverageOfUnevenWindows: lines that come a moment before or after the count of their requests
// are there all the same, whatever the traffic does.
func TestCoverageOfUnevenWindows(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		late, early := coverage{}, coverage{}
		owed := rng.Int64N(20)
		late = late.after(1000, 1000-owed)
		early = early.after(1000-owed, 1000)
		for range 50 {
			second := rng.Int64N(40) // what one side counts in the next window
			requests := 60 + rng.Int64N(80)
			late = late.after(requests+second, requests+owed)
			early = early.after(requests+owed, requests+second)
			owed = second
			for _, c := range []coverage{late, early} {
				// 40 of the 240 requests and more that four windows have.
				if c.x < .85*c.n || c.x > 1.15*c.n {
					t.Fatalf("seed %d: %+v: %.0f %%", seed, c, 100*c.x/c.n)
				}
			}
		}
		late, early = late.after(100, 100+owed), early.after(100+owed, 100)
		for _, c := range []coverage{late, early} {
			if math.Abs(c.x-c.n) > 1e-6 {
				t.Fatalf("seed %d: all told in the end, and %+v", seed, c)
			}
		}
	}
}

// TestCoverageOfLostLines: what is lost is seen, and a surplus long before or after does not hide it.
func TestCoverageOfLostLines(t *testing.T) {
	var c coverage
	for range 30 {
		c = c.after(100, 200) // somebody writes lines
	}
	if c.x > c.n {
		t.Errorf("more lines than requests: %+v", c)
	}
	for range 8 {
		c = c.after(100, 75)
	}
	if got := c.x / c.n; got < .7 || got > .85 {
		t.Errorf("a quarter is lost: %.0f %%", 100*got)
	}
	for range 4 {
		c = c.after(100, 100)
	}
	if got := c.x / c.n; got > .95 {
		t.Errorf("told again, but not of what was lost a moment ago: %.0f %%", 100*got)
	}
	for range 20 {
		c = c.after(100, 100)
	}
	if !c.enough() {
		t.Errorf("told again for a while: %+v", c)
	}
}

// TestCoverageOfATrackThatEnds: the last requests of stable are not held against it for ever.
func TestCoverageOfATrackThatEnds(t *testing.T) {
	c := coverage{}.after(100, 100).after(100, 60)
	if c.enough() {
		t.Fatalf("%+v", c)
	}
	for range 20 {
		c = c.after(0, 0)
	}
	if c != (coverage{}) {
		t.Errorf("20 windows without requests, and of those before count %+v", c)
	}
}
