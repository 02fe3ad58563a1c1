package analysis

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/latency"
)

func spanned(requests int) *latency.Sketch {
	s, rng := latency.New(), rand.New(rand.NewPCG(1, 1))
	for range requests {
		s.Add(int64(100_000 * math.Exp(.5*rng.NormFloat64())))
	}
	return s
}

func slowStage() (Gates, LatencyGate, Stage) {
	g := LatencyGate{Conduct: Conduct{Name: "slow"}, Quantile: 9900, MaxIncrease: 2000, MinRequests: 100}
	gates := Gates{Errors: RateGate{Conduct: Conduct{Name: "errors"}}, Latency: []LatencyGate{g}}
	return gates, g, Stage{
		Hosts: 10, Others: 10, PerSecond: 20, Share: .1, Canary: 1, Stable: 4, Times: spanned(20_000), Past: 100_000,
	}
}

// TestForecastOfSlower: the slower a canary, the sooner it is found, on containers that are warm sooner
// than on new ones; the same question has the same answer.
func TestForecastOfSlower(t *testing.T) {
	gates, g, s := slowStage()
	last := Forecast{After: math.MaxInt64}
	for _, times := range []float64{1.5, 2, 5} {
		f := DetectsSlower(gates, g, s, times, drawn)
		if f.After == 0 || f.After > last.After || f.After < ColdStart {
			t.Errorf("%g times as slow: %+v, and less slow %+v", times, f, last)
		}
		if again := DetectsSlower(gates, g, s, times, drawn); again != f {
			t.Errorf("%+v, then %+v", f, again)
		}
		last = f
	}
	warm := s
	warm.Warm = s.Hosts
	if f := DetectsSlower(gates, g, warm, 5, drawn); f.After == 0 || f.After > last.After-ColdStart/2 {
		t.Errorf("warm: %+v, cold: %+v", f, last)
	}
	if f := PassesLatency(gates, g, s, drawn); f.After < ColdStart || f.Requests < g.MinRequests {
		t.Errorf("passes: %+v", f)
	}
}

// TestForecastLearnsFirst: nothing is decided before stable's requests tell the thresholds.
func TestForecastLearnsFirst(t *testing.T) {
	gates, g, s := slowStage()
	s.Past, s.PerSecond = 0, .5 // about ten a second in all
	if f := DetectsSlower(gates, g, s, 10, drawn); f.After < 100*time.Second {
		t.Errorf("found after %s", f.After)
	}
}

// TestNoForecastOfLatency: of what nobody can tell, nothing is told.
func TestNoForecastOfLatency(t *testing.T) {
	gates, g, s := slowStage()
	unknown, few, quiet, alone := s, s, s, s
	unknown.Times, few.Times, quiet.PerSecond = nil, spanned(900), 0
	alone.Share, alone.Others, alone.Past = 1, 0, 0
	for name, f := range map[string]Forecast{
		"nothing is known":    DetectsSlower(gates, g, unknown, 5, drawn),
		"of too few requests": PassesLatency(gates, g, few, drawn),
		"no traffic":          PassesLatency(gates, g, quiet, drawn),
		"what is allowed":     DetectsSlower(gates, g, s, 1.2, drawn),
		"no stable left":      DetectsSlower(gates, g, alone, 5, drawn),
	} {
		if f != (Forecast{}) {
			t.Errorf("%s: %+v", name, f)
		}
	}
}
