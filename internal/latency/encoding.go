package latency

import (
	"errors"
	"fmt"

	"github.com/DataDog/sketches-go/ddsketch/encoding"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
)

// MaxEncoded is the most bytes that Check accepts.
const MaxEncoded = 8 << 10

// maxCount bounds the requests of a sketch: up to here its numbers are exact.
const maxCount = 1 << 53

// Encode returns the sketch in DDSketch's own encoding, usually in less than
// 2 KiB; nil if it holds no request. Equal sketches give equal bytes.
func (s *Sketch) Encode() []byte {
	if s.buckets.IsEmpty() {
		return nil
	}
	var data []byte
	s.buckets.Encode(&data, false)
	return data
}

// Decode reads what Encode returned; see Check.
func Decode(data []byte) (*Sketch, error) {
	s := New()
	if err := s.MergeEncoded(data); err != nil {
		return nil, err
	}
	return s, nil
}

// MergeEncoded adds the requests of a sketch that was encoded; see Check. After
// an error the sketch is as before.
func (s *Sketch) MergeEncoded(data []byte) error {
	if err := Check(data); err != nil {
		return err
	}
	return read(data, s.buckets.GetPositiveValueStore())
}

// Check tells why bytes are no sketch: not the encoding, another accuracy, times
// out of range, counts that are no counts, more than MaxEncoded bytes. No bytes
// are a sketch of no request. The library's own decoder trusts its input: it
// skips what it cannot read, and takes any index and any count.
func Check(data []byte) error { return checked(data, nil) }

// Private

var (
	errEnd      = errors.New("it ends too early")
	errAccuracy = errors.New("its accuracy is another one")
)

// checked reads a sketch, and names the fault of what is none.
func checked(data []byte, to adder) error {
	if len(data) > MaxEncoded {
		return fmt.Errorf("latency sketch has %d bytes, at most %d are accepted", len(data), MaxEncoded)
	}
	if err := read(data, to); err != nil {
		return fmt.Errorf("latency sketch: %w", err)
	}
	return nil
}

// adder takes the requests of a bucket.
type adder interface {
	AddWithCount(index int, count float64)
}

// read checks a sketch and adds its buckets to something, if there is such.
func read(data []byte, to adder) error {
	if len(data) == 0 {
		return nil
	}
	rest := &data
	flag, err := encoding.DecodeFlag(rest)
	if err != nil {
		return errEnd
	}
	if flag != encoding.FlagIndexMappingBaseLogarithmic {
		return errors.New("it does not begin with its accuracy")
	}
	m, err := mapping.Decode(rest, flag)
	if err != nil || !indexes().Equals(m) {
		return errAccuracy
	}
	if flag, err = encoding.DecodeFlag(rest); err != nil {
		return errEnd
	}
	r := newReader(rest, to)
	switch {
	case flag.Type() != encoding.FlagTypePositiveStore:
		return errors.New("it holds something else than times")
	case flag.SubFlag() == encoding.BinEncodingIndexDeltasAndCounts:
		err = r.sparse()
	case flag.SubFlag() == encoding.BinEncodingContiguousCounts:
		err = r.dense()
	default:
		return errors.New("its buckets are written in an unknown way")
	}
	if err == nil && len(*rest) > 0 {
		err = fmt.Errorf("%d bytes are left over", len(*rest))
	}
	return err
}

// reader reads buckets.
type reader struct {
	rest        *[]byte
	to          adder
	least, most int64 // indexes that Add could have used
	total       float64
}

func newReader(rest *[]byte, to adder) *reader {
	m := indexes()
	// One more at each end: other machines round logarithms otherwise.
	return &reader{rest: rest, to: to, least: int64(m.Index(Least)) - 1, most: int64(m.Index(Most)) + 1}
}

// sparse reads buckets that each tell how far they are from the one before.
func (r *reader) sparse() error {
	n, err := r.number()
	if err != nil {
		return err
	}
	index := int64(0)
	for k := range n {
		delta, err := encoding.DecodeVarint64(r.rest)
		if err != nil {
			return errEnd
		}
		if k > 0 && delta < 1 || delta > r.most-index {
			return errors.New("its buckets are not in their order")
		}
		index += delta
		if err := r.bucket(index, 1); err != nil {
			return err
		}
	}
	return nil
}

// dense reads the buckets of a range; some may be empty.
func (r *reader) dense() error {
	n, err := r.number()
	if err != nil {
		return err
	}
	index, err := encoding.DecodeVarint64(r.rest)
	if err != nil {
		return errEnd
	}
	if step, err := encoding.DecodeVarint64(r.rest); err != nil || step != 1 {
		return errors.New("its buckets do not follow each other")
	}
	for k := range n {
		if err := r.bucket(index+k, 0); err != nil {
			return err
		}
	}
	if r.total == 0 {
		return errors.New("all its buckets are empty")
	}
	return nil
}

// number reads how many buckets follow.
func (r *reader) number() (int64, error) {
	n, err := encoding.DecodeUvarint64(r.rest)
	if err != nil {
		return 0, errEnd
	}
	if n < 1 || n > maxBuckets {
		return 0, fmt.Errorf("it has %d buckets, 1 to %d are allowed", n, maxBuckets)
	}
	return int64(n), nil
}

// bucket reads the count of a bucket, which has to be at least that.
func (r *reader) bucket(index int64, least float64) error {
	if index < r.least || index > r.most {
		return fmt.Errorf("bucket %d is out of range %d to %d", index, r.least, r.most)
	}
	n, err := encoding.DecodeVarfloat64(r.rest)
	if err != nil {
		return errEnd
	}
	if !(n >= least && n <= maxCount) || n != float64(int64(n)) { // false for NaN, too
		return errors.New("a bucket's count is no number of requests")
	}
	if r.total += n; r.total > maxCount {
		return errors.New("it has too many requests")
	}
	if r.to != nil {
		r.to.AddWithCount(int(index), n)
	}
	return nil
}
