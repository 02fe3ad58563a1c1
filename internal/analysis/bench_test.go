package analysis

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// BenchmarkObserve costs one report of one host, a fifth of which close a window.
func BenchmarkObserve(b *testing.B) {
	for _, rate := range []float64{0, .01, .2} {
		b.Run(fmt.Sprintf("errors=%g", rate), func(b *testing.B) {
			w := world{hosts: 3, stable: 4, perSecond: 30, share: .1, rate: fixed(rate, rate)}
			f := newFleet(w, rand.New(rand.NewPCG(1, 1)))
			j := NewJudge(Config{})
			var reports []Report
			for at := tick; at <= 20*time.Minute; at += tick {
				f.serve(at)
				rs := f.reports(at)
				for i := range 5 {
					for _, r := range rs {
						r.At += time.Duration(i) * time.Second
						reports = append(reports, r)
					}
				}
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%len(reports) == 0 {
					j = NewJudge(Config{})
				}
				j.Observe(reports[i%len(reports)])
			}
		})
	}
}

// BenchmarkFinding costs one look at fleets of several sizes.
func BenchmarkFinding(b *testing.B) {
	for _, hosts := range []int{3, 100, 10_000} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			w := world{
				hosts: hosts, stable: 2, perSecond: float64(10 * hosts), share: .1,
				rate: fixed(.01, .01),
			}
			f := newFleet(w, rand.New(rand.NewPCG(1, 1)))
			j := NewJudge(Config{})
			for at := tick; at <= time.Minute; at += tick {
				f.serve(at)
				for _, r := range f.reports(at) {
					j.Observe(r)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				_ = j.Finding(time.Minute)
			}
		})
	}
}
