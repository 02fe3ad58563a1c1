package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis/traffic"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// gradualRuns is how often whole rollouts are played, allowedRuns how often those
// with another allowance, and timedRuns those with a gate on latency, which take
// a hundred times as long.
const (
	gradualRuns = 900
	allowedRuns = 100
	timedRuns   = 30
)

// gradual is a kind of whole rollout of a version that is as good as stable.
type gradual struct {
	name  string
	scene traffic.Scene
	timed bool
	// allowed are the points of errors that canary may have more; 0: one.
	allowed int
}

// gradually are the rollouts that are played. Five hosts serve 100 requests a
// second; hosts, containers and errors are what the names say.
func gradually() []gradual {
	const rate = .003
	one := fiveHosts()
	one.Rate = traffic.Fixed(rate, rate)
	differ := fiveHosts()
	differ.Rate = func(host int, _ bool, _ time.Duration) float64 { return .001 * math.Pow(10, float64(host)/4) }
	short := fiveHosts()
	short.Rate, short.Mood, short.Step = traffic.Fixed(.001, .001), traffic.Bursts(10*time.Minute, 5*time.Second, .5), time.Second
	long := fiveHosts()
	long.Rate, long.Mood, long.Step = traffic.Fixed(.001, .001), traffic.Bursts(30*time.Minute, 30*time.Second, .2), time.Second
	return []gradual{
		{name: "0.3 % errors, one by one", scene: one},
		{name: "hosts differ, 0.1 to 1 %", scene: differ},
		{name: "5 s of 50 % each 10 min", scene: short},
		{name: "30 s of 20 % each 30 min", scene: long},
	}
}

// fiveHosts is the fleet of whole rollouts, all of whose traffic is 100 requests a
// second.
func fiveHosts() traffic.Scene { return traffic.Scene{Hosts: 5, Stable: 4, PerSecond: 100, Share: 1} }

// withTimes is the kind with a gate on latency, which costs most of a run.
func (g gradual) withTimes() gradual {
	service := traffic.Service{Median: 100, Sigma: .5, Noise: .05, Persistent: .03, PauseShare: 1. / 60}
	g.scene.StableTimes, g.scene.CanaryTimes = service.Containers(), service.Containers()
	g.scene.PerSecond /= 4
	g.name += ", with a gate on latency and a quarter of the traffic"
	g.timed = true
	return g
}

// ends counts how rollouts ended.
type ends struct {
	n      int
	back   [2]int // taken back, at 1 % and at 5 %
	named  [2]int // of these, for one host
	apart  int    // rollouts that went on without a host, or waited for a person
	behind int    // not through within the deadline
}

// gradual plays a kind of rollout so often, with this answer to a single bad host.
func (s *studio) gradual(g gradual, answer rollout.OneHost, n int) ends {
	all := ends{n: n}
	for _, e := range each(s, n, func(seed uint64) end { return g.run(seed, answer) }) {
		for level, back := range e.back {
			if back {
				all.back[level]++
			}
			if back && e.named[level] {
				all.named[level]++
			}
		}
		if e.apart {
			all.apart++
		}
		if e.late {
			all.behind++
		}
	}
	s.progress.Printf("%s, one_host: %s: %d runs", g.name, answer, n)
	return all
}

func rolloutsTable(s *studio) string {
	var b strings.Builder
	b.WriteString("| canary is as good as stable | one_host | runs | taken back, alpha 1 %, % | alpha 5 %, % | of these for one host | without a host, or paused | not through in an hour |\n|---|---|---|---|---|---|---|---|\n")
	row := func(g gradual, answer rollout.OneHost, n int) {
		e := s.gradual(g, answer, n)
		loose, named := "", strconv.Itoa(e.named[0])
		if answer == rollout.FailForHost {
			loose, named = withError(e.back[1], n), fmt.Sprintf("%d, %d", e.named[0], e.named[1])
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %s | %s | %s | %d | %d |\n", g.name, answer, n, withError(e.back[0], n), loose, named, e.apart, e.behind)
	}
	for _, g := range gradually() {
		row(g, rollout.FailForHost, s.times(gradualRuns))
	}
	for _, g := range gradually()[2:] {
		row(g, rollout.ExcludeHost, s.times(gradualRuns/5))
		row(g, rollout.PauseForHost, s.times(gradualRuns/5))
	}
	for _, g := range []gradual{gradually()[1], gradually()[2]} {
		row(g.withTimes(), rollout.FailForHost, s.times(timedRuns))
	}
	return b.String()
}

// allowancesTable holds allowances against how long a good version takes whose
// errors come in bursts.
func allowancesTable(s *studio) string {
	var b strings.Builder
	b.WriteString("| canary is as good as stable | allowed | promoted after, median | not through in an hour, % |\n|---|---|---|---|\n")
	n := s.times(allowedRuns)
	for _, g := range gradually()[2:] {
		for _, g.allowed = range []int{1, 2, 3, 5} {
			all := each(s, n, func(seed uint64) end { return g.run(seed, rollout.FailForHost) })
			s.progress.Printf("%s, +%d points: %d runs", g.name, g.allowed, n)
			late := 0
			took := make([]time.Duration, 0, n)
			for _, e := range all {
				if e.through == 0 {
					e.through, late = time.Duration(math.MaxInt64), late+1
				}
				took = append(took, e.through)
			}
			slices.Sort(took)
			median := "never"
			if m := took[n/2]; m < math.MaxInt64 {
				median = m.String()
			}
			fmt.Fprintf(&b, "| %s | +%d points | %s | %.0f |\n", g.name, g.allowed, median, 100*float64(late)/float64(n))
		}
	}
	return b.String()
}

// withError writes a share in percent with its standard error; of none, what it
// is below with 95 %.
func withError(x, n int) string {
	if x == 0 {
		return fmt.Sprintf("0 (< %.2g)", 300/float64(n))
	}
	p := float64(x) / float64(n)
	return fmt.Sprintf("%.2f ± %.2f", 100*p, 100*math.Sqrt(p*(1-p)/float64(n)))
}

// rolloutsCheck plays a few of each. Few are enough to see that good versions get
// through, and that not every other one is taken back.
func rolloutsCheck(s *studio) error {
	var wrong []error
	n := s.times(12)
	for k, g := range gradually() {
		for _, answer := range []rollout.OneHost{rollout.ExcludeHost, rollout.PauseForHost, rollout.FailForHost} {
			e := s.gradual(g, answer, n)
			for level, alpha := range []float64{.01, .05} {
				if e.back[level] > most(n, alpha) {
					wrong = append(wrong, fmt.Errorf("%s, one_host: %s: %d of %d good versions taken back at alpha %g %%", g.name, answer, e.back[level], n, 100*alpha))
				}
			}
			if k < 2 && e.behind > n/4 { // with bursts the margin takes longer to prove
				wrong = append(wrong, fmt.Errorf("%s, one_host: %s: %d of %d good versions are not through", g.name, answer, e.behind, n))
			}
		}
	}
	return errors.Join(wrong...)
}
