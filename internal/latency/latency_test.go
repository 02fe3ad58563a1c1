package latency

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/store"
	"pgregory.net/rapid"
)

func of(times ...int64) *Sketch {
	s := New()
	for _, t := range times {
		s.Add(t)
	}
	return s
}

// TestQuantiles: within 1 % of the true one, over the whole range.
func TestQuantiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOfN(rapid.Int64Range(Least, Most), 100, 300).Draw(t, "times")
		s := of(times...)
		slices.Sort(times)
		for _, q := range []float64{0.5, 0.9, 0.99} {
			want := float64(times[int(q*float64(len(times)-1))])
			got, known := s.Quantile(q)
			if !known || math.Abs(float64(got)-want) > 0.01*want+1 {
				t.Fatalf("q %v: %d, %v; want %v", q, got, known, want)
			}
		}
	})
}

// TestOrderAndHostsDoNotMatter: however requests are spread over sketches, and
// in whatever order these are merged, directly or encoded, the bytes are the
// same.
func TestOrderAndHostsDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOfN(rapid.Int64Range(0, 2*Most), 1, 200).Draw(t, "times")
		want := of(times...).Encode()
		parts := []*Sketch{New(), New(), New()}
		for _, x := range rapid.Permutation(times).Draw(t, "order") {
			parts[rapid.IntRange(0, 2).Draw(t, "host")].Add(x)
		}
		all, decoded := New(), New()
		for _, k := range rapid.Permutation([]int{0, 1, 2}).Draw(t, "merge") {
			all.Merge(parts[k])
			if err := decoded.MergeEncoded(parts[k].Encode()); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(want, all.Encode()) || !bytes.Equal(want, decoded.Encode()) {
			t.Fatal("another sketch of the same requests")
		}
		if n := decoded.Count(); n != int64(len(times)) {
			t.Fatalf("%d requests of %d", n, len(times))
		}
	})
}

func TestTooFewToTell(t *testing.T) {
	s := New()
	for n := range 120 {
		_, median := s.Quantile(0.5)
		_, tail := s.Quantile(0.99)
		if median != (n >= 2) || tail != (n >= 100) {
			t.Errorf("%d requests: median %v, p99 %v", n, median, tail)
		}
		s.Add(1000)
	}
	if _, known := s.Quantile(1); known {
		t.Error("the slowest is known")
	}
	s.Clear()
	if s.Add(-1); s.Count() != 0 || s.Encode() != nil {
		t.Error("counts a time that is not known")
	}
}

// TestSize: a service with millions of requests, from fast to timed out, stays
// small; the worst that there can be is still accepted.
func TestSize(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s := New()
	for range 1_000_000 {
		s.Add(int64(100_000 * math.Exp(random.NormFloat64()*1.2)))
	}
	if n := len(s.Encode()); n > 2048 {
		t.Errorf("%d bytes", n)
	}
	m := indexes()
	full := store.NewDenseStore()
	for i := m.Index(Least); i <= m.Index(Most); i++ {
		full.AddWithCount(i, 1_234_567)
	}
	var data []byte
	ddsketch.NewDDSketch(m, full, store.NewDenseStore()).Encode(&data, false)
	if err := Check(data); err != nil || len(data) > MaxEncoded/2 {
		t.Errorf("%d bytes: %v", len(data), err)
	}
	t.Logf("usual %d bytes, at worst %d", len(s.Encode()), len(data))
}

func TestRefusals(t *testing.T) {
	good := of(1000, 2000, 3000).Encode()
	coarse, err := ddsketch.LogUnboundedDenseDDSketch(0.05)
	if err != nil {
		t.Fatal(err)
	}
	written := func(f func(*ddsketch.DDSketch)) []byte {
		s := ddsketch.NewDDSketch(indexes(), store.NewDenseStore(), store.NewDenseStore())
		f(s)
		var data []byte
		s.Encode(&data, false)
		return data
	}
	add := func(value, count float64) func(*ddsketch.DDSketch) {
		return func(s *ddsketch.DDSketch) {
			if err := s.AddWithCount(value, count); err != nil {
				t.Fatal(err)
			}
		}
	}
	var other []byte
	coarse.Encode(&other, false)
	for want, data := range map[string][]byte{
		"at most":           make([]byte, MaxEncoded+1),
		"begin":             []byte("garbage"),
		"accuracy":          other,
		"too early":         good[:len(good)-1],
		"left over":         append(bytes.Clone(good), 0),
		"something else":    written(add(-1000, 1)),
		"out of range":      written(add(1, 1)),
		"number of request": written(add(1000, 1.5)),
		"too many":          written(func(s *ddsketch.DDSketch) { add(1000, maxCount)(s); add(2000, maxCount)(s) }),
		"unknown way":       bucketsOf(good[:17], 2, 1),
		"buckets, 1 to":     bucketsOf(good[:17], 1, 0xff, 0xff, 3),
		"not in their":      bucketsOf(good[:17], 1, 2, 0xe8, 0x07, 2, 0, 2), // bucket 500 twice
		"do not follow":     bucketsOf(good[:17], 3, 2, 0xe8, 0x07, 4, 2, 2), // every other
		"are empty":         bucketsOf(good[:17], 3, 2, 0xe8, 0x07, 2, 0, 0),
	} {
		if err := Check(data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want one with %q", err, want)
		}
	}
	s := of(5)
	if err := s.MergeEncoded(good[:len(good)-1]); err == nil || s.Count() != 1 {
		t.Errorf("%v left %d requests", err, s.Count())
	}
	if err := Check(nil); err != nil {
		t.Error(err)
	}
}

// bucketsOf begins a positive store, written in that way.
func bucketsOf(head []byte, way byte, data ...byte) []byte {
	const store = 0b01
	return append(append(bytes.Clone(head), way<<2|store), data...)
}

func FuzzDecode(f *testing.F) {
	for _, s := range []*Sketch{New(), of(1000), of(50, 51, 52, 53, 54, 55), of(0, Most, 7000, 7000)} {
		data := s.Encode()
		f.Add(data)
		for i := range data {
			changed := bytes.Clone(data)
			changed[i] ^= 0xff
			f.Add(changed)
			f.Add(data[:i])
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Decode(data)
		if err != nil {
			return
		}
		again, err := Decode(s.Encode())
		if err != nil || again.Count() != s.Count() || !bytes.Equal(again.Encode(), s.Encode()) {
			t.Fatalf("%d requests became %v: %v", s.Count(), again, err)
		}
		if q, known := s.Quantile(0.5); known && (q < Least*98/100 || q > Most*103/100) {
			t.Fatalf("median %d", q)
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	s := New()
	b.ReportAllocs()
	for i := range b.N {
		s.Add(int64(i%1_000_000) + Least)
	}
}

// BenchmarkMerge takes in what a host reports.
func BenchmarkMerge(b *testing.B) {
	s := New()
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		s.Add(int64(20_000 * math.Exp(random.NormFloat64())))
	}
	data, all := s.Encode(), New()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if err := all.MergeEncoded(data); err != nil {
			b.Fatal(err)
		}
	}
}

// TestEncodesAsTheLibrary: the bytes are those of DDSketch's own implementation.
func TestEncodesAsTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOfN(rapid.Int64Range(0, 2*Most), 0, 300).Draw(t, "times")
		if rapid.Bool().Draw(t, "close") {
			for i := range times {
				times[i] = 1000 + times[i]%1000
			}
		}
		many := rapid.SliceOfN(rapid.Float64Range(1, 1e12), len(times), len(times)).Draw(t, "many")
		library, ours := store.NewDenseStore(), New()
		for i, x := range times {
			n := math.Floor(many[i])
			library.AddWithCount(bucketOf(x), n)
			ours.buckets.add(bucketOf(x), int64(n))
		}
		var want []byte
		if len(times) > 0 {
			ddsketch.NewDDSketch(indexes(), library, store.NewDenseStore()).Encode(&want, false)
		}
		if got := ours.Encode(); !bytes.Equal(got, want) {
			t.Fatalf("%x, want %x", got, want)
		}
		again, err := Decode(want)
		if err != nil || !bytes.Equal(again.Encode(), want) || again.Count() != ours.Count() {
			t.Fatalf("read again: %v", err)
		}
	})
}
