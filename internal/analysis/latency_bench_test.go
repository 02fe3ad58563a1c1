package analysis

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/latency"
)

// timedFleet returns a judge, of the whole distribution, that has heard so many hosts for three
// minutes, and the reports that each host gives in turn.
func timedFleet(hosts int) (*latencyJudge, [][]Latency) {
	random := rand.New(rand.NewPCG(1, 1))
	canary, stable := latency.New(), []*latency.Sketch{latency.New(), latency.New()}
	var told [][]Latency
	for range 37 {
		for range 50 {
			canary.Add(int64(1000 * lognormal(1)(random, true)))
		}
		said := []Latency{{Canary: true, Requests: canary.Count(), Lines: canary.Count(), Sketch: canary.Encode()}}
		for i, s := range stable {
			for range 225 {
				s.Add(int64(1000 * lognormal(1)(random, false)))
			}
			said = append(said, Latency{Instance: strconv.Itoa(i), Requests: s.Count(), Lines: s.Count(), Sketch: s.Encode()})
		}
		told = append(told, said)
	}
	j := newLatencyJudge(Gates{}, LatencyGate{MaxIncrease: 2000}, 10_000)
	for i, said := range told[:30] {
		for h := range hosts {
			j.observe(Report{Host: hostName(h), Incarnation: "1", At: time.Duration(i) * tick, Latencies: said, CanaryInstances: 1})
		}
	}
	return j, told
}

func hostName(h int) string { return "host-" + strconv.Itoa(h) }

// BenchmarkLatencyObserve costs one report of one host, each of which closes a window.
func BenchmarkLatencyObserve(b *testing.B) {
	for _, hosts := range []int{10, 1000, 10_000} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			j, told := timedFleet(hosts)
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				n := i / hosts
				j.observe(Report{
					Host: hostName(i % hosts), Incarnation: strconv.Itoa(1 + n/7), At: time.Duration(30+n) * tick,
					Latencies: told[30+n%7], CanaryInstances: 1,
				})
				i++
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(hosts), "B/host")
		})
	}
}

// BenchmarkLatencyFinding costs one look.
func BenchmarkLatencyFinding(b *testing.B) {
	for _, hosts := range []int{10, 1000, 10_000} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			j, _ := timedFleet(hosts)
			b.ReportAllocs()
			for b.Loop() {
				_ = j.finding(3 * time.Minute)
			}
		})
	}
}
