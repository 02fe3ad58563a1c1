package latency

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// TestEdges: requests are counted exactly above an edge, however they are
// spread over sketches; no more are above the edge of a quantile than its
// name says, and what lies a bucket below is too low.
func TestEdges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOfN(rapid.Int64Range(0, 2*Most), 10, 300).Draw(t, "times")
		parts, all := []*Sketch{New(), New()}, New()
		for _, x := range times {
			parts[rapid.IntRange(0, 1).Draw(t, "host")].Add(x)
			all.Add(x)
		}
		q := rapid.SampledFrom([]float64{0.5, 0.75, 0.9}).Draw(t, "q")
		edge, known := all.Edge(q)
		if !known {
			t.Fatal("edge not known")
		}
		edges := []Edge{edge - 1, edge, edge.Over(1.1), edge + 800}
		sums, n := make([]int64, len(edges)), int64(0)
		for _, p := range parts {
			var b Buckets
			if err := b.Read(p.Encode()); err != nil {
				t.Fatal(err)
			}
			n += b.Count()
			b.Above(edges, sums)
		}
		share := (1 - q) * float64(len(times))
		if n != int64(len(times)) || float64(sums[1]) > share+1e-6 || float64(sums[0]) <= share-1e-6 || sums[3] != 0 {
			t.Fatalf("%d requests, %v above; want at most %v", n, sums, share)
		}
		for k, e := range edges {
			slower := int64(0)
			for _, x := range times {
				if indexes().Index(float64(min(max(x, Least), Most))) > int(e) {
					slower++
				}
			}
			if sums[k] != slower || all.Above(e) != slower {
				t.Fatalf("%d and %d above edge %d, want %d", sums[k], all.Above(e), e, slower)
			}
		}
	})
}

func TestEdgesOfFactors(t *testing.T) {
	e := Edge(500)
	for _, c := range []struct {
		times       float64
		under, over Edge
	}{{1, 0, 0}, {1.1, 4, 5}, {1.2, 9, 10}, {2, 34, 35}, {(1 + accuracy) / (1 - accuracy), 1, 1}} {
		if e.Under(c.times) != e+c.under || e.Over(c.times) != e+c.over {
			t.Errorf("%v times: %d and %d, want %d and %d", c.times, e.Under(c.times)-e, e.Over(c.times)-e, c.under, c.over)
		}
	}
	ratio := float64(e.Over(2).Micros()) / float64(e.Micros())
	if ratio < 2 || ratio > 2*1.0203 {
		t.Errorf("the edge over twice is %v times", ratio)
	}
	if _, known := New().Edge(0.5); known {
		t.Error("no request has a median")
	}
}

// TestSlower: what would be slower if all took longer, or shorter, is between what is at the edges beside.
func TestSlower(t *testing.T) {
	s := New()
	for k := range int64(1000) {
		s.Add(1000 + 100*k)
	}
	edge, _ := s.Edge(.9)
	if got, want := s.Slower(edge, 1), float64(s.Above(edge))/1000; got != want {
		t.Errorf("as they are, %g are slower, want %g", got, want)
	}
	for _, times := range []float64{.5, 1.01, 2, 7} {
		got, n := s.Slower(edge, times), 0
		for k := range int64(1000) {
			if float64(1000+100*k)*times > float64(edge.Micros()) {
				n++
			}
		}
		if off := got - float64(n)/1000; off > .02 || off < -.02 {
			t.Errorf("%g times as long, %g are slower, want about %g", times, got, float64(n)/1000)
		}
	}
	if got := s.Slower(edge, 1000); got != 1 {
		t.Errorf("a thousand times as long, %g are slower", got)
	}
	if got := New().Slower(edge, 1); got != 0 {
		t.Errorf("of none, %g are slower", got)
	}
}

// TestWithout: what was added since is what is left.
func TestWithout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOf(rapid.Int64Range(Least, Most))
		early, late := times.Draw(t, "early"), times.Draw(t, "late")
		all := of(append(early, late...)...)
		if got, want := all.Without(of(early...)), of(late...); string(got.Encode()) != string(want.Encode()) {
			t.Fatalf("%d requests, want %d", got.Count(), want.Count())
		}
	})
}

// BenchmarkAbove takes in what a host reports, at the thresholds of a gate.
func BenchmarkAbove(b *testing.B) {
	s := New()
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		s.Add(int64(20_000 * math.Exp(random.NormFloat64())))
	}
	data := s.Encode()
	var edges []Edge
	for k := range Edge(12) {
		edges = append(edges, 450+10*k)
	}
	b.ReportAllocs()
	var read Buckets
	above := make([]int64, len(edges))
	for b.Loop() {
		if err := read.Read(data); err != nil {
			b.Fatal(err)
		}
		read.Above(edges, above)
	}
}
