package latency

import (
	"math"
	"sync"

	"github.com/DataDog/sketches-go/ddsketch/mapping"
)

// Buckets are how many requests fell into each bucket, in their order. The zero
// value holds none. It is what an encoded sketch is read into by those who count
// and add up many of them; its memory is used again.
type Buckets struct {
	first  int     // index of the first of counts
	counts []int64 // of neighbours
	all    int64
}

// Count returns how many requests there are.
func (b *Buckets) Count() int64 { return b.all }

// Above adds, for each edge, how many requests were slower than it.
func (b *Buckets) Above(edges []Edge, to []int64) {
	for k, e := range edges {
		for _, n := range b.counts[min(max(int(e)+1-b.first, 0), len(b.counts)):] {
			to[k] += n
		}
	}
}

// MergeBuckets adds requests.
func (s *Sketch) MergeBuckets(b *Buckets) { s.buckets.merge(b) }

// Private

// slack is how many buckets more than needed are made room for.
const slack = 16

// clear forgets all requests and keeps the memory.
func (b *Buckets) clear() { b.counts, b.all = b.counts[:0], 0 }

// add adds requests to one bucket.
func (b *Buckets) add(index int, n int64) {
	b.reach(index, index+1)
	b.counts[index-b.first] += n
	b.all += n
}

func (b *Buckets) merge(o *Buckets) {
	low, high := o.span()
	if low == high {
		return
	}
	b.reach(low, high)
	to, from := b.counts[low-b.first:], o.counts[low-o.first:high-o.first]
	for k, n := range from {
		to[k] += n
	}
	b.all += o.all
}

// reach makes room for the buckets from low up to high.
func (b *Buckets) reach(low, high int) {
	last := b.first + len(b.counts)
	if len(b.counts) > 0 && low >= b.first && high <= last {
		return
	}
	low, high = low-slack, high+slack
	if len(b.counts) > 0 {
		low, high = min(low, b.first), max(high, last)
	}
	grown := make([]int64, high-low)
	if len(b.counts) > 0 {
		copy(grown[b.first-low:], b.counts)
	}
	b.first, b.counts = low, grown
}

// span returns the index of the first bucket with requests, and the one after the
// last; the same if there are none.
func (b *Buckets) span() (low, high int) {
	low, high = 0, len(b.counts)
	for high > 0 && b.counts[high-1] == 0 {
		high--
	}
	for low < high && b.counts[low] == 0 {
		low++
	}
	return b.first + low, b.first + high
}

// at returns the bucket of the request that so many are quicker than or as quick as.
func (b *Buckets) at(rank float64) int {
	n := 0.0
	for k, c := range b.counts {
		if n += float64(c); n > max(0, rank) {
			return b.first + k
		}
	}
	_, high := b.span()
	return high - 1
}

// indexes is the law of the buckets' bounds.
var indexes = sync.OnceValue(func() *mapping.LogarithmicMapping { //nolint:gochecknoglobals // constant
	m, _ := mapping.NewLogarithmicMapping(accuracy) // it refuses only what is no share
	return m
})

// mostBucket and leastBucket are those of Most and Least. One more at each end may be
// read: other machines round logarithms otherwise.
func leastBucket() int { return indexes().Index(Least) }
func mostBucket() int  { return indexes().Index(Most) }

// sum returns what all requests took, each at the middle of its bucket.
func (b *Buckets) sum() float64 {
	sum := 0.0
	for k, n := range b.counts {
		if n > 0 {
			sum += indexes().Value(b.first+k) * float64(n)
		}
	}
	return sum
}

// bucketOf returns the bucket of a time in microseconds.
func bucketOf(micros int64) int {
	return indexes().Index(float64(min(max(micros, Least), Most)))
}

// quantile returns the time that a share q did not exceed.
func (b *Buckets) quantile(q float64) int64 {
	// Converted, so that no machine fuses the product with the sum in which it stands.
	rank := float64(q * float64(b.all-1))
	return int64(math.Round(indexes().Value(b.at(rank))))
}
