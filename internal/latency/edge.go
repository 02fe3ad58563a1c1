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
	rank := math.Ceil(q*s.buckets.GetCount() - 1e-6)
	return Edge(s.buckets.GetPositiveValueStore().KeyAtRank(rank - 1)), true
}

// Micros returns the edge in microseconds.
func (e Edge) Micros() int64 { return int64(math.Round(indexes().LowerBound(int(e) + 1))) }

// Under returns the highest edge at so many times this one or less.
func (e Edge) Under(times float64) Edge { return e + Edge(math.Floor(buckets(times)+1e-9)) }

// Over returns the lowest edge at so many times this one or more.
func (e Edge) Over(times float64) Edge { return e + Edge(math.Ceil(buckets(times)-1e-9)) }

// CountAbove returns how many requests an encoded sketch holds, and how many of
// them were slower than each edge; see Check. It makes no sketch.
func CountAbove(data []byte, edges []Edge) (count int64, above []int64, err error) {
	c := counter{edges: edges, above: make([]int64, len(edges))}
	if err := checked(data, &c); err != nil {
		return 0, nil, err
	}
	return c.all, c.above, nil
}

// Without returns the requests of the sketch that are not in an earlier state
// of it.
func (s *Sketch) Without(earlier *Sketch) *Sketch {
	rest := New()
	to, from := rest.buckets.GetPositiveValueStore(), map[int]float64{}
	earlier.buckets.GetPositiveValueStore().ForEach(func(index int, count float64) bool {
		from[index] = count
		return false
	})
	s.buckets.GetPositiveValueStore().ForEach(func(index int, count float64) bool {
		to.AddWithCount(index, max(0, count-from[index]))
		return false
	})
	return rest
}

// Above returns how many requests were slower than an edge.
func (s *Sketch) Above(e Edge) int64 {
	c := counter{edges: []Edge{e}, above: []int64{0}}
	s.buckets.GetPositiveValueStore().ForEach(func(index int, count float64) bool {
		c.AddWithCount(index, count)
		return false
	})
	return c.above[0]
}

// Private

// counter counts requests above edges.
type counter struct {
	edges []Edge
	above []int64
	all   int64
}

func (c *counter) AddWithCount(index int, count float64) {
	n := int64(count)
	c.all += n
	for k, e := range c.edges {
		if index > int(e) {
			c.above[k] += n
		}
	}
}

// buckets returns how many buckets a factor spans.
func buckets(times float64) float64 {
	return math.Log(times) / math.Log((1+accuracy)/(1-accuracy))
}
