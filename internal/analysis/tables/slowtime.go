package main

import (
	"fmt"
	"strings"
	"time"
)

// slowTimeRuns is how often slower canaries are played at several loads of the
// service.
const slowTimeRuns = 40

// judgesOfTimes names the judges of castOfTimes.
func judgesOfTimes() []string {
	return []string{
		"serin, no increase allowed", "serin, +10 % allowed", "serin, p99 +20 % allowed", "serin, errors and latency together",
		"Kayenta p50, each minute", "Kayenta p99, each minute", "Flagger p99 ≤ 500 ms, 5 failed", "Howard-Ramdas bands",
	}
}

// atLoad is the canary at so many requests of the whole service a second, and
// when it gets traffic. Few take longer to learn thresholds from; of many, there
// are enough in twenty minutes.
func (t timed) atLoad(load float64) (p play, lead time.Duration) {
	lead, length := t.lead(), patience
	switch {
	case load < 100:
		lead = 40 * time.Minute
	case load > 100:
		length = 20 * time.Minute
	}
	s := t.scene()
	s.PerSecond = load * t.share
	s.ShareAt = func(_ int, at time.Duration) float64 {
		if at <= lead {
			return 0
		}
		return t.share
	}
	return play{s, lead + length, castOfTimes}, lead
}

// atLoads plays it to all judges of times; the clock runs from when canary gets
// traffic.
func (s *studio) atLoads(t timed, loads []float64) [][][]result {
	var byLoad [][][]result
	for _, load := range loads {
		p, lead := t.atLoad(load)
		rs := s.runs(fmt.Sprintf("%s at %g/s", t.name, load), s.times(slowTimeRuns), p)
		for _, of := range rs {
			from(of, lead)
		}
		byLoad = append(byLoad, rs)
	}
	return byLoad
}

// slowTimeTable plays slower canaries at several loads of the service.
func slowTimeTable(s *studio) string {
	var b strings.Builder
	b.WriteString("| canary is slower | judge | 10 requests/s | 100 requests/s | 1,000 requests/s |\n|---|---|---|---|---|\n")
	for _, t := range slowed() {
		if t.share != .05 || strings.HasPrefix(t.name, "p50 +50 %") {
			continue
		}
		byLoad := s.atLoads(t.timed, []float64{10, 100, 1000})
		for w, judge := range judgesOfTimes() {
			level := onePercent
			if strings.HasPrefix(judge, "serin") {
				level = ofRollout
			}
			fmt.Fprintf(&b, "| %s | %s |", t.name, judge)
			for _, rs := range byLoad {
				fmt.Fprintf(&b, " %s / %s |", clock(rs[w], level, .5), clock(rs[w], level, .95))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// from counts the clock from a time on.
func from(rs []result, start time.Duration) {
	for i := range rs {
		for l := range rs[i].at {
			rs[i].at[l] -= start
		}
	}
}
