package analysis

import (
	"fmt"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis/traffic"
)

// BenchmarkObserve costs one report of one host, a fifth of which close a window.
func BenchmarkObserve(b *testing.B) {
	for _, rate := range []float64{0, .01, .2} {
		b.Run(fmt.Sprintf("errors=%g", rate), func(b *testing.B) {
			f := traffic.NewFleet(traffic.Scene{
				Hosts: 3, Stable: 4, PerSecond: 30, Share: .1, Rate: traffic.Fixed(rate, rate),
			}, 1)
			j := NewJudge(Config{})
			var reports []Report
			for f.Now() < 20*time.Minute {
				f.Advance()
				rs := reportsOf(f)
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
			f := traffic.NewFleet(traffic.Scene{
				Hosts: hosts, Stable: 2, PerSecond: float64(10 * hosts), Share: .1,
				Rate: traffic.Fixed(.01, .01),
			}, 1)
			j := NewJudge(Config{})
			for f.Now() < time.Minute {
				f.Advance()
				for _, r := range reportsOf(f) {
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
