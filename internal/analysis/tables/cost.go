package main

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
)

// crowd is a fleet whose hosts report once a second: one canary and two stable
// containers each, 100 requests a second, a tenth of them canary's, 1 % errors.
type crowd struct {
	panel   *analysis.Panel
	reports []analysis.Report
	next    int
}

func newCrowd(hosts int) *crowd {
	c := &crowd{panel: analysis.NewPanel(analysis.Gates{
		Errors: analysis.RateGate{Conduct: analysis.Conduct{Name: "errors"}, MaxIncrease: halfPoint},
	})}
	for i := range hosts {
		c.reports = append(c.reports, analysis.Report{
			Host: fmt.Sprintf("host-%05d", i), Incarnation: "1", CanaryInstances: 1,
			Stable: map[string]analysis.Counts{"a": {}, "b": {}},
		})
	}
	return c
}

// report lets the next host report.
func (c *crowd) report() {
	i := c.next % len(c.reports)
	c.next++
	r := &c.reports[i]
	r.At += time.Second
	second := int64(r.At / time.Second)
	grow := func(counts analysis.Counts, each int64) analysis.Counts {
		counts.Requests += each
		counts.Errors = counts.Requests * (1 + (second+int64(i))%3) / 300
		return counts
	}
	r.Canary = grow(r.Canary, 10)
	for name, counts := range r.Stable {
		r.Stable[name] = grow(counts, 45)
	}
	c.panel.Observe(*r)
}

// warm lets all hosts report for a while.
func (c *crowd) warm() {
	for range 20 * len(c.reports) {
		c.report()
	}
}

// held returns the bytes that the judge keeps for each host.
func held(hosts int) int64 {
	var before, after runtime.MemStats
	c := newCrowd(hosts)
	runtime.GC()
	runtime.ReadMemStats(&before)
	c.warm()
	runtime.GC()
	runtime.ReadMemStats(&after)
	bytes := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / int64(hosts)
	runtime.KeepAlive(c)
	return bytes
}

// best is the quickest of a few measurements: other programs only make it slower.
func best(do func()) testing.BenchmarkResult {
	var quickest testing.BenchmarkResult
	for i := range 4 {
		r := testing.Benchmark(func(b *testing.B) {
			b.Helper()
			b.ReportAllocs()
			for b.Loop() {
				do()
			}
		})
		if i == 0 || r.NsPerOp() < quickest.NsPerOp() {
			quickest = r
		}
	}
	return quickest
}

func costTable(*studio) string {
	var b strings.Builder
	b.WriteString("| hosts | a report | allocations | one look at all, of a step that passes | allocations | memory for each host |\n|---|---|---|---|---|---|\n")
	for _, hosts := range []int{10, 1000, 10_000} {
		c := newCrowd(hosts)
		c.warm()
		report := best(c.report)
		look := best(func() { _ = c.panel.Verdict(c.reports[0].At) })
		fmt.Fprintf(&b, "| %d | %.1f µs | %d | %.3g ms | %d | %.1f kB |\n", hosts,
			float64(report.NsPerOp())/1e3, report.AllocsPerOp(), float64(look.NsPerOp())/1e6, look.AllocsPerOp(),
			float64(held(hosts))/1000)
	}
	return b.String()
}

// costCheck holds memory against a limit. Time it leaves alone: other programs
// run, too.
func costCheck(*studio) error {
	const most = 8000
	if bytes := held(1000); bytes > most {
		return fmt.Errorf("%d bytes are kept for each host, limit %d", bytes, most)
	}
	return nil
}
