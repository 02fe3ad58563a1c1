// Package latency holds how long requests took, as sketches that can be merged:
// the same requests give the same sketch in whatever order, on however many
// hosts they were counted. It is pure, and the only importer of the library
// that knows the bounds and the encoding of DDSketch (Masson, Rim and Lee 2019,
// arXiv:1908.10693).
//
// A sketch counts requests in buckets whose bounds grow by 2.02 %, so that the
// middle of a bucket is within 1 % of whatever it stands for. It has at most
// 735 of them, between Least and Most, and is never coarser than that.
package latency

import "math"

// Least and Most are the shortest and the longest time that a sketch tells from
// shorter and longer ones, in microseconds.
const (
	Least = 50
	Most  = 120_000_000
)

const (
	// accuracy is how far a quantile may be from the true one.
	accuracy = 0.01
	// maxBuckets is more than Least to Most needs.
	maxBuckets = 800
)

// Sketch is how long some requests took. New and Decode make sketches. It is not
// safe for concurrent use.
type Sketch struct {
	buckets Buckets
}

// New returns a sketch of no request.
func New() *Sketch { return new(Sketch) }

// Add counts a request that took so many microseconds; a negative time is not
// known, and not counted.
func (s *Sketch) Add(micros int64) {
	if micros >= 0 {
		s.buckets.add(bucketOf(micros), 1)
	}
}

// Merge adds the requests of another sketch.
func (s *Sketch) Merge(other *Sketch) { s.buckets.merge(&other.buckets) }

// Clear forgets all requests and keeps the memory.
func (s *Sketch) Clear() { s.buckets.clear() }

// Count returns how many requests the sketch holds.
func (s *Sketch) Count() int64 { return s.buckets.all }

// Quantile returns the time in microseconds that a share q of the requests did
// not exceed, within 1 %. It reports false if there are too few requests to
// tell: fewer than 1/(1-q), where the slowest alone would be the answer.
func (s *Sketch) Quantile(q float64) (micros int64, known bool) {
	if q < 0 || q >= 1 || s.Count() == 0 || float64(s.Count()) < math.Round(1/(1-q)) {
		return 0, false
	}
	return s.buckets.quantile(q), true
}
