package analysis

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// TestPoisson: the numbers have the law's mean and variance, grow with u, and mirror.
func TestPoisson(t *testing.T) {
	for _, mean := range []float64{.01, 1, 30, 399, 1e4, 1e8} {
		p := newPoisson(mean)
		rng := rand.New(rand.NewPCG(1, 1))
		const draws = 20_000
		var sum, squares float64
		for range draws {
			x := float64(p.draw(rng.Float64()))
			sum, squares = sum+x-mean, squares+(x-mean)*(x-mean)
		}
		if off := math.Abs(sum / draws); off > 4*math.Sqrt(mean/draws) {
			t.Errorf("mean %g: off by %g", mean, off)
		}
		if off := math.Abs(squares/draws/mean - 1); off > 4*math.Sqrt((2+1/mean)/draws) {
			t.Errorf("mean %g: the variance is off by %g of it", mean, off)
		}
		last := int64(-1)
		for _, u := range []float64{0, 1e-9, .1, .5, .9, 1 - 1e-9, 1} {
			if x := p.draw(u); x < last {
				t.Errorf("mean %g: %d at %g, after %d", mean, x, u, last)
			} else {
				last = x
			}
		}
	}
	if n := newPoisson(0).draw(.99); n != 0 {
		t.Errorf("%d of none", n)
	}
}

// TestForecastIsRepeated: the same question has the same answer, whoever asked before.
func TestForecastIsRepeated(t *testing.T) {
	s := Stage{Hosts: 50, Others: 50, PerSecond: 10, Share: .2, Canary: 4, Stable: 4, Rate: .005}
	first := Detects(Config{}, s, .05, drawn)
	Passes(Config{MinRequests: 100}, s, drawn)
	if again := Detects(Config{}, s, .05, drawn); again != first || first.After == 0 {
		t.Errorf("%+v, then %+v", first, again)
	}
}

// TestForecastOfMany: a fleet of ten thousand hosts is as quickly told of, and sooner decided.
func TestForecastOfMany(t *testing.T) {
	at := func(hosts int) Forecast {
		return Detects(Config{}, Stage{Hosts: hosts, PerSecond: 1, Share: .1, Canary: 1, Stable: 4, Rate: .005}, .05, drawn)
	}
	few, many := at(10), at(10_000)
	if few.After < 2*many.After || many.After < 5*time.Second {
		t.Errorf("ten hosts: %+v; ten thousand: %+v", few, many)
	}
}

// TestNoForecast: of what nobody can tell, nothing is told.
func TestNoForecast(t *testing.T) {
	s := Stage{Hosts: 10, PerSecond: 10, Share: .1, Canary: 1, Stable: 4, Rate: .005}
	quiet, nowhere, apart := s, s, s
	quiet.PerSecond, nowhere.Hosts, apart.Share = 0, 0, 0
	for name, f := range map[string]Forecast{
		"no traffic": Detects(Config{}, quiet, .05, drawn), "no host": Detects(Config{}, nowhere, .05, drawn),
		"no share": Passes(Config{}, apart, drawn), "what is allowed": Detects(Config{}, s, .01, drawn),
		"as good as stable": Detects(Config{MaxIncrease: NoIncrease}, s, .005, drawn),
		"beyond all":        Detects(Config{}, s, 1.1, drawn),
	} {
		if f != (Forecast{}) {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// TestForecastOfOneHost: on the only host with canary a regression takes minutes, however much traffic.
func TestForecastOfOneHost(t *testing.T) {
	s := Stage{Hosts: 1, Others: 9, PerSecond: 100, Share: .1, Canary: 1, Stable: 4, Rate: .005}
	if f := Detects(Config{}, s, .05, drawn); f.After < time.Minute || f.After > 10*time.Minute {
		t.Errorf("%+v", f)
	}
}

func drawn(sequence int) func() float64 { return rand.New(rand.NewPCG(uint64(sequence), 2)).Float64 }
