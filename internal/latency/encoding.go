package latency

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

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
	low, high := s.buckets.span()
	if low == high {
		return nil
	}
	counts := s.buckets.counts[low-s.buckets.first : high-s.buckets.first]
	data := slices.Clone(header())
	if dense, sparse := sizes(counts, low); dense <= sparse {
		return encodeDense(data, counts, low)
	}
	return encodeSparse(data, counts, low)
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
	var room [maxBuckets]int64
	b := Buckets{counts: room[:0]}
	if err := b.Read(data); err != nil {
		return err
	}
	s.MergeBuckets(&b)
	return nil
}

// Check tells why bytes are no sketch: not the encoding, another accuracy, times
// out of range, counts that are no counts, more than MaxEncoded bytes. No bytes
// are a sketch of no request.
func Check(data []byte) error {
	var room [maxBuckets]int64
	b := Buckets{counts: room[:0]}
	return b.Read(data)
}

// Read forgets what is there and reads what Encode returned; see Check. After an
// error there is nothing.
func (b *Buckets) Read(data []byte) error {
	b.clear()
	if len(data) > MaxEncoded {
		return fmt.Errorf("latency sketch has %d bytes, at most %d are accepted", len(data), MaxEncoded)
	}
	if err := b.read(data); err != nil {
		b.clear()
		return fmt.Errorf("latency sketch: %w", err)
	}
	return nil
}

// Private

var (
	errEnd      = errors.New("it ends too early")
	errAccuracy = errors.New("its accuracy is another one")
)

// header is how every sketch begins: with the law of its buckets.
var header = sync.OnceValue(func() []byte { //nolint:gochecknoglobals // constant
	var data []byte
	indexes().Encode(&data)
	return data
})

// sizes returns how long both ways to write buckets are.
func sizes(counts []int64, low int) (dense, sparse int) {
	dense = encoding.Uvarint64Size(uint64(len(counts))) + encoding.Varint64Size(int64(low)) + encoding.Varint64Size(1)
	before, filled := 0, uint64(0)
	for k, n := range counts {
		size := encoding.Varfloat64Size(float64(n))
		dense += size
		if n > 0 {
			filled++
			sparse += size + encoding.Varint64Size(int64(k-before))
			before = k
		}
	}
	return dense, sparse + encoding.Uvarint64Size(filled)
}

// encodeDense writes buckets of a range, the first of which is low.
func encodeDense(data []byte, counts []int64, low int) []byte {
	encoding.EncodeFlag(&data, encoding.NewFlag(encoding.FlagTypePositiveStore, encoding.BinEncodingContiguousCounts))
	encoding.EncodeUvarint64(&data, uint64(len(counts)))
	encoding.EncodeVarint64(&data, int64(low))
	encoding.EncodeVarint64(&data, 1)
	for _, n := range counts {
		if n == 0 {
			data = append(data, 0)
		} else {
			encoding.EncodeVarfloat64(&data, float64(n))
		}
	}
	return data
}

// encodeSparse writes for each bucket with requests how far it is from the one before.
func encodeSparse(data []byte, counts []int64, low int) []byte {
	filled := uint64(0)
	for _, n := range counts {
		if n > 0 {
			filled++
		}
	}
	encoding.EncodeFlag(&data, encoding.NewFlag(encoding.FlagTypePositiveStore, encoding.BinEncodingIndexDeltasAndCounts))
	encoding.EncodeUvarint64(&data, filled)
	before := 0
	for k, n := range counts {
		if n > 0 {
			encoding.EncodeVarint64(&data, int64(low+k-before))
			encoding.EncodeVarfloat64(&data, float64(n))
			before = low + k
		}
	}
	return data
}

// read adds the buckets of a sketch.
func (b *Buckets) read(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	rest, ours := bytes.CutPrefix(data, header())
	if !ours {
		var err error
		if rest, err = skipHeader(data); err != nil {
			return err
		}
	}
	flag, err := encoding.DecodeFlag(&rest)
	if err != nil {
		return errEnd
	}
	switch {
	case flag.Type() != encoding.FlagTypePositiveStore:
		return errors.New("it holds something else than times")
	case flag.SubFlag() == encoding.BinEncodingIndexDeltasAndCounts:
		rest, err = b.readSparse(rest)
	case flag.SubFlag() == encoding.BinEncodingContiguousCounts:
		rest, err = b.readDense(rest)
	default:
		return errors.New("its buckets are written in an unknown way")
	}
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes are left over", len(rest))
	}
	return err
}

// skipHeader reads a beginning that is not written as here, and may say the same.
func skipHeader(data []byte) ([]byte, error) {
	flag, err := encoding.DecodeFlag(&data)
	if err != nil {
		return nil, errEnd
	}
	if flag != encoding.FlagIndexMappingBaseLogarithmic {
		return nil, errors.New("it does not begin with its accuracy")
	}
	m, err := mapping.Decode(&data, flag)
	if err != nil || !indexes().Equals(m) {
		return nil, errAccuracy
	}
	return data, nil
}

// readSparse reads buckets that each tell how far they are from the one before.
func (b *Buckets) readSparse(rest []byte) ([]byte, error) {
	size, err := number(&rest)
	if err != nil {
		return nil, err
	}
	index, most := int64(0), int64(mostBucket())+1
	for k := range size {
		delta, err := encoding.DecodeVarint64(&rest)
		if err != nil {
			return nil, errEnd
		}
		if k > 0 && delta < 1 || delta > most-index {
			return nil, errors.New("its buckets are not in their order")
		}
		if index += delta; index < int64(leastBucket())-1 {
			return nil, outOfRange(index)
		}
		b.extend(int(index))
		if rest, err = b.bucket(rest, len(b.counts)-1, 1); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// extend makes a bucket the last one.
func (b *Buckets) extend(index int) {
	if len(b.counts) == 0 {
		b.first = index
	}
	for b.first+len(b.counts) <= index {
		b.counts = append(b.counts, 0)
	}
}

// readDense reads the buckets of a range; some may be empty.
func (b *Buckets) readDense(rest []byte) ([]byte, error) {
	size, err := number(&rest)
	if err != nil {
		return nil, err
	}
	index, err := encoding.DecodeVarint64(&rest)
	if err != nil {
		return nil, errEnd
	}
	if step, err := encoding.DecodeVarint64(&rest); err != nil || step != 1 {
		return nil, errors.New("its buckets do not follow each other")
	}
	low, high := int64(leastBucket())-1, int64(mostBucket())+1
	if index < low || index > high || index+size-1 > high {
		return nil, outOfRange(index)
	}
	b.first = int(index)
	b.counts = slices.Grow(b.counts, int(size))[:size]
	for k := range b.counts {
		if rest, err = b.bucket(rest, k, 0); err != nil {
			return nil, err
		}
	}
	if b.all == 0 {
		return nil, errors.New("all its buckets are empty")
	}
	return rest, nil
}

// bucket reads the count of one bucket, which has to be at least that.
func (b *Buckets) bucket(rest []byte, k int, least int64) ([]byte, error) {
	f, err := encoding.DecodeVarfloat64(&rest)
	if err != nil {
		return nil, errEnd
	}
	if !(f >= 0 && f <= maxCount) || f != float64(int64(f)) || int64(f) < least { // the first is false for NaN, too
		return nil, errors.New("a bucket's count is no number of requests")
	}
	n := int64(f)
	if b.all+n > maxCount {
		return nil, errors.New("it has too many requests")
	}
	b.counts[k] = n
	b.all += n
	return rest, nil
}

func outOfRange(index int64) error {
	return fmt.Errorf("bucket %d is out of range %d to %d", index, leastBucket()-1, mostBucket()+1)
}

// number reads how many buckets follow.
func number(rest *[]byte) (int64, error) {
	n, err := encoding.DecodeUvarint64(rest)
	if err != nil {
		return 0, errEnd
	}
	if n < 1 || n > maxBuckets {
		return 0, fmt.Errorf("it has %d buckets, 1 to %d are allowed", n, maxBuckets)
	}
	return int64(n), nil
}
