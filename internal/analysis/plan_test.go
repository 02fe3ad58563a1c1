package analysis

import "testing"

// TestPlan: the floor stands in for a forecast that is below it, not for one that there is not.
func TestPlan(t *testing.T) {
	for name, c := range map[string]struct {
		config      Config
		stable      Counts
		least, most int64
	}{
		"no errors":                     {Config{MaxIncrease: 100, MinRequests: 100}, Counts{100_000, 0}, 400, 600},
		"the floor is higher":           {Config{MaxIncrease: 100, MinRequests: 5000}, Counts{100_000, 0}, 5000, 5000},
		"more errors than can be told":  {Config{MaxIncrease: 50, MinRequests: 100}, Counts{100_000, 5000}, 0, 0},
		"the same, with more allowance": {Config{MaxIncrease: 200, MinRequests: 100}, Counts{100_000, 5000}, 1000, 2500},
	} {
		t.Run(name, func(t *testing.T) {
			if n := Plan(c.config, c.stable, 5); n < c.least || n > c.most {
				t.Errorf("%d canary requests planned, want %d to %d", n, c.least, c.most)
			}
		})
	}
}
