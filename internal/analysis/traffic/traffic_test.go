package traffic

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// draws is how often each law is drawn from.
const draws = 20_000

// within fails if a mean of so many draws is more than four standard errors from what it should be.
func within(t *testing.T, what string, sum, mean, variance float64) {
	t.Helper()
	if got, far := sum/draws, 4*math.Sqrt(variance/draws); math.Abs(got-mean) > far {
		t.Errorf("mean of %s is %g, want %g within %g", what, got, mean, far)
	}
}

func TestDraws(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var few, lots, rare, often, sure, beta, square float64
	for range draws {
		few += float64(Poisson(rng, 3))
		lots += float64(Poisson(rng, 300))
		rare += float64(Binomial(rng, 40, .05))
		often += float64(Binomial(rng, 10, .9))
		sure += float64(Binomial(rng, 7, 1)) + float64(Binomial(rng, 7, 0))
		b := Beta(rng, .1, .9)
		beta += b
		square += (b - .1) * (b - .1)
	}
	within(t, "Poisson 3", few, 3, 3)
	within(t, "Poisson 300", lots, 300, 300)
	within(t, "binomial 40 at 5 %", rare, 2, 1.9)
	within(t, "binomial 10 at 90 %", often, 9, .9)
	within(t, "beta .1, .9", beta, .1, .045)
	within(t, "its variance", square, .045, .045)
	if sure != 7*draws {
		t.Errorf("certain and impossible events: %g of %d", sure, 7*draws)
	}
}

// TestScene plays a scene in which everything happens, and holds what the hosts report against
// what they served.
func TestScene(t *testing.T) {
	scene := Scene{
		Hosts: 3, Stable: 4, PerSecond: 30, Share: .1, Step: time.Second,
		Rate: Fixed(.02, .02), Mood: Bursts(time.Minute, 5*time.Second, .5),
		Load: func(at time.Duration) float64 { return 1 + .5*math.Sin(at.Minutes()) },
		Away: func(host int, at time.Duration) bool {
			return host == 1 && at > time.Minute && at <= 2*time.Minute
		},
		StableTimes: Service{Median: 100, Sigma: .5}.Containers(),
		CanaryTimes: Service{Median: 120, Sigma: .5}.Containers(),
	}
	f := NewFleet(scene, 7)
	var canary, stable, errors, slow int64
	lives := make(map[string]bool)
	var last []Report
	for f.Now() < 3*time.Minute {
		f.Advance()
		for _, table := range f.Tables() {
			canary += table.CanaryN
			stable += table.StableN
			errors += table.CanaryX + table.StableX
		}
		slow += int64(len(f.Times(true)))
		last = f.Reports()
		for _, r := range last {
			lives[r.Host+" "+r.Incarnation] = true
		}
		if want := 3; len(last) != want && (f.Now() <= time.Minute || f.Now() > 2*time.Minute) {
			t.Fatalf("%d hosts report at %s", len(last), f.Now())
		}
	}
	if canary != f.Canary() || slow != canary {
		t.Errorf("%d canary requests, %d in tables, %d with a time", f.Canary(), canary, slow)
	}
	if ratio := float64(stable) / float64(canary); ratio < 8.5 || ratio > 9.5 {
		t.Errorf("%d stable, %d canary requests", stable, canary)
	}
	if rate := float64(errors) / float64(canary+stable); rate < .04 || rate > .08 {
		t.Errorf("error rate %g, want about .02 + 1/13 of .48", rate)
	}
	if diff := cmp.Diff(map[string]bool{"h0 1": true, "h1 1": true, "h1 2": true, "h2 1": true}, lives); diff != "" {
		t.Error(diff)
	}
	if len(last[0].Latencies) != 5 || last[0].Latencies[4].Container != "" || len(last[0].Latencies[4].Sketch) == 0 {
		t.Errorf("latencies: %+v", last[0].Latencies)
	}
}

// TestSeed plays a scene twice.
func TestSeed(t *testing.T) {
	play := func(seed uint64) []Report {
		f := NewFleet(Scene{Hosts: 2, Stable: 2, PerSecond: 9, Share: .3, Mood: BetaBinomial(.1), Rate: Fixed(.1, .2)}, seed)
		for range 10 {
			f.Advance()
		}
		return f.Reports()
	}
	if diff := cmp.Diff(play(3), play(3)); diff != "" {
		t.Errorf("the same seed gives other requests:\n%s", diff)
	}
	if cmp.Equal(play(3), play(4)) {
		t.Error("another seed gives the same requests")
	}
}
