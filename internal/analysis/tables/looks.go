package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// lookRuns is how often the scenes near alpha are played to a judge that looks after each report.
const lookRuns = 10_000

// looks plays a scene to the product's judge, once looking after each round of reports and once after
// each report: the same fleets, the same requests.
func (s *studio) looks(h healthy, n int) (round, report counted) {
	const window = 5 * time.Second
	watchers := func() []watcher { return slices.Concat(ours(window), oursAtEach(window)) }
	rs := s.runs(h.name+", each look", n, play{h.Scene, span, watchers})
	return counted{h, n, rs[:2]}, counted{h, n, rs[2:]}
}

// nearAlpha are the scenes of several hosts that come nearest to alpha: on one host a round is a report.
func nearAlpha() []healthy {
	var near []healthy
	for _, h := range bursty()[len(bursty())-3:] {
		if h.Hosts > 1 {
			near = append(near, h)
		}
	}
	return near
}

func looksTable(s *studio) string {
	var b strings.Builder
	b.WriteString("| canary is as good as stable | each round, no increase | each report, no increase | each round, +0.5 points | each report, +0.5 points |\n|---|---|---|---|---|\n")
	for _, h := range nearAlpha() {
		round, report := s.looks(h, s.times(lookRuns))
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", h.name,
			round.shares(worse5), report.shares(worse5), round.shares(beyond5), report.shares(beyond5))
	}
	return b.String()
}

// looksCheck plays few of them. Whoever looks more often sees all that the other one sees.
func looksCheck(s *studio) error {
	var wrong []error
	for _, h := range nearAlpha() {
		round, report := s.looks(h, s.times(200))
		for _, w := range []int{worse5, beyond5} {
			if report.over(w) {
				wrong = append(wrong, fmt.Errorf("%s, a look after each report: %d and %d of %d good versions failed at alpha 1 %% and 5 %%",
					h.name, fired(report.results[w], onePercent), fired(report.results[w], fivePercent), report.n))
			}
			if run := later(round.results[w], report.results[w]); run > 0 {
				wrong = append(wrong, fmt.Errorf("%s, run %d: a look after each report misses what one after each round saw", h.name, run))
			}
		}
	}
	return errors.Join(wrong...)
}

// later returns the first run, from 1, in which results fired later than others or not at all; 0 if none.
func later(others, rs []result) int {
	for run, other := range others {
		for l, n := range other.requests {
			if r := rs[run]; n > 0 && (r.requests[l] == 0 || r.at[l] > other.at[l]) {
				return run + 1
			}
		}
	}
	return 0
}
