package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/latency"
)

const (
	// life is how many reports a host of a crowd makes until it counts from zero again.
	life = 64
	// warmth is how many reports each host of a crowd has made before anything is measured:
	// its canary is warm then, and thresholds are learned.
	warmth = 45
)

// crowd is a fleet whose hosts report once a second: one canary and two stable
// containers each, 100 requests a second, a tenth of them canary's, 1 % errors.
type crowd struct {
	panel *analysis.Panel
	hosts []string
	told  [life][3]analysis.Report // hosts have their errors in turn
	next  int
}

// burden is what a crowd's reports tell of and are judged by.
type burden struct {
	name  string
	gates analysis.Gates
}

// burdens are gates on errors, alone and with others.
func burdens() []burden {
	conduct := func(name string) analysis.Conduct { return analysis.Conduct{Name: name} }
	errs := analysis.RateGate{Conduct: conduct("errors"), MaxIncrease: halfPoint}
	tail := analysis.LatencyGate{Conduct: conduct("latency"), Quantile: 9900}
	usage := &analysis.UsageGate{Conduct: conduct("saturation"), MaxMemory: 5000, MaxThrottled: 1000}
	return []burden{
		{"errors", analysis.Gates{Errors: errs}},
		{"errors, saturation", analysis.Gates{Errors: errs, Usage: usage}},
		{"errors, p99", analysis.Gates{Errors: errs, Latency: []analysis.LatencyGate{tail}}},
		{"errors, whole distribution", analysis.Gates{Errors: errs, Latency: []analysis.LatencyGate{{Conduct: tail.Conduct}}}},
	}
}

func newCrowd(hosts int, b burden) *crowd {
	c := &crowd{panel: analysis.NewPanel(b.gates)}
	for i := range hosts {
		c.hosts = append(c.hosts, fmt.Sprintf("host-%05d", i))
	}
	told := b.told()
	each := map[string]int64{"": 10, "a": 45, "b": 45}
	for second := range int64(life) {
		common := told(second, each)
		for turn := range int64(3) {
			counted := func(name string) analysis.Counts {
				n := each[name] * (second + 1)
				return analysis.Counts{Requests: n, Errors: n * (1 + (second+turn)%3) / 300}
			}
			r := common
			r.Canary, r.Stable = counted(""), map[string]analysis.Counts{"a": counted("a"), "b": counted("b")}
			c.told[second][turn] = r
		}
	}
	return c
}

// told makes what reports tell but for errors, second by second, where containers
// serve so many requests in each.
func (b burden) told() func(second int64, each map[string]int64) analysis.Report {
	rng := rand.New(rand.NewPCG(1, 1))
	draw := lognormal().Containers()(rng)
	sketches := map[string]*latency.Sketch{"": latency.New(), "a": latency.New(), "b": latency.New()}
	return func(second int64, each map[string]int64) analysis.Report {
		r := analysis.Report{CanaryInstances: 1}
		for _, name := range []string{"", "a", "b"} {
			if len(b.gates.Latency) > 0 {
				took, n := draw(rng), each[name]*(second+1)
				for range each[name] {
					sketches[name].Add(int64(1000 * took()))
				}
				r.Latencies = append(r.Latencies, analysis.Latency{
					Canary: name == "", Instance: name, Requests: n, Lines: n, Sketch: sketches[name].Encode(),
				})
			}
			if b.gates.Usage != nil {
				r.Usage = append(r.Usage, analysis.Usage{
					Canary: name == "", Instance: name, Memory: 100 << 20, Limit: 1 << 30,
					Periods: 10 * (second + 1), Throttled: (second + 1) / 2,
				})
			}
		}
		return r
	}
}

// report lets the next host report.
func (c *crowd) report() {
	i, second := c.next%len(c.hosts), c.next/len(c.hosts)
	c.next++
	r := c.told[second%life][i%3]
	r.Host, r.At = c.hosts[i], time.Duration(second)*time.Second
	r.Incarnation = strconv.Itoa(second / life)
	c.panel.Observe(r)
}

// warm lets all hosts report for a while.
func (c *crowd) warm() {
	for range warmth * len(c.hosts) {
		c.report()
	}
}

// look asks for the verdict.
func (c *crowd) look() {
	_ = c.panel.Verdict(time.Duration(c.next/len(c.hosts)) * time.Second)
}

// held returns the bytes that the judge keeps for each host.
func held(hosts int, b burden) int64 {
	var before, after runtime.MemStats
	c := newCrowd(hosts, b)
	runtime.GC()
	runtime.ReadMemStats(&before)
	c.warm()
	runtime.GC()
	runtime.ReadMemStats(&after)
	bytes := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / int64(hosts)
	runtime.KeepAlive(c)
	return bytes
}

// price is what something costs each time.
type price struct {
	took        time.Duration // of the processor, whatever else it does
	allocations uint64
}

// priceOf measures for a second of the processor, twenty times at least.
func priceOf(do func()) price {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start, n := spent(), 0
	for n < 20 || n%20 != 0 || spent()-start < time.Second {
		do()
		n++
	}
	took := spent() - start
	runtime.ReadMemStats(&after)
	return price{took / time.Duration(n), (after.Mallocs - before.Mallocs) / uint64(n)}
}

// spent is the processor's time that this process has had.
func spent() time.Duration {
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// bill is what reports and looks cost, and how many bytes are held for each host.
type bill struct {
	look, report price
	held         int64
}

func (b burden) bill(hosts int) bill {
	c := newCrowd(hosts, b)
	c.warm()
	return bill{priceOf(c.look), priceOf(c.report), held(hosts, b)}
}

func costTable(s *studio) string {
	var b strings.Builder
	b.WriteString("| gates | hosts | a report | allocations | one look at all, of a step that passes | allocations | memory for each host |\n|---|---|---|---|---|---|---|\n")
	for _, gates := range burdens() {
		for _, hosts := range []int{10, 1000, 10_000} {
			m := each(s, 1, func(uint64) bill { return gates.bill(hosts) })[0]
			fmt.Fprintf(&b, "| %s | %d | %.1f µs | %d | %.3g ms | %d | %.1f kB |\n", gates.name, hosts,
				float64(m.report.took)/1e3, m.report.allocations, float64(m.look.took)/1e6, m.look.allocations, float64(m.held)/1000)
			s.progress.Printf("%s on %d hosts", gates.name, hosts)
		}
	}
	return b.String()
}

// costCheck holds memory against a limit. Time it leaves alone: other programs
// run, too.
func costCheck(*studio) error {
	const most = 8000
	if bytes := held(1000, burdens()[0]); bytes > most {
		return fmt.Errorf("%d bytes are kept for each host, limit %d", bytes, most)
	}
	return nil
}
