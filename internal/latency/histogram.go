package latency

// Histogram returns how many requests did not take longer than each of the times
// given, in microseconds and rising, and what all of them took together. Both are
// within 1 %: a request counts at the bound whose bucket it fell into.
func (s *Sketch) Histogram(bounds []int64) (upTo []int64, micros float64) {
	edges := make([]int, len(bounds))
	for i, b := range bounds {
		edges[i] = indexes().Index(float64(b))
	}
	upTo = make([]int64, len(bounds))
	for k, n := range s.buckets.counts {
		for i, e := range edges {
			if s.buckets.first+k <= e {
				upTo[i] += n
			}
		}
	}
	return upTo, s.buckets.sum()
}
