package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/analysis/traffic"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/specfile"
)

const (
	// pacedRuns is how often each rollout of an automatic pace is played.
	pacedRuns = 500
	// following is how long the hosts take to be at weight 0 once it is decided.
	following = 2 * time.Second
)

// paced is a rollout at an automatic pace.
type paced struct {
	stable    float64 // its rate of errors
	perSecond float64 // requests of the whole service
	// All in basis points but the exposure.
	regression, allowed int
	exposure            int64
}

// paces are those of the page: the defaults at several traffics and rates, one
// that no weight keeps, and other regressions.
func paces() []paced {
	return []paced{
		{.001, 100, 200, 50, 50},
		{.001, 1000, 200, 50, 50},
		{.001, 10_000, 200, 50, 50},
		{.01, 100, 200, 50, 50},
		{.01, 1000, 200, 50, 50},
		{.05, 1000, 200, 50, 50},
		{.001, 1000, 100, 0, 50},
		{.001, 1000, 100, 50, 50},
		{.01, 1000, 100, 50, 150},
		{.001, 1000, 500, 50, 25},
		{.01, 1000, 500, 50, 50},
	}
}

func (p paced) name() string {
	return fmt.Sprintf("%s → %s, +%s allowed, %g requests/s", percent(p.stable), percent(p.stable+float64(p.regression)/1e4),
		percent(float64(p.allowed)/1e4), p.perSecond)
}

func (p paced) spec() rollout.Spec {
	spec, err := specfile.Parse(fmt.Appendf(nil, `
service: web
image: web:2
container: {port: 80}
deadline: 4h
pace: {regression: %s, exposure: %d}
gates: {errors: {max_increase: %s}, one_host: fail}
`, rollout.Percent(p.regression), p.exposure, rollout.Percent(p.allowed)))
	if err != nil {
		panic(err)
	}
	return spec
}

// finding is what a plan tells of it.
func (p paced) finding() int64 {
	const seen = 100_000
	return p.spec().Auto.Finding(p.spec().Gates, analysis.Counts{Requests: seen, Errors: int64(math.Round(p.stable * seen))})
}

// cost is what one rollout came to: requests that failed beyond what stable's
// rate is, and when it was taken back or promoted; 0: it was not.
type cost struct {
	failed         float64
	back, promoted time.Duration
}

// run plays one rollout of a version that has the regression, or is as good.
func (p paced) run(seed uint64, bad bool) cost {
	size := 0.0
	if bad {
		size = float64(p.regression) / 1e4
	}
	scene := fiveHosts()
	scene.PerSecond = p.perSecond
	scene.Rate = traffic.Fixed(p.stable, p.stable+size)
	r := &ride{state: rollout.NewState(), says: newVoices(seed)}
	scene.ShareAt = func(host int, _ time.Duration) float64 { return r.share(host) }
	r.fleet = traffic.NewFleet(scene, seed)
	r.submit(p.spec())
	weight := 0.0
	for r.under() {
		weight = r.share(0)
		r.advance()
	}
	met := float64(r.fleet.Canary()) + p.perSecond*weight*following.Seconds()
	c := cost{failed: size * met, promoted: r.end.through}
	if r.end.back[0] {
		c.back = r.fleet.Now()
	}
	return c
}

// outcome is what many came to.
type outcome struct {
	mean, p95 float64
	back      int
	at        time.Duration // of the end, median
}

func (s *studio) pace(p paced, bad bool, n int) outcome {
	costs := each(s, n, func(seed uint64) cost { return p.run(seed, bad) })
	s.progress.Printf("pace, %s, worse: %t: %d runs", p.name(), bad, n)
	var o outcome
	failed, ends := make([]float64, 0, n), make([]time.Duration, 0, n)
	for _, c := range costs {
		failed, o.mean = append(failed, c.failed), o.mean+c.failed/float64(n)
		end := c.promoted
		if bad {
			end = c.back
		}
		if end > 0 && bad {
			o.back++
		}
		if end == 0 {
			end = math.MaxInt64
		}
		ends = append(ends, end)
	}
	slices.Sort(failed)
	slices.Sort(ends)
	o.p95, o.at = failed[min(n-1, n*95/100)], ends[n/2]
	return o
}

func paceTable(s *studio) string {
	var b strings.Builder
	b.WriteString("| stable → canary | may fail | for finding, as planned | failed, mean / p95 | found, % | after, median | a good version is promoted after, median |\n|---|---|---|---|---|---|---|\n")
	n := s.times(pacedRuns)
	for _, p := range paces() {
		bad, good := s.pace(p, true, n), s.pace(p, false, s.times(pacedRuns/4))
		fmt.Fprintf(&b, "| %s | %d | %s | %.0f / %.0f | %.1f | %s | %s |\n", p.name(), p.exposure, p.warned(),
			bad.mean, bad.p95, 100*float64(bad.back)/float64(n), ended(bad.at), ended(good.at))
	}
	return b.String()
}

// warned is what finding takes; bold where a plan warns of it.
func (p paced) warned() string {
	n := strconv.FormatInt(p.finding(), 10)
	if !p.spec().Auto.Kept(p.finding()) {
		return "**" + n + "**"
	}
	return n
}

func ended(at time.Duration) string {
	if at == math.MaxInt64 {
		return "never"
	}
	return at.Round(time.Second).String()
}

// paceCheck plays the quickest few of those that a plan does not warn of.
func paceCheck(s *studio) error {
	var wrong []error
	for _, p := range paces() {
		if !p.spec().Auto.Kept(p.finding()) || p.perSecond < 1000 {
			continue
		}
		n := max(8, s.times(24))
		if o := s.pace(p, true, n); o.mean > float64(p.exposure) || o.back < n-most(n, .05) {
			wrong = append(wrong, fmt.Errorf("%s: %.0f failed in the mean, %d may; %d of %d were found", p.name(), o.mean, p.exposure, o.back, n))
		}
	}
	return errors.Join(wrong...)
}
