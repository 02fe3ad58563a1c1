package latency

import "math"

// Edge is the upper end of a bucket. How many requests were slower is known
// exactly there, in any sketch, merged or not.
type Edge int

// Edge returns the upper end of the bucket in which Quantile finds q, and
// whether that is known. No more than a part 1-q of the requests is slower.
func (s *Sketch) Edge(q float64) (Edge, bool) {
	if _, known := s.Quantile(q); !known {
		return 0, false
	}
	rank := math.Ceil(q*float64(s.Count()) - 1e-6)
	return Edge(s.buckets.at(rank - 1)), true
}

// Micros returns the edge in microseconds.
func (e Edge) Micros() int64 { return int64(math.Round(indexes().LowerBound(int(e) + 1))) }

// Under returns the highest edge at so many times this one or less.
func (e Edge) Under(times float64) Edge { return e + Edge(math.Floor(buckets(times)+1e-9)) }

// Over returns the lowest edge at so many times this one or more.
func (e Edge) Over(times float64) Edge { return e + Edge(math.Ceil(buckets(times)-1e-9)) }

// Without returns the requests of the sketch that are not in an earlier state
// of it.
func (s *Sketch) Without(earlier *Sketch) *Sketch {
	rest, from := New(), &earlier.buckets
	rest.buckets.reach(s.buckets.span())
	for k, n := range s.buckets.counts {
		index := s.buckets.first + k
		if i := index - from.first; i >= 0 && i < len(from.counts) {
			n -= from.counts[i]
		}
		if n > 0 {
			rest.buckets.add(index, n)
		}
	}
	return rest
}

// Above returns how many requests were slower than an edge.
func (s *Sketch) Above(e Edge) int64 {
	var n [1]int64
	s.buckets.Above([]Edge{e}, n[:])
	return n[0]
}

// Slower returns the part of the requests that would be slower than an edge if each took so many times
// as long. Within a bucket they are taken to be spread evenly.
func (s *Sketch) Slower(e Edge, times float64) float64 {
	if s.Count() == 0 {
		return 0
	}
	at := float64(e) - buckets(times)
	low := math.Floor(at)
	above, next := float64(s.Above(Edge(low))), float64(s.Above(Edge(low)+1))
	return (above + (next-above)*(at-low)) / float64(s.Count())
}

// Private

// buckets returns how many buckets a factor spans.
func buckets(times float64) float64 {
	return math.Log(times) / math.Log((1+accuracy)/(1-accuracy))
}
