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

// TestFinds: the forecast is near what simulated fleets take in the median, see docs/statistics.md.
func TestFinds(t *testing.T) {
	for name, c := range map[string]struct {
		allowed          int
		stable, increase float64
		share            float64
		least, most      int64
	}{
		"gross, nothing allowed":      {NoIncrease, .001, .049, .05, 60, 180},
		"gross, half of the traffic":  {NoIncrease, .001, .049, .5, 120, 350},
		"gross, half a point allowed": {50, .001, .049, .05, 90, 260},
		"small, nothing allowed":      {NoIncrease, .001, .009, .05, 450, 1300},
		"small, half a point allowed": {50, .001, .009, .05, 5000, 16000},
		"what is allowed":             {50, .001, .005, .05, 0, 0},
		"less":                        {50, .001, .004, .05, 0, 0},
		"everything":                  {NoIncrease, 0, 1, .05, 1, 60},
	} {
		stable := Counts{100_000, int64(100_000 * c.stable)}
		if n := Finds(Config{MaxIncrease: c.allowed}, stable, c.increase, c.share); n < c.least || n > c.most {
			t.Errorf("%s: %d canary requests, want %d to %d", name, n, c.least, c.most)
		}
	}
}
