package latency_test

import (
	"math"
	"slices"
	"testing"

	"github.com/serin-rollouts/serin/internal/latency"
)

func TestHistogram(t *testing.T) {
	s := latency.New()
	bounds := []int64{1_000, 10_000, 100_000}
	if upTo, sum := s.Histogram(bounds); !slices.Equal(upTo, []int64{0, 0, 0}) || sum != 0 {
		t.Errorf("of nothing: %v, %g", upTo, sum)
	}
	for _, micros := range []int64{10, 900, 1_000, 1_100, 9_900, 50_000, 200_000} {
		s.Add(micros)
	}
	upTo, sum := s.Histogram(bounds)
	if !slices.Equal(upTo, []int64{3, 5, 6}) {
		t.Errorf("counts %v", upTo)
	}
	if want := 262_950.0; math.Abs(sum-want) > want/100 {
		t.Errorf("sum %g, want %g within 1 %%", sum, want)
	}
}
