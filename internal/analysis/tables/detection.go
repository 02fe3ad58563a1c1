package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis/traffic"
)

const (
	// detectionRuns is how often each regression is played, and patience how
	// long a run may take.
	detectionRuns = 500
	patience      = time.Hour
)

// regression is a canary that is worse from its first request on.
type regression struct {
	stable, canary float64
	share          float64
	// limit and late are the median and the 95th percentile of canary requests that the judge may
	// take without an allowance, also with half of an alpha of 1 %.
	limit, late int64
}

func (r regression) name() string {
	return fmt.Sprintf("%s → %s, share %s", percent(r.stable), percent(r.canary), percent(r.share))
}

func (r regression) scene() traffic.Scene {
	s := scene(r.share)
	s.Rate = traffic.Fixed(r.stable, r.canary)
	return s
}

func percent(rate float64) string { return fmt.Sprintf("%g %%", math.Round(rate*1e6)/1e4) }

// regressions are those for which it is known how fast a judge can be: each
// limit is 1.2 times what the method took when it was first described, with half
// of alpha for errors and evidence that begins anew.
func regressions() []regression {
	return []regression{
		{.001, .05, .01, 180, 348},
		{.001, .05, .05, 174, 354},
		{.001, .05, .5, 300, 540},
		{.001, .01, .01, 1128, 2148},
		{.001, .01, .05, 1176, 2322},
		{.001, .01, .5, 2262, 4200},
		{.01, .02, .01, 2814, 5676},
		{.01, .02, .05, 2940, 5820},
		{.01, .02, .5, 6222, 11700},
		{0, 1, .01, 54, 54},
		{0, 1, .05, 54, 54},
		{0, 1, .5, 54, 54},
	}
}

// detect plays a regression to all judges.
func (s *studio) detect(r regression) [][]result {
	name := r.name()
	if known, ok := s.detected[name]; ok {
		return known
	}
	p := play{r.scene(), patience, func() []watcher { return cast(r.share) }}
	results := s.runs(name, s.times(detectionRuns), p)
	s.detected[name] = results
	return results
}

// took writes the median and the 95th percentile of canary's requests.
func took(rs []result, level int) string {
	return requests(quantile(rs, level, .5)) + " / " + requests(quantile(rs, level, .95))
}

func requests(n int64) string {
	if n == never {
		return "never"
	}
	return strconv.FormatInt(n, 10)
}

func detectionTable(s *studio) string {
	var b strings.Builder
	b.WriteString("| stable → canary | serin, no increase allowed | serin, with half of alpha | serin, +0.5 points allowed | repeated z-test | Kayenta, each minute | Flagger 99 %, 5 failed | Argo 95 %, 3 failed | mSPRT | Lindon-Malek | Turner-Grünwald |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range regressions() {
		rs := s.detect(r)
		fmt.Fprintf(&b, "| %s | %s | %s | %s |", r.name(),
			took(rs[worse5], ofRollout), took(rs[worse5], halfOfRollout), took(rs[beyond5], ofRollout))
		for _, w := range []int{zTest, kayenta, flagger, argo, msprt, multinomial, blocks} {
			fmt.Fprintf(&b, " %s |", took(rs[w], onePercent))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// windowsDetection holds the lengths of a window against each other.
func windowsDetection(s *studio) string {
	var b strings.Builder
	b.WriteString("| stable → canary | 5 s, no increase | 10 s, no increase | 5 s, +0.5 points | 10 s, +0.5 points |\n|---|---|---|---|---|\n")
	for _, r := range regressions() {
		rs := s.detect(r)
		fmt.Fprintf(&b, "| %s |", r.name())
		for _, w := range []int{worse5, worse10, beyond5, beyond10} {
			fmt.Fprintf(&b, " %s |", took(rs[w], onePercent))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// detectionCheck plays the regressions to the product's judge alone.
func detectionCheck(s *studio) error {
	var wrong []error
	n := max(24, s.times(60)) // the median of fewer says little
	for _, r := range regressions() {
		p := play{r.scene(), patience, func() []watcher { return ours(5 * time.Second)[:1] }}
		rs := s.runs(r.name(), n, p)[0]
		// The median of so few runs is off by a tenth or so.
		if m := quantile(rs, ofRollout, .5); m > r.limit*5/4 {
			wrong = append(wrong, fmt.Errorf("%s: median of %s canary requests, limit %d", r.name(), requests(m), r.limit))
		}
	}
	return errors.Join(wrong...)
}

// timeTable plays regressions at several loads of the service, to all judges.
func timeTable(s *studio) string {
	loads := []float64{10, 100, 1000}
	var b strings.Builder
	b.WriteString("| stable → canary | judge | 10 requests/s | 100 requests/s | 1,000 requests/s |\n|---|---|---|---|---|\n")
	for _, r := range regressions() {
		if r.share != .05 {
			continue
		}
		var byLoad [][][]result
		for _, load := range loads {
			p := play{r.scene(), 3 * time.Hour, func() []watcher { return cast(r.share)[:worse10] }}
			p.scene.PerSecond = load * r.share
			byLoad = append(byLoad, s.runs(fmt.Sprintf("%s at %g/s", r.name(), load), s.times(200), p))
		}
		for w, judge := range timedJudges() {
			level := onePercent
			if w == worse5 || w == beyond5 {
				level = ofRollout
			}
			fmt.Fprintf(&b, "| %s | %s |", r.name(), judge)
			for l := range loads {
				fmt.Fprintf(&b, " %s / %s |", clock(byLoad[l][w], level, .5), clock(byLoad[l][w], level, .95))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// timedJudges names the judges of cast that look at short windows.
func timedJudges() []string {
	return []string{
		"serin, no increase allowed", "serin, +0.5 points allowed", "repeated z-test", "Kayenta, each minute",
		"Flagger 99 %, 5 failed", "Argo 95 %, 3 failed", "mSPRT", "Lindon-Malek", "Turner-Grünwald",
	}
}

// clock writes the time by which a share q of the runs had fired.
func clock(rs []result, level int, q float64) string {
	limit := quantile(rs, level, q)
	if limit == never {
		return "never"
	}
	var at time.Duration
	for _, r := range rs {
		if n := r.requests[level]; n > 0 && n <= limit {
			at = max(at, r.at[level])
		}
	}
	return at.String()
}

// lateTable plays canaries that turn bad after half an hour.
func lateTable(s *studio) string {
	const good = 30 * time.Minute
	var b strings.Builder
	b.WriteString("| stable → canary after 30 min | no increase allowed | +0.5 points allowed |\n|---|---|---|\n")
	for _, r := range regressions() {
		if r.share < .05 || r.stable == 0 {
			continue
		}
		p := play{r.scene(), good + patience, func() []watcher { return ours(5 * time.Second) }}
		p.scene.Rate = func(_ int, canary bool, at time.Duration) float64 {
			if canary && at > good {
				return r.canary
			}
			return r.stable
		}
		fmt.Fprintf(&b, "| %s |", r.name())
		for _, rs := range s.runs("late "+r.name(), s.times(200), p) {
			fmt.Fprintf(&b, " %s |", took(since(rs, good, p.scene.PerSecond), ofRollout))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// since counts canary's requests from a time on, by the clock.
func since(rs []result, start time.Duration, perSecond float64) []result {
	for i, r := range rs {
		for l, n := range r.requests {
			if n > 0 {
				rs[i].requests[l] = int64((r.at[l] - start).Seconds() * perSecond)
			}
		}
	}
	return rs
}
